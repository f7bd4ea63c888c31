"""Where a list goes on, page by page."""

import re
from typing import Annotated

from pydantic import Field

from tp_mcp.errors import InvalidArgumentError

Cursor = Annotated[str, Field(description="Cursor from the previous page.")]


def offset_of(cursor: str, count: int) -> int:
    """Return where to go on in a list of so many; at its beginning where there is no cursor.

    Raises:
        InvalidArgumentError: the cursor is not one that this list gave.

    """
    if not cursor:
        return 0
    if not re.fullmatch(r"[0-9]{1,9}", cursor) or int(cursor) >= count:
        raise InvalidArgumentError(
            f"cursor is {cursor!r}, which is not one that this list gave.", remedy='Start over with cursor="0".'
        )
    return int(cursor)
