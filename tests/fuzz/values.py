"""What the tools are called with: their own schemas' values, spoilt in every way that is known to spoil things."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORPUS: Mapping[str, Any] = json.loads(
    (Path(__file__).parent.parent / "promises" / "no_second_command.json").read_text(encoding="utf-8")
)
LAB = "AT16_Combined_FSW"
LABS = (LAB, "AT21_HA_Pair", "AT33_New_NAC", "AT52_NCM_Only")
COMMAND = "execute restore image scp /builds/fsw/6957/image.out 10.1.1.1 builder {}"

LOOK_ALIKES = (
    "AT16\u200b_Combined_FSW",
    "\u0410T16_Combined_FSW",
    "AT16_Combined_FS\uff37",
    "\u202eWSF_denibmoC_61TA",
    "AT16_Combined_FSW\u0301",
    "at16_combined_fsw",
    "\uff0d\uff0drootdir=/",
    "\u2010p evil",
    "\u2011\u2011pdb",
    "Tests_CLI\u2215test_poe.py",
    "Tests_CLI/\u2025/test_poe.py",
    "a\u00a0b",
    "a\u2028b",
    "\ufeff-x",
    "\U000e0041\U000e0042",
    "\u3000",
)
IDS = (
    *("w_00000000", "w_0000000", "W_00000000", "w_00000000 ", "r_0000000000000000", "r_../../../../etc/passwd"),
    *("log-446", "log-99999999999999999999", "log-0446", "c_000000000000", "s_0000000000", "chat_0000000000"),
    *(
        "../../etc/shadow",
        "..",
        "/",
        "\\\\server\\share",
        "file:///etc/passwd",
        "http://169.254.169.254/",
        "tp://inbox",
    ),
    *("0", "-1", "00446", "446e0", "446.0", "0x1be", "\u0664\u0664\u0666", "9" * 400, "' OR 1=1 --", "{args.testbed}"),
    *("{{7*7}}", "${jndi:ldap://x}", "%s%n", "{result.exec_id}", "{0.__class__}"),
)
LONG = (
    "A" * 5_000,
    "A" * 200_000,
    "-x " * 40_000,
    "\u00e9" * 70_000,
    "(" * 20_000,
    "a/" * 20_000,
    "\U0001f4a9" * 20_000,
)
PATTERNS = ("(a+)+$", "(?<=a)b", "[", "\\1", "(?P<n>a)(?P=n)", ".{1000}{1000}", "x*" * 500, "(?i)error")


def nested(depth: int, leaf: object = "x") -> object:
    """Return lists and objects within each other."""
    value = leaf
    for level in range(depth):
        value = [value] if level % 2 else {"args": value, "tool": "run_pytest"}
    return value


WRONG_TYPES: tuple[object, ...] = (
    *(None, True, False, 0, -1, 1.5, -0.0, 1e308, 10**30, "", [], {}, [[]], [None], {"": ""}, {"__class__": "x"}),
    *([0] * 2_000, ["Tests_CLI"] * 501, {"a": 1} | {str(number): number for number in range(500)}),
    *(nested(8), nested(60), nested(120)),
)

WRITERS = ("start_upgrade", "run_pytest")
WRITERS_WEIGHT = 4
"""What reaches a shell is tried so much more often than what only reads."""

UNSENDABLE_IN: Mapping[str, Sequence[str]] = {
    "argument": CORPUS["refused_arguments"],
    "extra_pytest_options": CORPUS["refused_arguments"],
    "testcase": CORPUS["refused_ids"],
    "command": CORPUS["refused_commands"],
}
"""By argument: values that must never get to TP, whatever else is in the call."""


@dataclass(frozen=True)
class Fuzzed:
    """A call.

    Attributes:
        tool: its name.
        arguments: what it is called with.
        unsendable: some value of it must be refused before anything is sent.
    """

    tool: str
    arguments: dict[str, Any]
    unsendable: bool = False


class Values:
    """Draws calls; the same seed draws the same ones."""

    def __init__(self, seed: int, schemas: Mapping[str, Mapping[str, Any]], secrets: Sequence[str]) -> None:
        """Prepare.

        Args:
            seed: what is drawn is drawn from it.
            schemas: of each tool's arguments.
            secrets: passwords to put into restore commands.
        """
        self._rng = random.Random(seed)
        self._schemas = schemas
        self._passwords = secrets
        self._shell = [
            template.replace("{}", attack)
            for template in (*CORPUS["argument_templates"], *CORPUS["id_templates"])
            for attack in CORPUS["shell"]
        ]

    def call(self, known: Mapping[str, Sequence[object]]) -> Fuzzed:
        """Return one call.

        Args:
            known: by argument: values that name something there is.
        """
        rng = self._rng
        tool = rng.choice((*self._schemas, *WRITERS * WRITERS_WEIGHT))
        properties: Mapping[str, Any] = self._schemas[tool]["properties"]
        required = set(self._schemas[tool].get("required", ()))
        arguments = {
            name: self._sound(name, schema, known)
            for name, schema in properties.items()
            if name in required or rng.random() < 0.4
        }
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            spoil: Callable[[dict[str, Any], Mapping[str, Any]], None] = rng.choice(
                (self._spoil_a_value, self._spoil_a_value, self._spoil_a_value, self._add_or_drop)
            )
            spoil(arguments, properties)
        if arguments.get("max_wait_seconds") in (1e308, 10**30, 1.5, 45, True):
            arguments["max_wait_seconds"] = 0
        if tool == "wait_for_watch":
            arguments.setdefault("max_wait_seconds", 0)
        return Fuzzed(tool, arguments, any(_unsendable(name, arguments) for name in properties))

    def _sound(self, name: str, schema: Mapping[str, Any], known: Mapping[str, Sequence[object]]) -> object:
        rng = self._rng
        if known.get(name):
            return rng.choice(list(known[name]))
        step = {"tool": "run_pytest", "args": {"lab": rng.choice(LABS), "testcase": ["Tests_CLI"]}}
        by_name: dict[str, object] = {
            "testbed": rng.choice(LABS),
            "lab": rng.choice(LABS),
            "max_wait_seconds": 0,
            "command": COMMAND.format(rng.choice(self._passwords)),
            "on_done": step,
            "on_fail": step,
        }
        if name in by_name:
            return by_name[name]
        for key in ("examples", "enum"):
            if key in schema:
                return rng.choice(schema[key])
        return {"integer": 446, "number": 1, "boolean": True, "object": {}, "array": ["Tests_CLI"]}.get(
            schema.get("type", "string"), rng.choice(("", "radius", "6957", "Tests_CLI"))
        )

    def _spoil_a_value(self, arguments: dict[str, Any], properties: Mapping[str, Any]) -> None:
        if not properties:
            return
        rng = self._rng
        name = rng.choice([each for each in properties for _ in range(3 if each in UNSENDABLE_IN else 1)])
        if name in UNSENDABLE_IN and rng.random() < 0.7:
            value = rng.choice(UNSENDABLE_IN[name])
            arguments[name] = [value] if name == "testcase" else value
            return
        hostile = self._hostile()
        shapes = (
            hostile,
            [hostile],
            {"path": hostile, "equals": hostile},
            {"tool": "run_pytest", "args": {name: hostile}},
        )
        arguments[name] = rng.choice((hostile, hostile, hostile, *shapes))

    def _add_or_drop(self, arguments: dict[str, Any], _properties: Mapping[str, Any]) -> None:
        rng = self._rng
        if arguments and rng.random() < 0.5:
            del arguments[rng.choice(list(arguments))]
        else:
            arguments[str(rng.choice((*IDS, "user", "confirm ", "__proto__", *LOOK_ALIKES)))] = self._hostile()

    def _hostile(self) -> Any:
        rng = self._rng
        texts: Sequence[object] = rng.choice(
            (
                self._shell, self._shell, CORPUS["refused_arguments"], CORPUS["refused_ids"], LOOK_ALIKES, IDS, LONG,
                PATTERNS, WRONG_TYPES, WRONG_TYPES,
                [COMMAND.format(password) for password in self._passwords], CORPUS["refused_commands"],
            )
        )  # fmt: skip
        return rng.choice(texts)


def _unsendable(name: str, arguments: Mapping[str, Any]) -> bool:
    value = arguments.get(name)
    if name == "command" and arguments.get("mode") != "command":
        return False
    values = value if isinstance(value, list) else [value]
    return any(isinstance(each, str) and each in UNSENDABLE_IN.get(name, ()) for each in values)
