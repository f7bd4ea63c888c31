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
        heading: what the items are, without a colon; may be empty.
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
        heading: what it is, without a colon; may be empty.
        text: the log as it came.
        source: where it came from, such as "TP".
        exact: blank lines at its ends belong to it, because what comes next goes on from there.

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
        conclusion: what the reader needs if nothing else is read.
        sections: what supports it, the most important first.
        next_step: what to do next; may be empty.
        full: the same with what was left out here already, where something was; that is what is kept.

    """

    conclusion: str
    sections: tuple[Section, ...] = ()
    next_step: str = ""
    full: "Document | None" = None
