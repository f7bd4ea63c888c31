"""Rules that decide what broke: the product, the test or the environment.

The first matching rule decides and names the matching line. A rule examines one place: the exception with its message
(`error`), also the earlier exceptions in the chain (`chain`), the test's output (`output`), or the phase (`phase`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tp_mcp.triage.signature import Failure
from tp_mcp.triage.traceback import Traceback


class Kind(StrEnum):
    """Cause of a failure."""

    PRODUCT = "product"
    TEST = "test"
    ENVIRONMENT = "environment"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that recognises one cause.

    Attributes:
        patterns: regular expressions, case-insensitive; one of them must match within a line.
        one_reason: True if all matching failures share one reason, even if their messages differ.
    """

    name: str
    kind: Kind
    where: Literal["error", "chain", "output", "phase"]
    patterns: tuple[str, ...]
    one_reason: bool = False


RULES: tuple[Rule, ...] = (
    # Mistakes in the test, which have exceptions of their own.
    Rule("test-code", Kind.TEST, "error", (r"^(?:NameError|UnboundLocalError|SyntaxError|IndentationError)\b",)),
    Rule("test-import", Kind.TEST, "error", (r"^(?:ModuleNotFoundError|ImportError)\b",)),
    Rule("test-fixture-missing", Kind.TEST, "error", (r"\bfixture '.*' not found",)),
    Rule("test-call", Kind.TEST, "error", (r"^TypeError: .*(?:positional argument|keyword argument|not callable)",)),
    Rule("test-attribute", Kind.TEST, "error", (r"^AttributeError\b",)),
    # The environment, from the network up.
    Rule(
        "lab-equipment",
        Kind.ENVIRONMENT,
        "chain",
        (r"traffic generator", r"\bpdu\b", r"power strip", r"terminal server", r"jump ?host"),
    ),
    Rule(
        "dns",
        Kind.ENVIRONMENT,
        "chain",
        (
            r"name or service not known",
            r"getaddrinfo",
            r"name resolution",
            r"no address associated",
            r"nodename nor servname",
            r"could not resolve",
            r"NXDOMAIN",
        ),
        one_reason=True,
    ),
    Rule(
        "ssh-login",
        Kind.ENVIRONMENT,
        "chain",
        (
            r"authentication (?:failed|exception)",
            r"AuthenticationE",
            r"permission denied \(",
            r"host key verification",
            r"bad ?host ?key",
        ),
        one_reason=True,
    ),
    Rule(
        "ssh",
        Kind.ENVIRONMENT,
        "chain",
        (
            r"\bssh\w*(?:exception|error)\b",
            r"error reading ssh protocol banner",
            r"\bssh\b.*\b(?:closed|lost|refused|reset)",
        ),
    ),
    Rule(
        "device-away",
        Kind.ENVIRONMENT,
        "chain",
        (
            r"is rebooting",
            r"switched off",
            r"closed the console",
            r"device is down",
            r"(?:lab|testbed|rack) is (?:down|reserved|offline)",
        ),
        one_reason=True,
    ),
    Rule(
        "connection",
        Kind.ENVIRONMENT,
        "chain",
        (
            r"^Connection\w*Error\b",
            r"connection (?:refused|reset|aborted|closed|timed out)",
            r"broken pipe",
            r"no route to host",
            r"(?:host|network) is (?:unreachable|down)",
            r"remote end closed",
            r"failed to establish a new connection",
        ),
    ),
    Rule(
        "browser-hub",
        Kind.ENVIRONMENT,
        "chain",
        (r"\b(?:selenium|browser|webdriver)\b.*\b(?:hub|refused|cannot|unable|reach|start)",),
    ),
    Rule(
        "disk-full",
        Kind.ENVIRONMENT,
        "chain",
        (r"no space left on device", r"disk quota exceeded", r"read-only file system"),
    ),
    Rule("licence-server", Kind.ENVIRONMENT, "chain", (r"licen[cs]e server", r"floating licen[cs]e")),
    # The product, by its output.
    Rule(
        "product-crash",
        Kind.PRODUCT,
        "error",
        (r"segfault", r"segmentation fault", r"core dumped", r"kernel panic", r"signal 11\b", r"watchdog"),
    ),
    Rule(
        "product-crash-in-log",
        Kind.PRODUCT,
        "output",
        (r"segfault", r"segmentation fault", r"core dumped", r"kernel panic", r"watchdog (?:bite|reset|timeout)"),
    ),
    Rule(
        "product-refusal",
        Kind.PRODUCT,
        "error",
        (r"command fail", r"command parse error", r"failed with code", r"return code -?\d"),
    ),
    Rule("product-critical-log", Kind.PRODUCT, "error", (r"\blevel=(?:critical|alert|emergency)",)),
    Rule("timeout", Kind.ENVIRONMENT, "chain", (r"^\w*Timeout\w*\b", r"\btimed out\b", r"pytest-timeout")),
    Rule("unreadable-output", Kind.TEST, "error", (r"^(?:KeyError|IndexError)\b",)),
    # The phase, if no text matches.
    Rule("fixture-setup", Kind.ENVIRONMENT, "phase", (r"^setup$",)),
    Rule("collection", Kind.TEST, "phase", (r"^collect$",)),
    Rule("failed-check", Kind.PRODUCT, "error", (r"^\w*Assertion\w*\b", r"^Failed\b")),
)
"""All rules, by priority."""

_COMPILED = tuple((rule, re.compile("|".join(rule.patterns), re.IGNORECASE)) for rule in RULES)


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision on what broke.

    Attributes:
        rule: name of the matching rule; empty if none matched.
        line: matching line; empty if the phase matched, or nothing.
        one_reason: True if all failures that match this rule share one reason.
    """

    kind: Kind
    rule: str = ""
    line: str = ""
    one_reason: bool = False


def decide(failure: Failure) -> Decision:
    """Decide what broke in one failure."""
    error = tuple(_error_lines(failure.traceback))
    places: dict[str, Sequence[str]] = {
        "error": error,
        "chain": (*error, *failure.traceback.causes),
        "output": failure.traceback.captured.split("\n"),
        "phase": (failure.test.phase,),
    }
    for rule, pattern in _COMPILED:
        line = next((line for line in places[rule.where] if pattern.search(line)), None)
        if line is not None:
            evidence = "" if rule.where == "phase" else line.strip()
            return Decision(rule.kind, rule.name, evidence, rule.one_reason)
    return Decision(Kind.UNKNOWN)


def _error_lines(traceback: Traceback) -> Iterator[str]:
    first, *rest = traceback.message.split("\n")
    yield ": ".join(part for part in (traceback.exception, first) if part)
    yield from rest
