"""Types of settings and parameters."""

from collections.abc import Mapping

from pydantic import SecretStr

INSTANCES = "instances"

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "json": (dict, list, str, int, float, bool),
    "select": (str, int, float, bool),
    "secret": (str, SecretStr),
    INSTANCES: (list,),
}


def is_of(kind: str, value: object) -> bool:
    """Return whether a value has a type of the format."""
    # In Python, but not in JSON, bool is a kind of int.
    if isinstance(value, bool) and bool not in _KINDS[kind]:
        return False
    return isinstance(value, _KINDS[kind])
