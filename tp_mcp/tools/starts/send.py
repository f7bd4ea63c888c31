"""Sending a start, and turning TP's answer to it into what the registry keeps."""

from collections.abc import Awaitable, Callable, Mapping

from pydantic import JsonValue

from tp_mcp.errors import TpMcpError, TpNotJsonError, WatchSpecError
from tp_mcp.tools.framework.definition import Call
from tp_mcp.watch.model.watch import Watch
from tp_mcp.watch.registry import Accepted, Intent


async def start(intent: Intent, send: Callable[[], Awaitable[Accepted]], call: Call) -> Watch:
    """Start a job and watch it, as `WatchRegistry.start` does; what refuses it is reported by this call's result.

    Raises:
        TpMcpError: it was refused.

    """
    try:
        return await call.services.registry.start(intent, send)
    except TpMcpError:
        # Its end waits in the inbox until the result that says so has surely arrived.
        call.visit.refused.add(intent.id)
        call.visit.reported.add(intent.id)
        raise


def accepted(
    answer: JsonValue,
    poll_args: Callable[[], Mapping[str, JsonValue]],
    *,
    job: str | None = None,
    title: str | None = None,
) -> Accepted:
    """Return an accepted start.

    Raises:
        TpNotJsonError: the answer lacks what is needed to poll its job. TP may have started it all the same.

    """
    try:
        return Accepted(answer=answer, job=job, title=title, spec_args=poll_args())
    except WatchSpecError as error:
        raise TpNotJsonError(
            f"TP accepted the request, but its answer lacks what is needed to watch it: {error}", may_have_acted=True
        ) from None
