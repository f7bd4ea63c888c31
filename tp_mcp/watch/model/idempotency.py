"""Idempotency: the same call again is answered with the first call's watch, and nothing is sent a second time.

Two calls are the same if their keys are equal. A key is made of the tool and its canonical arguments. The store
compares keys within one principal, conversation and TP, in the transaction that would write the new watch, so that of
two calls at once, also from two processes, one is sent. A watch whose key is empty is compared with none.
"""

import hashlib
import json
from collections.abc import Mapping

from pydantic import JsonValue

REPEAT_SECONDS = 60.0
"""Time after the end of a watch in which the same call counts as a repetition."""

_KEY_BYTES = 16
_SCRYPT_COST = 2**14
_SCRYPT_BLOCK_SIZE = 8
"""With the cost above: 16 MiB and some 40 ms for one guess."""


def idempotency_key(tool: str, arguments: Mapping[str, JsonValue], *, secret: str = "") -> str:
    """Return the key of a call: equal for equal calls, and nothing can be read from it.

    The arguments are checked and in one spelling; `secret` are the secrets masked in them. Calls that differ only in a
    secret are different, so it is part of the key, in a form that makes each guess slow: about 40 ms of work, without a
    secret a few microseconds.
    """
    text = json.dumps([tool, arguments], sort_keys=True, separators=(",", ":")).encode()
    plain = hashlib.blake2b(text, digest_size=_KEY_BYTES).digest()
    if not secret:
        return plain.hex()
    return hashlib.scrypt(
        secret.encode(), salt=plain, n=_SCRYPT_COST, r=_SCRYPT_BLOCK_SIZE, p=1, dklen=_KEY_BYTES
    ).hex()
