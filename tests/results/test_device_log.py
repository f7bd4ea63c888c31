"""The session of a device is shown without the command that holds a password."""

from tests.support.table import table
from tp_mcp.results.log_excerpt import BEGINNING_LEFT_OUT, COMMAND_LEFT_OUT, FULL_TAIL_CHARACTERS, without_command

PASSWORD = "Hunter2Secret"
LINE = f"FSW-AT16 # execute restore image scp /builds/fsw/6957/image.out 10.1.1.1 builder {PASSWORD}"
BELOW = "This operation will replace the firmware!\nbuild 6957 not found on the server"


def leaks(text: str) -> bool:
    """Return whether four characters in a row of the password are there."""
    return any(PASSWORD[at : at + 4] in text for at in range(len(PASSWORD) - 3))


def test_a_log_without_a_command_stays_as_it_is() -> None:
    assert without_command(BELOW) == BELOW
    assert without_command("") == ""


def test_the_command_goes_and_what_stands_around_it_stays() -> None:
    log = f"connected\n{LINE}\n{BELOW}\n{LINE}\n{BELOW}"
    left = f"FSW-AT16 # {COMMAND_LEFT_OUT}\n{BELOW}"
    assert without_command(log) == f"connected\n{left}\n{left}"


@table("after", ["", "\n", "\nlast"])
def test_a_command_at_the_end_goes_too(after: str) -> None:
    assert not leaks(without_command(LINE + after))
    assert not leaks(without_command(LINE[: -len(PASSWORD) - 1] + after))


@table("at", range(len(LINE)))
@table("broken", [" \r", "\r\n", "\n", "\x1b[0m", "\x1b]0;x\x07", "\u200b", " \r\x1b[K"])
def test_it_goes_wherever_a_terminal_broke_it(broken: str, at: int) -> None:
    text = without_command(f"connected\r\n{LINE[:at]}{broken}{LINE[at:]}\r\n{BELOW}")
    assert not leaks(text)
    assert text.startswith("connected\n")
    assert text.endswith(BELOW)


@table("path", ["/a" * 20, "/a" * 60, "/a" * 100])
@table("width", [80, 132])
@table("prompt", range(0, 80, 7))
def test_it_goes_where_it_takes_several_lines_of_the_terminal(prompt: int, width: int, path: str) -> None:
    line = f"{'F' * prompt} # execute restore image scp {path} 10.1.1.1 builder {PASSWORD}"
    broken = "\r\n".join(line[at : at + width] for at in range(0, len(line), width))
    text = without_command(f"{broken}\r\n{BELOW}")
    assert not leaks(text)
    assert "build 6957 not found" in text


@table("broken", ["", " \r", "\r\n"])
@table("at", range(len(LINE)))
def test_a_cut_log_that_begins_inside_the_command_loses_it(at: int, broken: str) -> None:
    middle = LINE[:-7] + broken + LINE[-7:]
    rest = "\n".join("Please wait a while" for _ in range(FULL_TAIL_CHARACTERS // 20 + 1))
    text = without_command(f"{middle[at:]}\n{BELOW}\n{rest}")
    assert not leaks(text)
    assert text.startswith(BEGINNING_LEFT_OUT)
    assert "build 6957 not found" in text


def test_a_cut_log_of_one_line_is_left_out() -> None:
    assert without_command("x" * FULL_TAIL_CHARACTERS) == f"{BEGINNING_LEFT_OUT}\n"
