"""Questions to the user during a call, for clients that can ask them."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from tp_mcp.redaction import SafeText


class Answer(Enum):
    """The user's decision."""

    YES = auto()
    NO = auto()
    NONE = auto()
    """No answer in time."""


@dataclass(frozen=True, slots=True)
class Said:
    """The user's answer to a question.

    Attributes:
        code: the code of the question.
        answer: the user's decision.
    """

    code: str
    answer: Answer


class Asker(Protocol):
    """Asks the client's user. It exists only for clients that declared this ability."""

    @property
    def earlier(self) -> Said | None:
        """Return the answer to a question of an earlier round, if this call brought one."""
        ...

    async def ask(self, question: str, code: str) -> Said:
        """Ask a question and return the answer.

        Raises:
            QuestionForUser: the answer comes with the next round of this call.
        """
        ...


class QuestionForUser(Exception):  # noqa: N818 -- not an error: it ends this round of a call
    """A question that the user has to answer before the call can continue.

    Attributes:
        question: the text of the question.
        code: returns with the answer.
    """

    def __init__(self, question: SafeText, code: str) -> None:
        super().__init__(question)
        self.question = question
        self.code = code
