"""Interpretation of an answer: JSON, a report, or one error of the tree."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urljoin, urlsplit

from pydantic import JsonValue

from tp_mcp.api.endpoints import Endpoint
from tp_mcp.errors import (
    TpBusyError,
    TpError,
    TpForbiddenError,
    TpNotAuthenticatedError,
    TpNotFoundError,
    TpNotJsonError,
    TpRejectedError,
    TpServerFaultError,
)
from tp_mcp.redaction import Redactor

LONGEST_WORDS = 500
"""Limit of TP's own text in an error, in characters."""

_MOST_BYTES = 20_000
_MESSAGE_KEYS = ("error", "detail", "message", "msg", "reason", "non_field_errors")
_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


def clean(text: str, redactor: Redactor, *, longest: int = LONGEST_WORDS) -> str:
    """Return a text as one line without control characters, invisible characters and secrets; a cut is marked."""
    # Redact before the cut, which could leave half a secret, and after removing control characters, which could split
    # one.
    printable = "".join(
        each if each.isprintable() else " " if each.isspace() else "" for each in _ESCAPE_SEQUENCE.sub("", text)
    )
    line = redactor.redact(" ".join(printable.split()))
    return line if len(line) <= longest else f"{line[:longest]}... (cut)"


def server_words(body: bytes, redactor: Redactor) -> str:
    """Return TP's error text in a body; empty if there is none, as in an HTML page."""
    text = body[:_MOST_BYTES].decode("utf-8", errors="replace").strip()
    if text.startswith("<"):
        return ""
    try:
        message = _message(json.loads(text))
    except (ValueError, RecursionError):
        message = text
    return clean(message, redactor)


