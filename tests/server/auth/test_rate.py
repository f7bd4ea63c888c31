from tests.support.clock import still_clock
from tp_mcp.server.auth.rate_limit import MAX_PRINCIPALS, RateLimit


def test_so_many_at_once_and_then_as_time_passes() -> None:
    clock = still_clock()
    limit = RateLimit(clock, per_minute=60)
    assert [limit.wait("alice") for _ in range(60)] == [0.0] * 60
    assert limit.wait("alice") == 1.0
    clock.time += 0.5
    assert limit.wait("alice") == 0.5
    clock.time += 0.5
    assert limit.wait("alice") == 0.0
    clock.time += 3600
    assert [limit.wait("alice") > 0 for _ in range(61)] == [False] * 60 + [True]


def test_one_principal_does_not_use_up_anothers() -> None:
    limit = RateLimit(still_clock(), per_minute=1)
    assert limit.wait("alice") == 0.0
    assert limit.wait("alice") > 0
    assert limit.wait("bob") == 0.0


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    clock = still_clock()
    limit = RateLimit(clock, per_minute=2)
    limit.wait("alice")
    clock.time -= 1000
    assert limit.wait("alice") == 0.0


def test_who_was_away_longest_is_forgotten_first() -> None:
    limit = RateLimit(still_clock(), per_minute=1)
    limit.wait("alice")
    for number in range(MAX_PRINCIPALS):
        limit.wait(f"user {number}")
    assert limit.wait("alice") == 0.0
    assert limit.wait(f"user {MAX_PRINCIPALS - 1}") > 0
