"""Keeps secrets out of everything that is logged, shown or stored as text."""

import json
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

REDACTED = "[redacted]"

SHORTEST_SECRET = 4
"""Characters below which a known secret is not looked for: it would garble every text and hide nothing."""

LEARNT_MAX = 32
"""How many secrets a process remembers beyond those that it was started with: each costs time on every text."""

# What a terminal may put between two characters of a line that is longer than its width, or of any other.
_WRAP = r"(?:\x1b\[[0-?]*[ -/]*[@-~]|[ \t]?[\r\n]|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f])*+"

# A closing quote may be missing: the text was cut.
_QUOTED = r"""\\"[^"\\]*(?:\\")?|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?"""
_PATTERNS = (
    # Authorization: JWT eyJ...; the header's whole value, whatever its scheme. What was redacted before stays as it is.
    re.compile(r"(?i)(authorization(?:(?!\[redacted\])\W){1,6})(?:(?:jwt|bearer|basic|token|digest)\s+)?[^\s\"',;}]+"),
    re.compile(r"(?i)\b((?:jwt|bearer)\s+)[A-Za-z0-9._~+/=-]{12,}"),
    # Anything that looks like a JWT: base64url of '{"', a dot, more of it
    re.compile(r"()(?<![\w-])eyJ[\w-]{4,}+\.[\w-]++(?:\.[\w-]*+)?"),
    re.compile(r"(?i)(execute\s+restore\s+image\s+scp\s+[^\s]+\s+[^\s]+\s+[^\s]+\s+)[^\s\"']+"),
    re.compile(rf"(?i)((?:password|passwd|passphrase|token|secret)\\*[\"']?\s{{0,4}}[:=]\s{{0,4}})(?:{_QUOTED})"),
    re.compile(r"(?i)((?:password|passwd|passphrase)\s{0,4}[:=]\s{0,4}|(?:token|secret)=)[^\s\"'&,;\\]+"),
    # scheme://user:password@host
    re.compile(r"(://[^\s/@:]{0,100}:)[^\s/@]{1,200}(?=@)"),
)


class Secrets:
    """The secrets that a process knows: those it was started with, and the latest `LEARNT_MAX` it learnt since.

    A redactor that was given it knows at once what is learnt.
    """

    def __init__(self, *known: SecretStr) -> None:
        self._known = known
        self._learnt: tuple[SecretStr, ...] = ()

    def __iter__(self) -> Iterator[SecretStr]:
        return iter((*self._known, *self._learnt))

    def learn(self, secret: SecretStr) -> None:
        """Remember one more."""
        others = (each for each in self._learnt if each != secret)
        self._learnt = (*others, secret)[-LEARNT_MAX:]


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes secrets out of texts: those it knows, in their usual encodings, and those that look like one.

    Attributes:
        secrets: the known ones; looked at anew for each text.

    """

    secrets: Iterable[SecretStr] = ()

    def knowing(self, *secrets: SecretStr) -> "Redactor":
        """Return a redactor that knows `secrets` as well."""
        return Redactor((*self.secrets, *secrets))

    def redact(self, text: str) -> str:
        """Return `text` with every secret replaced by `[redacted]`."""
        spellings = self._spellings()
        for spelling in spellings:
            text = text.replace(spelling, REDACTED)
        if not text.isprintable():
            for spelling in spellings:
                text = re.sub(_WRAP.join(map(re.escape, spelling)), REDACTED, text)
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\g<1>{REDACTED}", text)
        return text

    def _spellings(self) -> list[str]:
        spellings: set[str] = set()
        for secret in self.secrets:
            plain = secret.get_secret_value()
            if len(plain) >= SHORTEST_SECRET:
                spellings |= {
                    plain,
                    quote(plain, safe=""),
                    quote_plus(plain),
                    json.dumps(plain)[1:-1],
                    repr(plain)[1:-1],
                }
        # The longest first, so that a secret which contains another one goes as a whole.
        return sorted(spellings, key=len, reverse=True)


class RedactingFilter(logging.Filter):
    """Redacts the message, traceback and stack of every log record that passes. Put it on handlers, not on loggers."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor
        self._formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True after the record was redacted in place."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = f"{record.msg} {record.args}"
        record.msg = self._redactor.redact(message)
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = self._formatter.formatException(record.exc_info)
        # Handlers that draw the exception themselves would show it unredacted.
        record.exc_info = None
        if record.exc_text:
            record.exc_text = self._redactor.redact(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.redact(record.stack_info)
        return True