def _message(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for key in _MESSAGE_KEYS:
            if words := _flat(value.get(key)):
                return words
        return "; ".join(f"{key}: {words}" for key, each in value.items() if (words := _flat(each)))
    return _flat(value)


def _flat(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(each for each in value if isinstance(each, str))
    return value if isinstance(value, str) else ""


_LOOKED_AT_BYTES = 64_000
_LOGIN_PAGE = re.compile(
    rb"type\s*=\s*[\"']?password|<title>[^<]{0,100}(?:log ?in|sign ?in|single sign)|name\s*=\s*[\"']?SAMLRe",
    re.IGNORECASE,
)
_REPORT_PAGE = re.compile(rb"data-jsonblob|results-table|pytest-html", re.IGNORECASE)
_ABOUT_LOGIN = re.compile(r"credential|authenticat|token|signature|expired|not logged in", re.IGNORECASE)
_BASE_URL = "Check TP_MCP_BASE_URL: it is probably not the base URL of a TP."
_RESTARTING = "TP answered before, so it may be restarting: try again in a minute."
_UNKNOWN = "It is unknown whether TP carried out the request: read its state before you repeat it."


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An uninterpreted answer; the names of its headers are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_html(self) -> bool:
        """Whether the body is an HTML page."""
        return "html" in self.headers.get("content-type", "").lower() or self.body[:100].lstrip().startswith(b"<")

    @property
    def is_login_page(self) -> bool:
        """Whether the body is a login page."""
        return self.is_html and _LOGIN_PAGE.search(self.body[:_LOOKED_AT_BYTES]) is not None

    def json(self) -> JsonValue:
        """Parse the body as JSON; raise ValueError if it is not."""
        try:
            value: JsonValue = json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        return value


@dataclass(frozen=True, slots=True)
class Judge:
    """Turns answers into JSON or errors.

    Attributes:
        login_remedy: remedy for a rejected login; names the variables.
        has_answered: True if TP gave a valid answer before, so that address and kind of login are probably right.
    """

    login_remedy: str
    redactor: Redactor
    has_answered: bool = False

    @property
    def address_remedy(self) -> str:
        """Remedy for an answer that does not look like TP's."""
        return _RESTARTING if self.has_answered else _BASE_URL

    def json(self, endpoint: Endpoint, answer: RawAnswer) -> JsonValue:
        """Return the JSON of a successful answer, None for an allowed empty one; raise TpError otherwise."""
        self.check(endpoint, answer)
        if answer.is_login_page:
            raise self.not_authenticated(endpoint, answer, "TP answered with a login page instead of JSON.")
        if not answer.body.strip() and endpoint.answer_may_be_empty:
            return None
        try:
            return answer.json()
        except ValueError:
            raise TpNotJsonError(
                f"TP's answer to {endpoint.name} is {'an HTML page' if answer.is_html else 'something else'} "
                "instead of JSON.",
                remedy=self._remedy_of_no_json(endpoint),
                may_have_acted=not endpoint.reads,
                status_code=answer.status,
            ) from None

    def report(self, endpoint: Endpoint, answer: RawAnswer) -> bytes:
        """Return the body of a report; raise TpNotFoundError if there is none, or another TpError."""
        if answer.status == 404:
            raise TpNotFoundError(
                "TP has no report at this path.", remedy="A report exists after the run has ended.", status_code=404
            )
        self.check(endpoint, answer)
        if answer.is_login_page and not _REPORT_PAGE.search(answer.body[:_LOOKED_AT_BYTES]):
            raise self.not_authenticated(endpoint, answer, "TP answered with a login page instead of the report.")
        return answer.body

    def check(self, endpoint: Endpoint, answer: RawAnswer) -> None:
        """Check the status of an answer; raise TpError unless it is one of success."""
        status = answer.status
        if 200 <= status < 300:
            return
        words = server_words(answer.body, self.redactor)
        if status < 400:
            self._raise_redirected(endpoint, answer)
        if status == 401 or (status == 403 and _ABOUT_LOGIN.search(words)):
            raise self.not_authenticated(endpoint, answer, _with_text("TP rejected the login", words))
        if status == 405:
            raise self.not_authenticated(
                endpoint,
                answer,
                _with_text("TP's proxy answered 'method not allowed', as it does after a login has expired", words),
            )
        if status == 404 and not is_json(answer):
            raise TpNotJsonError(
                f"There is no page at {endpoint.name}'s address: the 404 came without JSON, so it says nothing about "
                "the requested object.",
                remedy=self.address_remedy,
                status_code=status,
            )
        raise _refusal(endpoint, status, words)

    def not_authenticated(self, endpoint: Endpoint, answer: RawAnswer, message: str) -> TpNotAuthenticatedError:
        """Return the error for a missing, wrong or expired login, with its remedy."""
        # A refusal means that nothing was done. A page with a status of success, or a redirect, proves nothing: a proxy
        # may have put it in place of TP's answer.
        unknown = not endpoint.reads and 200 <= answer.status < 400
        remedy = self.login_remedy
        if unknown:
            remedy = f"{_UNKNOWN} If TP keeps asking for a login: {remedy}"
        elif not endpoint.reads:
            remedy = f"According to TP, nothing was started or ended: call again. If TP rejects it again: {remedy}"
        return TpNotAuthenticatedError(message, remedy=remedy, may_have_acted=unknown, status_code=answer.status)

    def _remedy_of_no_json(self, endpoint: Endpoint) -> str:
        unknown = "" if endpoint.reads else _UNKNOWN
        if self.has_answered:
            return unknown or _RESTARTING
        return f"{unknown} {_BASE_URL} If it is right, the login may have expired: {self.login_remedy}".lstrip()

    def _raise_redirected(self, endpoint: Endpoint, answer: RawAnswer) -> NoReturn:
        moved_to = _same_page_elsewhere(answer)
        if moved_to:
            raise TpNotJsonError(
                f"TP redirects to {clean(moved_to, self.redactor, longest=200)}; redirects "
                "are not followed, because they would send the login elsewhere.",
                remedy="Set TP_MCP_BASE_URL to that address if it is TP's.",
                status_code=answer.status,
            )
        raise self.not_authenticated(
            endpoint, answer, "TP redirects to another page, as it does after a login has expired."
        )


def _refusal(endpoint: Endpoint, status: int, words: str) -> TpError:
    if status >= 500:
        return TpServerFaultError(
            _with_text(f"TP failed with status {status} while answering {endpoint.name}", words),
            remedy="Try again in a minute."
            if endpoint.reads
            else "It is unknown whether it carried out the request: read its state from TP.",
            may_have_acted=not endpoint.reads,
            status_code=status,
        )
    if status == 403:
        return TpForbiddenError(
            _with_text(f"TP does not permit this user to call {endpoint.name}", words),
            remedy="Only a lab's owners and the users in its 'usedby' may use it.",
            status_code=status,
        )
    if status == 404:
        return TpNotFoundError(
            _with_text("TP does not know the requested object", words),
            remedy="list_labs has the names of labs, list_watches the executions that were started or watched here.",
            status_code=status,
        )
    if status == 409:
        return TpBusyError(_with_text("TP is busy with another job there", words), status_code=status)
    if status == 429:
        return TpRejectedError(
            _with_text("TP accepts no more requests for now", words), remedy="Wait a minute.", status_code=status
        )
    return TpRejectedError(_with_text(f"TP rejected {endpoint.name} with status {status}", words), status_code=status)


def _same_page_elsewhere(answer: RawAnswer) -> str:
    """Return the base URL of a redirect that keeps the path, such as http to https; empty for other redirects."""
    try:
        requested = urlsplit(answer.url)
        target = urlsplit(urljoin(answer.url, answer.headers.get("location", "")))
    except ValueError:
        return ""
    moved = (target.scheme, target.netloc) != (requested.scheme, requested.netloc)
    same_path = target.path.rstrip("/") == requested.path.rstrip("/")
    return f"{target.scheme}://{target.netloc}" if moved and same_path else ""


def _with_text(message: str, words: str) -> str:
    return f'{message}. It said: "{words}"' if words else f"{message}."


def is_json(answer: RawAnswer) -> bool:
    """Return whether the body is JSON."""
    try:
        answer.json()
    except ValueError:
        return False
    return True
