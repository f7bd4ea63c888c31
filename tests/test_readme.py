"""The README and the pages behind it agree with the code, and lead to each other."""

import re

from tests.readme import README, ROOT, SETTINGS_PAGE, TOOLS_PAGE, with_tool_table
from tp_mcp.settings import variable_names


def test_the_tool_table_is_the_current_one() -> None:
    text = TOOLS_PAGE.read_text(encoding="utf-8")
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
    text = SETTINGS_PAGE.read_text(encoding="utf-8")
    assert [name for name in variable_names() if f"`{name}`" not in text] == []


def test_the_readme_leads_to_every_page() -> None:
    text = README.read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")]
    assert [page for page in pages if f"({page})" not in text] == []


def test_every_link_between_pages_leads_to_a_file() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_file_that_a_page_names_exists() -> None:
    name = re.compile(r"`([a-z_]+(?:/[a-z_]+)*/(?:[a-z_]+\.(?:py|yaml|json))?)`")
    named = {
        (page.name, each)
        for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
        for each in name.findall(page.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    assert {
        each for each in named if not any((folder / each[1]).exists() for folder in (ROOT, ROOT / "tp_mcp"))
    } == set()
