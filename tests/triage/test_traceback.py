from tests.triage.rows import failing, failure, row
from tp_mcp.triage.signature import Signature, without_parameters
from tp_mcp.triage.traceback import Frame, read_traceback

LONG = """cli = <fswlib.cli.CliSession object at 0x7fc4d71b7290>

    def test_radius(cli):
>       cli.run_ok("show user radius")

Tests_CLI/test_radius.py:19:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

    def run_ok(self, command):
>       raise CommandError(command)
E       fswlib.cli.CommandError: 'show user radius' failed with code -61:
E       radiusd: table not loaded

fswlib/cli.py:45: CommandError
------------------------------ Captured log call -------------------------------
ERROR    fswlib:cli.py:36 radiusd: table not loaded
"""

CHAIN = """    def connect():
>       sock.connect()
E       TimeoutError: timed out

/usr/lib/python3.11/socket.py:700: TimeoutError

The above exception was the direct cause of the following exception:

    async def test_it():
>       connect()
E       RuntimeError: cannot reach the lab

tests/test_it.py:4: RuntimeError
"""


def test_a_long_traceback_tells_exception_words_frames_and_output() -> None:
    traceback = read_traceback(LONG)
    assert (traceback.exception, traceback.message) == (
        "CommandError",
        "'show user radius' failed with code -61:\nradiusd: table not loaded",
    )
    assert traceback.frames == (
        Frame("Tests_CLI/test_radius.py", 19, "test_radius"),
        Frame("fswlib/cli.py", 45, "run_ok"),
    )
    assert "table not loaded" in traceback.captured


def test_the_deepest_frame_of_the_tests_own_code_counts() -> None:
    own = read_traceback("""x.py:3: in test_x
    call()
/opt/v/lib/python3.11/site-packages/netlib/ssh.py:9: in call
    raise OSError
E   OSError: gone
""").own_frame
    assert own == Frame("x.py", 3, "test_x")


def test_of_a_chain_the_last_exception_counts_and_the_others_are_its_causes() -> None:
    traceback = read_traceback(CHAIN)
    assert (traceback.exception, traceback.causes) == ("RuntimeError", ("TimeoutError: timed out",))
    assert [frame.own for frame in traceback.frames] == [False, True]


def test_a_native_traceback_is_read() -> None:
    traceback = read_traceback("""Traceback (most recent call last):
  File "/tests/test_x.py", line 3, in test_x
    boom()
  File "/tests/test_x.py", line 9, in boom
    raise ValueError("no")
ValueError: no
""")
    assert (traceback.exception, traceback.message, traceback.own_frame) == (
        "ValueError",
        "no",
        Frame("/tests/test_x.py", 9, "boom"),
    )


def test_a_line_is_all_there_is_with_tb_line() -> None:
    traceback = read_traceback("/tests/test_x.py:9: AssertionError: no\n")
    assert (traceback.exception, traceback.message) == ("AssertionError", "no")


def test_nothing_is_nothing() -> None:
    traceback = read_traceback("")
    assert (traceback.exception, traceback.message, traceback.own_frame) == ("", "", None)


def test_an_exception_without_words_has_a_name() -> None:
    assert read_traceback("E   KeyboardInterrupt").exception == "KeyboardInterrupt"
    assert read_traceback("E   lib.GoneError:").exception == "GoneError"


def test_a_bare_assert_is_an_assertion_error_and_other_words_are_words() -> None:
    assert read_traceback("E   assert 1 == 2").exception == "AssertionError"
    words = read_traceback("E   fixture 'hub' not found\nE\nE   use 'pytest --fixtures'")
    assert (words.exception, words.message) == ("", "fixture 'hub' not found\nuse 'pytest --fixtures'")


def test_a_signature_has_no_line_numbers_and_no_parameters() -> None:
    test = failing("t.py::test_it[corp-1-alice]", "AssertionError: corp-1 is not alice on 10.1.2.3", frame="lib/cli.py")
    assert failure(test).signature == Signature(
        "AssertionError", "<host> is not <param> on <ip>", "lib/cli.py::test_it", "call"
    )


def test_what_pytest_explains_of_a_comparison_is_no_part_of_a_signature() -> None:
    message = "AssertionError: assert 'a' == 'b'\n  \n  - b\n  + a\n  ?  ^\n  +  where 'a' = f()"
    assert failure(failing("t.py::test_it", message)).signature.message == "assert 'a' == 'b'"


def test_a_signature_has_the_same_id_wherever_it_is_made() -> None:
    assert Signature("E", "m", "f", "call").id == Signature("E", "m", "f", "call").id == "s_23fa41d7d0"
    assert Signature("E", "m", "f", "setup").id != Signature("E", "m", "f", "call").id


def test_a_parameter_that_stands_somewhere_as_a_whole_is_not_taken_apart() -> None:
    whole = row("t.py::t[two-part]", "two-part failed for two")
    assert without_parameters("two-part failed for two", whole) == "<param> failed for two"
    assert without_parameters("two failed for part", row("t.py::t[two-part]", "x")) == "<param> failed for <param>"
    assert without_parameters("anything", row("t.py::t")) == "anything"


def test_a_frame_may_lack_its_function_or_be_missing() -> None:
    assert failure(row("t.py::t", "E   Boom: x\nlib/a.py:3: Boom")).signature.frame == "lib/a.py"
    assert failure(row("t.py::t", "E   Boom: x")).signature.frame == ""
    assert failure(row("t.py::t[1]", "E   Boom: x")).function == "t.py::t"
