"""The one exit: every text that leaves the process passes `Redactor.safe`.

It takes out secrets, and everything that a screen does not show. Its result has a type of its own, `SafeText`. Whatever
sends, shows, logs or stores a text takes that type, so mypy finds an exit that forgot.
"""

import functools
import itertools
import json
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NewType
from urllib.parse import quote, quote_plus

from pydantic import JsonValue, SecretStr

SafeText = NewType("SafeText", str)
"""A text without secrets, control sequences and invisible characters. Only `Redactor` makes one, and cuts keep it."""

NOTHING = SafeText("")
REDACTED = "[redacted]"

SHORTEST_SECRET = 4
"""Shortest known secret that is searched for, in characters: a shorter one would garble every text."""

LEARNT_MAX = 32
"""Most secrets that a process remembers beyond those that it was started with: each costs time on every text."""

# Characters that a terminal puts between two characters of a line, such as a break at its width.
_WRAP = r"(?:\x1b\[[0-?]*[ -/]*[@-~]|[ \t]?[\r\n]|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f])*+"

# A closing quote may be missing: the text was cut.
_QUOTED = r"""\\"[^"\\]*(?:\\")?|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?"""
_PATTERNS = (
    # Authorization: JWT eyJ...; the header's whole value, whatever its scheme. A redacted value stays as it is.
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


# Operating system commands and other strings end at their terminator, or at the end of the line where it is missing.
_TERMINAL = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]*(?:\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
_LINE_BREAK = re.compile("\r\n|[\x0b\x0c\x85\u2028\u2029]")
# Control characters except newline and tab, and invisible or direction-changing characters: soft hyphen, joiners,
# bidirectional controls, invisible operators, fillers, variation selectors, annotations, tags, marks that
# shape what follows them.
_INVISIBLE_CHARACTERS = (
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_INVISIBLE_CHARACTERS}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TO_CLEAN = re.compile(f"[{_INVISIBLE_CHARACTERS}\r\x0b\x0c\u2028\u2029\ud800-\udfff]")
"""A character of this kind is in every text that `clean` changes; terminal sequences begin with a control character."""
_PLAIN_ASCII = b"\t\n" + bytes(range(0x20, 0x7F))


class Secrets:
    """The secrets that a process knows: those it was started with, and the latest `LEARNT_MAX` it learnt since.

    A redactor over it knows at once each secret that is learnt.
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
    """Removes secrets from text: known secrets in their usual encodings, and anything that looks like a secret.

    Attributes:
        secrets: the known ones; read again for each text, so that secrets learnt later count too.
    """

    secrets: Iterable[SecretStr] = ()

    def knowing(self, *sources: Iterable[SecretStr]) -> "Redactor":
        """Return a redactor that knows the secrets in `sources` as well, and those that are added to them later."""
        return Redactor(_Joined((self.secrets, *sources)))

    def safe(self, text: str) -> SafeText:
        """Return `text` as it may leave the process: without secrets and without invisible characters."""
        # Before: what a terminal drew over may hold half a secret. After: control sequences may have hidden one.
        redacted = self.redact(text)
        cleaned = clean(redacted)
        return SafeText(cleaned if cleaned == redacted else self.redact(cleaned))

    def safe_line(self, text: str) -> SafeText:
        """Return `text` as it may leave the process, on one line."""
        return SafeText(self.redact(one_line(self.safe(text))))

    def safe_json(self, value: JsonValue) -> SafeText:
        """Return `value` as compact JSON with every text in it safe, the keys included."""
        return SafeText(json.dumps(self._safe_value(value), ensure_ascii=False, separators=(",", ":")))

    def redact(self, text: str) -> str:
        """Return `text` with every secret replaced by `[redacted]`. Only `safe` makes a text that may leave."""
        spellings = _spellings(tuple(self.secrets))
        for spelling in spellings:
            text = text.replace(spelling, REDACTED)
        if not text.isprintable():
            for spelling in spellings:
                text = re.sub(_WRAP.join(map(re.escape, spelling)), REDACTED, text)
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\g<1>{REDACTED}", text)
        return text

    def _safe_value(self, value: JsonValue) -> JsonValue:
        match value:
            case str():
                return self.safe(value)
            case list():
                return [self._safe_value(item) for item in value]
            case dict():
                return {self.safe(key): self._safe_value(item) for key, item in value.items()}
            case _:
                return value


@dataclass(frozen=True, slots=True)
class _Joined:
    """Several sources of secrets as one."""

    sources: tuple[Iterable[SecretStr], ...]

    def __iter__(self) -> Iterator[SecretStr]:
        return itertools.chain.from_iterable(self.sources)


@functools.lru_cache(maxsize=16)
def _spellings(secrets: tuple[SecretStr, ...]) -> tuple[str, ...]:
    """Return every usual encoding of some secrets. Cached: a long result asks for them for each of its items."""
    spellings: set[str] = set()
    for secret in secrets:
        plain = secret.get_secret_value()
        if len(plain) >= SHORTEST_SECRET:
            spellings |= {plain, quote(plain, safe=""), quote_plus(plain), json.dumps(plain)[1:-1], repr(plain)[1:-1]}
    # The longest first, so that a secret which contains another one goes as a whole.
    return tuple(sorted(spellings, key=len, reverse=True))


def clean(text: str) -> str:
    """Return the text as a screen would show it, in newlines, tabs and visible characters.

    Terminal sequences, control and invisible characters are dropped, of a line that was written over with carriage
    returns its last state is kept, other line breaks become newlines, and a lone surrogate becomes U+FFFD.
    """
    if text.isascii():
        # Ten times as fast as the search.
        if not text.encode().translate(None, _PLAIN_ASCII):
            return text
    elif not _TO_CLEAN.search(text):
        return text
    text = _LINE_BREAK.sub("\n", _TERMINAL.sub("", text))
    if "\r" in text:
        text = "\n".join(_last_state(line) for line in text.split("\n"))
    return _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", text))


def one_line(text: str) -> str:
    """Return the cleaned text on one line."""
    return " ".join(clean(text).split())


def _last_state(line: str) -> str:
    states = [state for state in line.split("\r") if state]
    return states[-1] if states else ""


class RedactingFilter(logging.Filter):
    """Makes the message, traceback and stack of every log record safe. Put it on handlers, not on loggers."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor
        self._formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Make the record safe in place; return True."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = f"{record.msg} {record.args}"
        record.msg = self._redactor.safe(message)
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = self._formatter.formatException(record.exc_info)
        # Handlers that draw the exception themselves would show it unredacted.
        record.exc_info = None
        if record.exc_text:
            record.exc_text = self._redactor.safe(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.safe(record.stack_info)
        return True
