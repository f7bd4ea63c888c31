"""What the pages on security say is so."""

from pathlib import Path

from tests.options_page import PAGE, page
from tp_mcp.api.guard.pytest_options import FORBIDDEN

ROOT = Path(__file__).parents[1]
NAMED_BY_ITS_WEAKNESS = (
    *("-p", "-c", "--rootdir", "--confcutdir", "-o", "--override-ini", "--pdb", "--basetemp", "--html", "--rack-file"),
    *("--junitxml", "--junit-xml", "--log-file", "--debug", "--pastebin", "-W"),
)


def test_the_page_of_pytests_options_is_the_guards_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.options_page writes it"


def test_what_would_run_or_write_something_else_can_never_be_allowed() -> None:
    assert set(NAMED_BY_ITS_WEAKNESS) <= FORBIDDEN.keys()


def test_readme_leads_to_both_pages() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("SECURITY.md", "docs/pytest-options.md"):
        assert f"({name})" in readme
        assert (ROOT / name).is_file()
