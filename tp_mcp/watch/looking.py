"""One look at a target, and what its answer makes of a watch; no failure in it ends more than that look."""

import logging
from collections.abc import Collection, Mapping

import anyio
from pydantic import JsonValue

from tp_mcp.errors import TpError, TpMcpError, TpNotAuthenticatedError, TpServerFaultError, TpTimeoutError
from tp_mcp.watch import machine
from tp_mcp.watch.ports import Reader, Rule, Settler
from tp_mcp.watch.states import Step, Watch, WatchState
from tp_mcp.watch.target import Target

logger = logging.getLogger(__name__)

POLL_TIMEOUT_SECONDS = 30.0
_INTERNAL_REASON = "The latest look at TP failed for an internal reason; see the server's log."


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

    async def read(self, target: Target) -> JsonValue | TpError:
        """Return TP's answer, or why there is none."""
        try:
            with anyio.fail_after(POLL_TIMEOUT_SECONDS):
                return await self._reader.read(target.key.tool, target.args)
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
        self, watch: Watch, outcome: JsonValue | TpError, now: float, *, taken: Collection[str] = frozenset()
    ) -> Step:
        """Return what an answer, or its absence, makes of a watch; `taken` are jobs that TP accepted for others."""
        if isinstance(outcome, TpError):
            return machine.observe_failure(watch, outcome, now=now)
        try:
            if watch.state is WatchState.STARTING:
                settlement = self._settlers[watch.spec.rule].settle(watch, outcome, taken=taken)
                return machine.observe_settlement(watch, settlement, now=now)
            interpretation = self._rules[watch.spec.rule].interpret(watch, outcome)
        except TpError as error:
            return machine.observe_failure(watch, error, now=now)
        except Exception:
            # A fault of ours over one answer must not end every other watch of the process.
            logger.exception("Taking in an answer for %s failed unexpectedly", watch.id)
            return machine.observe_failure(watch, TpServerFaultError(_INTERNAL_REASON), now=now)
        return machine.observe_answer(watch, interpretation, outcome, now=now)
