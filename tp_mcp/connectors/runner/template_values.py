"""Values for the templates of a connector's requests: the user's settings and a call's arguments."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, SecretStr

from tp_mcp.connectors.findings import nearest_words
from tp_mcp.connectors.manifest import INSTANCES, Manifest, Parameter, Setting, is_of
from tp_mcp.errors import ConfigurationError, InvalidArgumentError

INSTANCE_ARGUMENT = "instance"


def checked_arguments(
    tool: str, parameters: Mapping[str, Parameter], given: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """Return the arguments of a call with defaults for omitted ones; null counts as omitted.

    Raises:
        InvalidArgumentError: an argument is missing, unknown, has a wrong type or is not one of its options.
    """
    for name in given:
        if name not in parameters:
            raise InvalidArgumentError(
                f"{tool} has no argument {name!r}{nearest_words(name, parameters)}.",
                remedy=f"It takes: {', '.join(parameters) or 'none'}.",
            )
    arguments: dict[str, JsonValue] = {}
    for name, parameter in parameters.items():
        value = given.get(name)
        value = parameter.default if value is None else _as_json(parameter, value)
        if value is None:
            if parameter.required:
                raise InvalidArgumentError(f"{tool} needs {name}.", remedy=parameter.description)
            continue
        if not is_of(parameter.type, value):
            raise InvalidArgumentError(f"{name} must be of type {parameter.type}.", remedy=parameter.description)
        if parameter.options and value not in parameter.options:
            allowed = ", ".join(json.dumps(option, ensure_ascii=False) for option in parameter.options)
            raise InvalidArgumentError(f"{name} is not one of its options.", remedy=f"Allowed: {allowed}.")
        arguments[name] = value
    return arguments


def _as_json(parameter: Parameter, value: JsonValue) -> JsonValue:
    # Models sometimes write an object or a list as JSON text.
    if parameter.type == "json" and isinstance(value, str) and value.lstrip()[:1] in {"[", "{"}:
        try:
            parsed: JsonValue = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return parsed
    return value


@dataclass(frozen=True, slots=True)
class SettingValues:
    """The settings that the user of a connector provided.

    Attributes:
        values: settings by name; secrets are `SecretStr`.
        instances: settings of each instance by its name, the first is the default; empty without instances.
    """

    values: Mapping[str, Any]
    instances: Mapping[str, Mapping[str, Any]]

    @classmethod
    def checked(cls, manifest: Manifest, given: Mapping[str, Any]) -> "SettingValues":
        """Return the settings with their defaults; raise ConfigurationError if one is missing, unknown or wrong."""
        values = _checked_settings(manifest.settings, given, "")
        instances: dict[str, Mapping[str, Any]] = {}
        for name, setting in manifest.settings.items():
            if setting.type == INSTANCES:
                for number, row in enumerate(values.pop(name, ())):
                    where = f"{name}.{number}."
                    fields = _checked_settings(setting.fields or {}, row if isinstance(row, Mapping) else {}, where)
                    instances[str(fields.get("name", number))] = fields
        return cls(values, instances)

    def plain(self, instance: JsonValue = None) -> dict[str, Any]:
        """Return the settings for templates, secrets readable; raise InvalidArgumentError for an unknown instance."""
        chosen: Mapping[str, Any] = {}
        if self.instances:
            name = next(iter(self.instances)) if instance in (None, "") else str(instance)
            if name not in self.instances:
                raise InvalidArgumentError(
                    f"There is no instance {name!r}{nearest_words(name, self.instances)}.",
                    remedy=f"Instances: {', '.join(self.instances)}.",
                )
            chosen = self.instances[name]
        return {name: _readable(value) for name, value in {**self.values, **chosen}.items()}

    def public(self) -> dict[str, Any]:
        """Return the settings for messages: without secrets and without those of instances."""
        return {name: value for name, value in self.values.items() if not isinstance(value, SecretStr)}

    def secrets(self) -> Iterator[SecretStr]:
        """Yield all secrets, also in the encoding of Basic authentication."""
        for values in (self.values, *self.instances.values()):
            for value in values.values():
                if isinstance(value, SecretStr):
                    yield value
                    yield SecretStr(base64.b64encode(value.get_secret_value().encode()).decode())


def _checked_settings(settings: Mapping[str, Setting], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    for name in given:
        if name not in settings:
            raise ConfigurationError(
                f"The connector has no setting {where}{name}{nearest_words(name, settings)}.",
                remedy=f"It has: {', '.join(settings) or 'none'}.",
            )
    values: dict[str, Any] = {}
    for name, setting in settings.items():
        value = given.get(name, setting.default)
        if value is None or value == "":
            if setting.required:
                raise ConfigurationError(f"The connector needs the setting {where}{name}.", remedy=setting.description)
            continue
        if not is_of(setting.type, value) or (setting.options and value not in setting.options):
            allowed = ", ".join(json.dumps(option) for option in setting.options)
            raise ConfigurationError(
                f"The setting {where}{name} must be of type {setting.type}{f', one of {allowed}' if allowed else ''}."
            )
        values[name] = SecretStr(value) if setting.type == "secret" and isinstance(value, str) else value
    return values


def _readable(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
