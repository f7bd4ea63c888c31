"""Asking the user something in the middle of a call, where their client can."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from tp_mcp.redaction import SafeText


class Answer(Enum):
    """What the user said."""

    YES = auto()
    NO = auto()
    NONE = auto()
    """They did not answer in time."""


@dataclass(frozen=True, slots=True)
class Said:
    """The user's answer to a question.

    Attributes:
        code: of the question.
        answer: what they said.

    """

    code: str
    answer: Answer


class Asker(Protocol):
    """Asks the client's user. There is one only where the client declared that it can."""

    @property
    def earlier(self) -> Said | None:
        """Return the answer that came with this call, to a question that an earlier round of it asked."""
        ...

    async def ask(self, question: str, code: str) -> Said:
        """Ask, and return the answer.

        Raises:
            QuestionForUser: the answer comes with another round of this call.

        """
        ...


class QuestionForUser(Exception):  # noqa: N818 -- it is no error: it ends this round of a call
    """The question that has to be answered before the call can go on.

    Attributes:
        question: what to ask.
        code: comes back with the answer.

    """

    def __init__(self, question: SafeText, code: str) -> None:
        super().__init__(question)
        self.question = question
        self.code = code
