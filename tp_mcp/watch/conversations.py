"""Conversations as the owners of watches: which there are, and watches that go from one to another."""

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
        """Let a watch of `to`'s principal belong to that conversation, and its end with it unless that was seen.

        Raises:
            WatchNotFoundError: there is none with this id, or it is another principal's; the answer is the same.

        """
        watch = await self._store.hand_over(watch_id, to)
        if watch is None:
            raise WatchNotFoundError(
                f"There is no watch {watch_id!r}.", remedy="list_watches shows the watches there are."
            )
        if self._poller.current(watch_id) is not None:
            # Its end is written with the owner that the poller knows.
            self._poller.add(watch, resumed=True)
        return watch

    async def leave(self, prefix: str, *, but_for: Collection[str], to_key: str) -> int:
        """Let the watches of conversations that are no more go to a shared key of their principals.

        Args:
            prefix: of the keys of such conversations.
            but_for: keys of conversations that go on.
            to_key: the shared key.

        Returns:
            How many watches went.

        """
        return await self._store.leave(prefix, but_for=but_for, to_key=to_key)
