"""Which conversation a request belongs to.

A client that names the conversation, in the request's `_meta` or in the environment of the server it spawned, gives an
exact key. Otherwise the key is the project directory of the stdio process, which two chats may share.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tp_mcp.watch.owner import Owner

META_KEYS = ("threadId", "sessionId", "vscode.conversationId", "ai.opencode/sessionID")
"""Where clients are known to name the conversation; the first one that is there counts."""

NAME_MAX_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """What the process knows of who uses it.

    Attributes:
        principal: the user of the process, e.g. `local:alice`.
        conversation: the conversation that its environment names; None where it names none.
        project: the project directory.

    """

    principal: str
    conversation: str | None
    project: str

    def owner(self, meta: Mapping[str, Any] | None) -> Owner:
        """Return whose a request with this `_meta` is."""
        for key in META_KEYS:
            named = (meta or {}).get(key)
            if isinstance(named, str) and named:
                return Owner(self.principal, f"{key}:{_short(named)}", exact=True)
        if self.conversation:
            return Owner(self.principal, f"environment:{_short(self.conversation)}", exact=True)
        return Owner(self.principal, f"project:{_short(self.project)}", exact=False)


def _short(name: str) -> str:
    # A client may send anything; a digest of what is too long, or cannot be written as text, is as good a key.
    if len(name) <= NAME_MAX_CHARACTERS and name.isprintable():
        return name
    return "sha256:" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
