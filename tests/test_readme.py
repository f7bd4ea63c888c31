"""What the README says is what there is."""

import re

from tests.readme import README, with_tool_table
from tp_mcp.settings import variable_names


def test_the_tool_table_is_the_current_one() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == with_tool_table(text), "run `make readme`"


def test_it_opens_with_one_sentence_and_the_commands_that_run_the_demo_and_the_tests() -> None:
    text = README.read_text(encoding="utf-8")
    title, sentence, rest = text.split("\n\n", 2)
    assert title.startswith("# ")
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
    commands = re.findall(r"^make \w+$", rest, flags=re.MULTILINE)
    assert commands[:2] == ["make demo", "make test"]


def test_every_setting_is_documented() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in variable_names() if f"`{name}`" not in text] == []
