"""What docs/connectors.md says can be written, can be; and it leaves no key of the format out."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from tp_mcp.connectors.examination import examine
from tp_mcp.connectors.manifest import (
    AsyncBlock,
    Auth,
    ConnectionTest,
    FollowUp,
    HttpOptions,
    Manifest,
    Match,
    Parameter,
    ProgressMessage,
    Request,
    Setting,
    ToolManifest,
)

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "connectors.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
(WHOLE,) = [block for block in BLOCKS if block.startswith("id:")]
PARTS = [block for block in BLOCKS if not block.startswith("id:")]
MODELS: tuple[type[BaseModel], ...] = (
    *(Manifest, Setting, Auth, HttpOptions, ConnectionTest, ToolManifest, Parameter, Request, AsyncBlock, Match),
    *(FollowUp, ProgressMessage),
)


def test_the_whole_example_is_a_connector_without_a_warning() -> None:
    examination = examine(WHOLE)
    assert examination.problems == ()
    assert examination.warnings == ()


@pytest.mark.parametrize("part", PARTS)
def test_every_further_example_can_stand_in_it(part: str) -> None:
    document: dict[str, Any] = yaml.safe_load(WHOLE)
    document["settings"] |= {"username": {"type": "string"}, "password": {"type": "secret"}}
    document["settings"] |= {"api_token": {"type": "secret"}}
    assert examine(yaml.safe_dump({**document, **yaml.safe_load(part)})).problems == ()


def test_every_match_that_is_shown_can_be_used() -> None:
    shown = re.findall(r"^\| `(\{path: .*?\})` \|", TEXT, re.MULTILINE)
    assert len(shown) == len(Match.operators())
    for match in shown:
        document: dict[str, Any] = yaml.safe_load(WHOLE)
        document["tools"]["start_build"]["async"]["fail_match"] = yaml.safe_load(match)
        assert examine(yaml.safe_dump(document)).problems == ()


def test_what_may_follow_an_end_can_follow_it() -> None:
    for follow_up in re.findall(r"^\| `(\{mode: .*?\})` \|", TEXT, re.MULTILINE):
        document: dict[str, Any] = yaml.safe_load(WHOLE.replace("get_build", "get_report"))
        document["tools"]["start_build"]["async"]["on_done"] = yaml.safe_load(follow_up)
        assert examine(yaml.safe_dump(document)).problems == ()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_key_of_the_format_is_left_out(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        key = field.alias or name
        assert re.search(rf"[`{{ ]{re.escape(key)}[`:. ]", TEXT), f"{model.__name__}.{key}"
        for choice in get_args(field.annotation):
            if isinstance(choice, str):
                assert choice in TEXT, f"{model.__name__}.{key}: {choice}"


@pytest.mark.parametrize("page", ["connectors.md", "forge.md"])
def test_it_is_linked_from_the_readme_and_its_own_links_lead_somewhere(page: str) -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert f"(docs/{page})" in readme
    for target in re.findall(r"\]\(([^)#]+)\)", (DOCS / page).read_text(encoding="utf-8")):
        assert target.startswith("https://") or (DOCS / target).exists(), target
