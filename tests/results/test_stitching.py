import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.support.examples import examples
from tp_mcp.redaction import Redactor
from tp_mcp.results.stitching import PERHAPS_A_GAP, RESTART, Addition, Known, gap_mark, stitch

TAIL_BYTES = 4_096
SECRET = "correct-horse-battery"
REDACTOR = Redactor((SecretStr(SECRET),))
PIECES = [
    "ok\n",
    "a line of some words\n",
    "grün 語\n",
    "\U0001f642\n",
    f"x {SECRET} y\n",
    f"{SECRET[:9]} \r{SECRET[9:]}\n",
    "10%\r20%\r100%\n",
    "\x1b[31mred\x1b[0m\n",
    "E   boom\n" * 5,
    "a" * 300 + "\n",
    "password=hunter2000\n",
    "with a return\r\n",
    "with two\r\r\n",
]
GAP = re.compile(r"^\[\.\.\. ([\d,]+) bytes of the log are missing here[^\n]*\n", re.MULTILINE)


shown = REDACTOR.safe


def lines(first: int, last: int) -> str:
    return "".join(f"line {number:04}\n" for number in range(first, last))


class Log:
    """What is kept of a log that grows."""

    def __init__(self) -> None:
        self.known, self.text, self.missing = Known(), "", 0

    def see(self, tail: str, size: int | None, *, final: bool = False) -> Addition | None:
        added = stitch(replace(self.known, last=self.text[-8_000:]), tail, size, shown, final=final)
        if added is not None:
            self.text += added.text
            self.missing += added.missing
            self.known = Known(end=added.end, whole_line=added.whole_line)
        return added

    def look(self, data: bytes, size: int, *, final: bool = False) -> Addition | None:
        tail = data[max(0, size - TAIL_BYTES) : size].decode("utf-8", "replace")
        return self.see(tail, size, final=final)


@examples(60)
@given(st.integers(0, 10**9), st.integers(100, 9_000), st.integers(1, 250))
def test_whatever_a_log_holds_its_tails_make_it_up_again_but_for_gaps_that_are_said(
    seed: int, step: int, pieces: int
) -> None:
    rng = random.Random(seed)
    data = "".join(rng.choices(PIECES, k=pieces)).encode()
    log, size = Log(), 0
    while size < len(data):
        size = min(size + rng.randint(0, step), len(data))
        log.look(data, size)
    log.look(data, len(data), final=True)
    assert SECRET not in log.text
    assert "hunter2000" not in log.text
    assert RESTART not in log.text
    assert sum(int(found.replace(",", "")) for found in GAP.findall(log.text)) == log.missing
    assert log.known.end == len(data)
    whole = shown(data.decode())
    if step < 2_500:
        assert log.text == whole
    parts = GAP.split(log.text)[::2]
    assert all(part in whole for part in parts)


def test_tails_that_overlap_are_one_log_and_nothing_is_said_twice() -> None:
    data = lines(0, 2_000).encode()
    log = Log()
    for size in range(0, len(data), 3_000):
        log.look(data, size)
    log.look(data, len(data), final=True)
    assert log.text == data.decode()
    assert log.look(data, len(data), final=True) is None


def test_bytes_between_two_tails_are_said_to_be_missing() -> None:
    data = lines(0, 2_000).encode()
    log = Log()
    log.look(data, 2_000)
    log.look(data, 12_000)
    begin, rest = GAP.split(log.text)[::2]
    assert data.decode().startswith(begin)
    assert rest in data.decode()
    assert log.missing == data.index(rest.encode()) - len(begin)
    assert gap_mark(log.missing) in log.text


def test_the_middle_of_a_line_that_a_tail_begins_with_is_left_out() -> None:
    log = Log()
    log.see(f"{SECRET[5:]} and more\nwhole\n" + "x\n" * 200, 9_000)
    assert log.text.startswith(gap_mark(9_000 - len("whole\n" + "x\n" * 200)) + "whole\nx\n")


def test_a_tail_without_a_whole_line_after_a_gap_adds_nothing() -> None:
    log = Log()
    assert log.see("x" * 4_096, 9_000) is None


def test_a_secret_that_goes_on_in_the_next_tail_is_never_written() -> None:
    data = (lines(0, 100) + f"the token is {SECRET}\n" + lines(100, 200)).encode()
    cut = data.index(SECRET.encode()) + 7
    log = Log()
    log.look(data, cut)
    assert SECRET[:7] not in log.text
    log.look(data, len(data), final=True)
    assert SECRET[:7] not in log.text
    assert "the token is [redacted]\n" in log.text


