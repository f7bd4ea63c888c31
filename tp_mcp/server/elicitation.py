"""Asking the client's user, the way each protocol era does it.

The handshake era sends the question as a request of its own in the middle of the call. Since 2026-07-28 a server sends
no requests: the call ends with the question as its result, and the client calls again with the answer.
"""

import logging
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import ClientCapabilities, ElicitResult, InputRequiredResult
from pydantic import BaseModel, Field, ValidationError

from tp_mcp.access.confirmations import CODE_SECONDS
from tp_mcp.redaction import Redactor
from tp_mcp.server.identity import SESSIONLESS_SINCE
from tp_mcp.server.outgoing import ask_user, question_request
from tp_mcp.tools.framework.questions import Answer, Asker, QuestionForUser, Said

logger = logging.getLogger(__name__)

QUESTION = "confirm"


class Consent(BaseModel):
    """The form that the user fills in."""

    do_it: bool = Field(title="Do it now", description="It starts at once, and may not be undone.")


def asker_of(context: Context[Any, Any], redactor: Redactor) -> Asker | None:
    """Return the asker for the user of a request's client; None where the client did not declare that it can ask."""
    if not _can_ask(context.client_capabilities):
        return None
    if (context.protocol_version or "") >= SESSIONLESS_SINCE:
        return RoundTripAsker(_earlier(context), redactor)
    return InlineAsker(context, redactor)


def question_result(question: QuestionForUser) -> InputRequiredResult:
    """Return the result that ends a round with a question."""
    return InputRequiredResult(
        input_requests={QUESTION: question_request(question.question, Consent)}, request_state=question.code
    )


@dataclass(frozen=True, slots=True)
class RoundTripAsker:
    """Ends this round of the call with the question; the next one has the answer."""

    earlier: Said | None
    redactor: Redactor

    async def ask(self, question: str, code: str) -> Said:
        """Ask by raising `QuestionForUser`."""
        # The question has names from TP in it, and what a caller passed.
        raise QuestionForUser(self.redactor.safe(question), code)


@dataclass(frozen=True, slots=True)
class InlineAsker:
    """Asks while the call goes on, so that there is no earlier round."""

    context: Context[Any, Any]
    redactor: Redactor
    earlier: Said | None = None

    async def ask(self, question: str, code: str) -> Said:
        """Ask, and wait for as long as the code is good."""
        with anyio.move_on_after(CODE_SECONDS):
            try:
                outcome = await ask_user(self.context, self.redactor.safe(question), Consent)
            except (MCPError, ValueError) as error:
                # It declared that it can ask, and cannot; or it answered something that is no answer.
                logger.warning("The client could not ask its user: %s", error)
                return Said(code, Answer.NONE)
            agreed = outcome.action == "accept" and outcome.data.do_it
            return Said(code, Answer.YES if agreed else Answer.NO)
        return Said(code, Answer.NONE)


def _can_ask(capabilities: ClientCapabilities | None) -> bool:
    elicitation = capabilities.elicitation if capabilities is not None else None
    # Before there were modes, forms were all there was, and were declared by an empty object.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _earlier(context: Context[Any, Any]) -> Said | None:
    code, answer = context.request_state, (context.input_responses or {}).get(QUESTION)
    if not code or not isinstance(answer, ElicitResult):
        return None
    try:
        agreed = answer.action == "accept" and Consent.model_validate(answer.content).do_it
    except ValidationError:
        agreed = False
    return Said(code, Answer.YES if agreed else Answer.NO)
