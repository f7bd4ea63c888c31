"""One look at a target, and what its answer makes of a watch; no failure in it ends more than that look."""

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
_INTERNAL_REASON = "The latest look at TP failed for an internal reason; see the server's log."
_MOST_COMPARED = 4


class Reader(Protocol):
    """Polls a tool by name."""

    async def read(self, tool: str, args: Mapping[str, JsonValue], identity: str, /) -> JsonValue:
        """Return the tool's own JSON, asked for once, without retries.

        Args:
            tool: the tool.
            args: its arguments.
            identity: whose login to ask with; empty for the configured one.

        Raises:
            TpError: there was no answer that could be read.

        """
        ...


class Rule(Protocol):
    """Knows one kind of job. Pure: it is given everything and changes nothing.

    Of a watch it looks at the server, the spec, the origin, the baseline, TP's answer to the start and its own memory
    only: watches of one server that are alike in these share one interpretation.
    """

    def interpret(self, watch: Watch, answer: JsonValue) -> Interpretation:
        """Tell what an answer of the watch's poll tool says of its job.

        Raises:
            TpNotJsonError: the answer does not have the shape that the contract promises.

        """
        ...


class Settler(Protocol):
    """Tells by reading whether a start that was never answered reached TP. Pure, like a rule."""

    def settling_read(self, watch: Watch, /) -> tuple[str, Mapping[str, JsonValue]]:
        """Return the tool and arguments whose answer can settle a start that was never answered."""
        ...

    def settle(self, watch: Watch, answer: JsonValue, *, taken: Collection[str]) -> Settlement:
        """Tell from that answer whether TP has the job."""
        ...


@dataclass(slots=True)
class Answer:
    """One answer of TP's. What is made of it is made once for the watches that share it, as far as they are alike.

    Attributes:
        value: TP's own JSON.
        kept: what is kept of it.

    """

    value: JsonValue
    kept: JsonValue
    _made: list[tuple[Watch, Interpretation]] = field(default_factory=list)

    def interpreted(self, watch: Watch, rule: Rule) -> Interpretation:
        """Return what a rule makes of it for a watch."""
        for like, interpretation in self._made:
            if _alike(like, watch):
                return interpretation
        interpretation = rule.interpret(watch, self.value)
        self._made = [(watch, interpretation), *self._made[: _MOST_COMPARED - 1]]
        return interpretation


def _alike(one: Watch, other: Watch) -> bool:
    """Return whether a rule, which looks at nothing else of a watch, cannot tell two of them apart."""
    return (
        one.memory == other.memory
        and one.baseline == other.baseline
        and one.answer == other.answer
        and one.spec == other.spec
        and one.origin == other.origin
    )


class Looking:
    """Reads targets, and lets the rules tell what the answers mean."""

    def __init__(self, reader: Reader, rules: Mapping[str, Rule], settlers: Mapping[str, Settler]) -> None:
        """Prepare.

        Args:
            reader: polls a tool by name.
            rules: by name, what an answer means.
            settlers: by name, how a start without an answer is settled.

        """
        self._reader = reader
        self._rules = rules
        self._settlers = settlers

    def what_to_read(self, watch: Watch) -> tuple[str, Mapping[str, JsonValue]]:
        """Return the tool and arguments that a watch is polled with as it stands."""
        if watch.state is WatchState.STARTING:
            return self._settlers[watch.spec.rule].settling_read(watch)
        return watch.spec.tool, watch.spec.args

    async def read(self, target: Target) -> Answer | TpError:
        """Return TP's answer, or why there is none."""
        try:
            with anyio.fail_after(POLL_TIMEOUT_SECONDS):
                value = await self._reader.read(target.key.tool, target.args, target.key.identity)
            return Answer(value, kept(value))
        except TpError as error:
            return error
        except TpMcpError as error:
            # What is not TP's refusal is a login that cannot be used: nothing was sent.
            return TpNotAuthenticatedError(error.message, remedy=error.remedy)
        except TimeoutError:
            return TpTimeoutError(f"TP did not answer within {POLL_TIMEOUT_SECONDS:g} s.")
        except Exception:
            # A fault of ours in one poll must not end every other watch of the process.
            logger.exception("Polling %s failed unexpectedly", target.key.tool)
            return TpServerFaultError(_INTERNAL_REASON)

    def step(
        self, watch: Watch, outcome: Answer | TpError, now: float, *, taken: Collection[str] = frozenset()
    ) -> Step:
        """Return what an answer, or its absence, makes of a watch; `taken` are jobs that TP accepted for others."""
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
            # A fault of ours over one answer must not end every other watch of the process.
            logger.exception("Taking in an answer for %s failed unexpectedly", watch.id)
            return state_machine.observe_failure(watch, TpServerFaultError(_INTERNAL_REASON), now=now)
        return state_machine.observe_answer(watch, interpretation, outcome.kept, now=now)