def test_where_no_place_to_cut_is_safe_everything_waits() -> None:
    redacted_by_chance = "".join(f"password={number}\n:\n" for number in range(300))
    log = Log()
    assert stitch(Known(), redacted_by_chance, len(redacted_by_chance), lambda text: text[::-1], final=False) is None
    assert stitch(Known(), "one\n" + "x" * 300, 304, lambda text: text[::-1], final=False) is None
    log.see(redacted_by_chance, len(redacted_by_chance))
    assert log.text


@pytest.mark.parametrize("later", ["", "rotated\n" * 3])
def test_a_log_that_shrank_is_a_new_part(later: str) -> None:
    log = Log()
    log.look(lines(0, 300).encode(), 3_000)
    log.see("", 0)
    new = "another log begins\n" * 30 + later
    log.see(new, len(new), final=True)
    assert RESTART in log.text
    assert log.text.endswith(RESTART + new)
    assert log.known.end == len(new)


def test_a_log_that_was_replaced_by_a_longer_one_is_a_new_part() -> None:
    log = Log()
    log.look(lines(0, 300).encode(), 3_000)
    other = "".join(f"other {number:04}\n" for number in range(400)).encode()
    log.look(other, len(other))
    assert RESTART + gap_mark(len(other) - TAIL_BYTES + len(other[-TAIL_BYTES:].split(b"\n")[0]) + 1) in log.text
    short = Log()
    short.look(lines(0, 300).encode(), 3_000)
    assert short.see("tiny\n", 5) is None


def test_an_answer_that_was_read_before_and_comes_later_changes_nothing() -> None:
    data = lines(0, 300).encode()
    log = Log()
    log.look(data, 3_000)
    kept = log.text
    assert log.look(data, 2_600) is None
    assert log.look(data, 40) is None
    log.look(data, len(data), final=True)
    assert log.text.startswith(kept)
    assert log.text == data.decode()


def test_the_end_of_a_run_is_taken_whole_and_may_still_grow() -> None:
    log = Log()
    log.see("collecting\nno end", 17, final=True)
    assert log.text == "collecting\nno end\n"
    log.see("collecting\nno end\nmore\nlast", 27, final=True)
    assert log.text == "collecting\nno end\n\nmore\nlast\n"


def test_of_a_progress_bar_without_an_end_the_last_state_stays() -> None:
    bar = "".join(f"downloaded {number:05} kB\r" for number in range(2_000)) + "downloaded all\nnext\n"
    log = Log()
    for size in range(500, len(bar), 500):
        log.look(bar.encode(), size)
    assert log.text == ""
    log.look(bar.encode(), len(bar), final=True)
    assert log.text == "downloaded all\nnext\n"


def test_a_size_that_was_read_a_moment_before_the_tail_is_corrected_by_the_lines() -> None:
    data = lines(0, 600)
    log = Log()
    for place in range(1_000, 5_900, 700):
        # The tail is eight bytes ahead of the size.
        log.see(data[max(0, place + 8 - TAIL_BYTES) : place + 8], place)
    log.see(data[-TAIL_BYTES:], len(data), final=True)
    assert log.text == data


def test_bytes_that_are_no_text_do_not_tear_the_log_apart() -> None:
    data = b"".join(b"line %04d \xff\xfe\xf0\x9f\n" % number for number in range(1_000))
    log = Log()
    for size in range(0, len(data), 1_500):
        log.look(data, size)
    log.look(data, len(data), final=True)
    assert RESTART not in log.text
    first = 1 if log.missing else 0
    assert [int(number) for number in re.findall(r"line (\d+)", log.text)] == list(range(first, 1_000))


def test_without_a_size_the_lines_tell_where_tails_meet() -> None:
    data = lines(0, 600)
    log = Log()
    for place in range(500, 5_500, 900):
        log.see(data[max(0, place - 2_000) : place], None)
    assert data.startswith(log.text)
    log.see("something else\n" * 40, None)
    assert PERHAPS_A_GAP + "something else\n" in log.text
    assert Log().see("", None) is None


def test_where_a_tail_begins_in_the_line_that_is_known_last_the_next_whole_line_goes_on() -> None:
    log = Log()
    log.see("first line\n" + "x" * 300, 311)
    assert log.text == "first line\n"
    log.see("e\nsecond\nthird\n" + "y" * 300, 320)
    assert log.text == "first line\n" + gap_mark(3) + "third\n"


def test_a_long_tail_that_agrees_with_nothing_is_not_looked_through_for_secrets_at_each_line() -> None:
    looks: list[str] = []

    def counted(text: str) -> str:
        looks.append(text)
        return shown(text)

    known = Known(end=4_000, last="something else\n" * 10)
    added = stitch(known, lines(0, 300), 6_000, counted, final=False)
    assert added is not None
    assert added.text.startswith(RESTART)
    assert len(looks) <= 5
