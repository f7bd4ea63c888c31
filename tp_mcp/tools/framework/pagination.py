"""Lists in pages: the cursor that continues a list."""

import re
from typing import Annotated

from pydantic import Field

from tp_mcp.errors import InvalidArgumentError

Cursor = Annotated[str, Field(description="Cursor from the previous page.")]


def offset_of(cursor: str, count: int) -> int:
    """Return the index at which a list of `count` items continues; 0 without a cursor.

    Raises:
        InvalidArgumentError: the cursor did not come from this list.
    """
    if not cursor:
        return 0
    if not re.fullmatch(r"[0-9]{1,9}", cursor) or int(cursor) >= count:
        raise InvalidArgumentError(
            f"cursor is {cursor!r}, which did not come from this list.", remedy='Start over with cursor="0".'
        )
    return int(cursor)
