"""Turning TP's answer to a start into what the registry keeps."""

from collections.abc import Callable, Mapping

from pydantic import JsonValue

from tp_mcp.errors import TpNotJsonError, WatchSpecError
from tp_mcp.watch.registry import Accepted


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
