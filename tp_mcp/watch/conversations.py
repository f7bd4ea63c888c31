"""Conversations as owners of watches, and watches that move from one to another."""

from collections.abc import Collection, Mapping, Sequence

from tp_mcp.errors import WatchNotFoundError
from tp_mcp.watch.model.watch import InboxEntry, Owner, Watch
from tp_mcp.watch.polling.poller import Poller
from tp_mcp.watch.store import Store


class Conversations:
    """The conversations that own watches."""

    def __init__(self, *, store: Store, poller: Poller) -> None:
        self._store = store
        self._poller = poller

    async def of_principal(self, principal: str) -> tuple[Owner, ...]:
        """Return a principal's conversations that have a watch, the newest first."""
        return await self._store.conversations(principal)

    async def ends(self, watch_ids: Sequence[str]) -> Mapping[str, InboxEntry]:
        """Return the ends of some watches, seen or not, by watch."""
        return {entry.watch_id: entry for entry in await self._store.entries(watch_ids)}

    async def hand_over(self, watch_id: str, to: Owner) -> Watch:
        """Move a watch of `to`'s principal to that conversation, and its end with it unless that was seen.

        Raises:
            WatchNotFoundError: there is none with this id, or it is another principal's; the answer is the same.

        """
        watch = await self._store.hand_over(watch_id, to)
        if watch is None:
            raise WatchNotFoundError(
                f"There is no watch {watch_id!r}.", remedy="list_watches shows the watches there are."
            )
        if self._poller.current(watch_id) is not None:
            # The poller saves the end with the owner that it knows.
            self._poller.add(watch, resumed=True)
        return watch

    async def leave(self, prefix: str, *, but_for: Collection[str], to_key: str) -> int:
        """Move the watches of conversations that are gone to a shared key of their principals.

        Args:
            prefix: the prefix of the keys of such conversations.
            but_for: the keys of conversations that still exist.
            to_key: the shared key.

        Returns:
            The number of moved watches.

        """
        return await self._store.leave(prefix, but_for=but_for, to_key=to_key)
