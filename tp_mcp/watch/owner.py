"""Whose a watch is: who asked, and in which conversation."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owner:
    """The principal and the conversation that a watch and its inbox entry belong to.

    Attributes:
        principal: who is asking, e.g. `local:alice`. No principal learns of another's watches.
        conversation: the conversation's key.
        exact: whether the key names one conversation; otherwise two chats may share it (same user, same project
            directory), and an end counts as seen only once a later call names it.

    """

    principal: str
    conversation: str
    exact: bool
