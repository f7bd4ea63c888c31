"""Whose a watch is: who asked, and in which conversation."""

import hashlib
from dataclasses import dataclass, field

SESSION_KEY_PREFIX = "session:"
"""What keys begin with that stand for a session of a transport, which is no name that a client gave."""

HANDLE_PREFIX = "chat_"
HANDLE_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Owner:
    """The principal and the conversation that a watch and its inbox entry belong to.

    Attributes:
        principal: who is asking, e.g. `local:alice`. No principal learns of another's watches.
        conversation: the conversation's key.
        exact: whether the key names one conversation; otherwise two chats may share it (same user, same project
            directory), and an end counts as seen only once a later call names it.
        also: a shared key whose ends this conversation is shown as well; None where there is none. Two owners that
            differ in it alone are the same.

    """

    principal: str
    conversation: str
    exact: bool
    also: str | None = field(default=None, compare=False)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of the conversations that this one is shown."""
        return (self.conversation,) if self.also is None else (self.conversation, self.also)

    @property
    def shared(self) -> "Owner | None":
        """Return the owner of what this conversation is shown as well; None where there is nothing."""
        return None if self.also is None else Owner(self.principal, self.also, exact=False)

    @property
    def handle(self) -> str:
        """Return by which name the conversation is shown: its key may be of any length, or tell a path."""
        digest = hashlib.sha256(f"{self.principal}\0{self.conversation}".encode("utf-8", "surrogatepass"))
        return HANDLE_PREFIX + digest.hexdigest()[:HANDLE_DIGITS]
