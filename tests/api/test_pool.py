"""Connections: the one that was used last is used next, idle ones are closed, and there are only so many."""

from contextlib import AsyncExitStack

import anyio
import httpx2
import pytest

from tp_mcp.api.connection import Pool


class Transport(httpx2.AsyncBaseTransport):
    closed = False

    async def aclose(self) -> None:
        self.closed = True


class Made:
    """Makes transports and remembers them."""

    def __init__(self) -> None:
        self.transports: list[Transport] = []

    def __call__(self) -> Transport:
        self.transports.append(Transport())
        return self.transports[-1]


def pool_of(made: Made, *, most: int = 3, wait_seconds: float = 5.0, idle_seconds: float = 60.0) -> Pool:
    return Pool(made, most=most, wait_seconds=wait_seconds, idle_seconds=idle_seconds)


async def test_one_request_after_the_other_uses_one_connection() -> None:
    made = Made()
    pool = pool_of(made)
    for _ in range(5):
        async with pool.lent():
            pass
    assert len(made.transports) == 1


async def test_requests_at_once_use_one_connection_each_and_the_last_one_used_is_used_next() -> None:
    made = Made()
    pool = pool_of(made)
    async with AsyncExitStack() as stack:
        lent = [await stack.enter_async_context(pool.lent()) for _ in range(3)]
        assert len(set(lent)) == 3
    async with pool.lent() as next_one:
        assert next_one is lent[0], "it was given back last"
    assert len(made.transports) == 3


async def test_a_request_that_finds_all_in_use_waits_for_one() -> None:
    made = Made()
    pool = pool_of(made, most=1)
    got = anyio.Event()

    async def second() -> None:
        async with pool.lent():
            got.set()

    async with anyio.create_task_group() as tasks:
        async with pool.lent():
            tasks.start_soon(second)
            await anyio.wait_all_tasks_blocked()
            assert not got.is_set()
        await got.wait()
    assert len(made.transports) == 1


async def test_a_request_does_not_wait_for_ever() -> None:
    pool = pool_of(Made(), most=1, wait_seconds=0.01)
    async with pool.lent():
        with pytest.raises(httpx2.PoolTimeout):
            async with pool.lent():
                pass
    async with pool.lent():
        pass


async def test_what_was_not_used_for_long_is_closed() -> None:
    made = Made()
    pool = pool_of(made, idle_seconds=-1.0)
    async with pool.lent():
        pass
    assert [each.closed for each in made.transports] == [True]
    async with pool.lent():
        pass
    assert len(made.transports) == 2


async def test_closing_closes_also_what_is_in_use_and_it_is_not_used_again() -> None:
    made = Made()
    pool = pool_of(made)
    async with pool.lent():
        async with pool.lent():
            pass
        await pool.aclose()
        assert [each.closed for each in made.transports] == [True, True]
    async with pool.lent():
        pass
    assert len(made.transports) == 3


async def test_a_request_that_fails_gives_its_connection_back() -> None:
    made = Made()
    pool = pool_of(made, most=1)
    with pytest.raises(httpx2.ReadError):
        async with pool.lent():
            raise httpx2.ReadError("broken")
    async with pool.lent():
        pass
    assert len(made.transports) == 1
