"""What lives as long as the server is not looked through for garbage again and again."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from tests.server.http.conftest import Served
from tp_mcp.server.http.serving import settled


class Cycle:
    """Refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collected_again() -> Iterator[None]:
    yield
    gc.unfreeze()


def is_looked_through(thing: object) -> bool:
    return any(found is thing for found in gc.get_objects())


async def test_the_tools_are_exempt_from_collection_once_the_services_are_open(served: Served) -> None:
    async with settled(served.server)(served.world.services):
        tool = (await served.server.list_tools())[0]
        assert gc.is_tracked(tool)
        assert not is_looked_through(tool)


async def test_garbage_of_before_is_freed_and_later_garbage_still_found(served: Served) -> None:
    before = weakref.ref(Cycle())
    async with settled(served.server)(served.world.services):
        assert before() is None
        after = Cycle()
        assert is_looked_through(after)
