"""Signatures that tell an endpoint who sends, and that nothing was changed or played again.

The scheme is that of Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, timestamp and body.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from pydantic import SecretStr

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 -- what such secrets begin with
VERSION = "v1"


def signed_headers(secret: SecretStr, event_id: str, timestamp: int, body: str) -> Mapping[str, str]:
    """Return the headers that sign one attempt to send an event.

    Args:
        secret: shared with the endpoint; one that begins with `whsec_` is Base64, any other is taken as it is.
        event_id: the same on each attempt.
        timestamp: of the attempt, whole seconds since the epoch.
        body: what is sent.

    """
    signed = f"{event_id}.{timestamp}.{body}".encode()
    signature = base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()
    return {ID_HEADER: event_id, TIMESTAMP_HEADER: str(timestamp), SIGNATURE_HEADER: f"{VERSION},{signature}"}


def _key(secret: SecretStr) -> bytes:
    plain = secret.get_secret_value()
    if plain.startswith(SECRET_PREFIX):
        try:
            return base64.b64decode(plain.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            pass
    return plain.encode()
