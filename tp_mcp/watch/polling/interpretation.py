"""One poll of a target and its effect on a watch. A failure here ends only the poll that it occurs in."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from pydantic import JsonValue

from tp_mcp.errors import TpError, TpMcpError, TpNotAuthenticatedError, TpServerFaultError, TpTimeoutError
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.lifecycle.answer_retention import kept
from tp_mcp.watch.model.reading import Interpretation, Settlement
from tp_mcp.watch.model.watch import Step, Watch, WatchState
from tp_mcp.watch.polling.target import Target

logger = logging.getLogger(__name__)

POLL_TIMEOUT_SECONDS = 30.0
_INTERNAL_REASON = "The latest poll of TP failed for an internal reason; see the server's log."
_MAX_INTERPRETATIONS = 4
"""Interpretations that one answer remembers."""


class Reader(Protocol):
    """Polls a tool by name."""

    async def read(self, tool: str, args: Mapping[str, JsonValue], identity: str, /) -> JsonValue:
        """Return the tool's own JSON; sends one request, without retries.

        `identity` is the principal whose login is used; empty for the configured login. Raises TpError if there was no
        readable answer.
        """
        ...


class Rule(Protocol):
    """Interprets the answers for one kind of job. Pure.

    A rule uses only these attributes of a watch: server, spec, origin, baseline, TP's answer to the start, and the
    rule's own memory. Watches that are equal in these share one interpretation.
    """

    def interpret(self, watch: Watch, answer: JsonValue) -> Interpretation:
        """Return the state of the job according to an answer of its poll tool; TpNotJsonError if its shape is wrong."""
        ...


class Settler(Protocol):
    """Determines whether an unanswered start reached TP. Pure, like a rule."""

    def settling_read(self, watch: Watch, /) -> tuple[str, Mapping[str, JsonValue]]:
        """Return the tool and arguments whose answer can settle an unanswered start."""
        ...

    def settle(self, watch: Watch, answer: JsonValue, *, taken: Collection[str]) -> Settlement:
        """Return whether TP has the job according to that answer; `taken` are jobs of other watches."""
        ...


@dataclass(slots=True)
class Answer:
    """One answer of TP, interpreted once for all equal watches that share it; `kept` is the part that is stored."""

    value: JsonValue
    kept: JsonValue
    _interpretations: list[tuple[Watch, Interpretation]] = field(default_factory=list)

    def interpreted(self, watch: Watch, rule: Rule) -> Interpretation:
        """Return the rule's interpretation of the answer for a watch."""
        for other, interpretation in self._interpretations:
            if _are_equal(other, watch):
                return interpretation
        interpretation = rule.interpret(watch, self.value)
        self._interpretations = [(watch, interpretation), *self._interpretations[: _MAX_INTERPRETATIONS - 1]]
        return interpretation


def _are_equal(one: Watch, other: Watch) -> bool:
    """Return whether two watches are equal in all that a rule uses; targets of two servers are never shared."""
    return (
        one.memory == other.memory
        and one.baseline == other.baseline
        and one.answer == other.answer
        and one.spec == other.spec
        and one.origin == other.origin
    )


class Interpreter:
    """Reads targets and applies the rules to the answers; rules and settlers are found by the rule's name."""

    def __init__(self, reader: Reader, rules: Mapping[str, Rule], settlers: Mapping[str, Settler]) -> None:
        self._reader = reader
        self._rules = rules
        self._settlers = settlers

    def request_of(self, watch: Watch) -> tuple[str, Mapping[str, JsonValue]]:
        """Return the tool and arguments that a watch is polled with in its present state."""
        if watch.state is WatchState.STARTING:
            return self._settlers[watch.spec.rule].settling_read(watch)
        return watch.spec.tool, watch.spec.args

    async def read(self, target: Target) -> Answer | TpError:
        """Return TP's answer, or the reason why there is none."""
        try:
            with anyio.fail_after(POLL_TIMEOUT_SECONDS):
                value = await self._reader.read(target.key.tool, target.args, target.key.identity)
            return Answer(value, kept(value))
        except TpError as error:
            return error
        except TpMcpError as error:
            # Any other error is a login that cannot be used: nothing was sent.
            return TpNotAuthenticatedError(error.message, remedy=error.remedy)
        except TimeoutError:
            return TpTimeoutError(f"TP did not answer within {POLL_TIMEOUT_SECONDS:g} s.")
        except Exception:
            # A bug in one poll must not end the other watches of the process.
            logger.exception("Polling %s failed unexpectedly", target.key.tool)
            return TpServerFaultError(_INTERNAL_REASON)

    def step(
        self, watch: Watch, outcome: Answer | TpError, now: float, *, taken: Collection[str] = frozenset()
    ) -> Step:
        """Return the transition that a poll's outcome causes; `taken` are jobs that TP accepted for other watches."""
        if isinstance(outcome, TpError):
            return state_machine.observe_failure(watch, outcome, now=now)
        try:
            if watch.state is WatchState.STARTING:
                settlement = self._settlers[watch.spec.rule].settle(watch, outcome.value, taken=taken)
                return state_machine.observe_settlement(watch, settlement, now=now)
            interpretation = outcome.interpreted(watch, self._rules[watch.spec.rule])
        except TpError as error:
            return state_machine.observe_failure(watch, error, now=now)
        except Exception:
            # A bug in one rule must not end the other watches of the process.
            logger.exception("Interpreting an answer for %s failed unexpectedly", watch.id)
            return state_machine.observe_failure(watch, TpError(_INTERNAL_REASON), now=now)
        return state_machine.observe_answer(watch, interpretation, outcome.kept, now=now)
