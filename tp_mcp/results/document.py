"""The shape of a result: the conclusion first, the next step last, and sections between them."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text; where it is too long its middle is left out."""

    text: str


@dataclass(frozen=True, slots=True)
class ItemList:
    """A list; where it is too long its tail is left out and counted.

    Attributes:
        heading: the name of the items, without a colon; may be empty.
        items: one text each; an item may have several lines.
        rest: how to get the items that were left out, such as "list_testcases with offset 20"; may be empty.
        source: where the items came from, such as "TP's report"; they are fenced then. Empty where they are our words.
    """

    heading: str
    items: tuple[str, ...]
    rest: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class LogExcerpt:
    """Text from outside, always fenced; where it is too long the lines that matter least are left out.

    Attributes:
        heading: the name of the log, without a colon; may be empty.
        text: the log as it came.
        exact: keep blank lines at its ends, because the next page continues there.
    """

    heading: str
    text: str
    source: str = "TP"
    exact: bool = False


Section: TypeAlias = Paragraph | ItemList | LogExcerpt


@dataclass(frozen=True, slots=True)
class Document:
    """A whole result.

    Attributes:
        sections: the facts behind it, the most important first.
        next_step: the recommended next action; may be empty.
        full: the complete document, where the tool left something out of this one; the complete one is stored.
    """

    conclusion: str
    sections: tuple[Section, ...] = ()
    next_step: str = ""
    full: "Document | None" = None
