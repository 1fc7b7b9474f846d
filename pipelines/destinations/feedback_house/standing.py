"""What a run knows of feedback.house: which id each key has, and who has which e-mail."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.delivery.messages import Call
from pipelines.destinations.accounts import Account
from pipelines.destinations.feedback_house.pages import AREAS, USERS, Directory, Unread, id_by_email, read_pages


@dataclass(frozen=True, slots=True)
class Missing:
    """Why an id is not known."""

    reason: str


class Standing:
    """Ids of areas and users, learned from answers and from pages that are read when they are needed.

    The pages of areas are read again only where something was written since that the look-up is about.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._ids: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._directory: Directory | Unread | None = None
        self._users: Mapping[str, str] | Unread | None = None
        self.writes = 0
        """How many writes have ended."""
        self._wrote: dict[str, int] = {}
        self._wrote_at_depth: dict[int, int] = {}
        self._reading = asyncio.Lock()

    def learn(self, ids: Mapping[str, str]) -> None:
        """Remember which id an answer gave for a key."""
        for key, one in ids.items():
            self._ids[key] = one
            self._keys[one] = key

    def wrote(self, depths: Mapping[str, int]) -> None:
        """Areas were written, whatever became of them: what the pages said of them counts no more."""
        self.writes += 1
        self._wrote |= dict.fromkeys(depths, self.writes)
        self._wrote_at_depth |= dict.fromkeys(depths.values(), self.writes)

    async def directory(self, call: Call, *, changed: Iterable[int] = ()) -> Directory | Unread:
        """The areas as last read; read anew where nothing was, or something on these counts of writes is newer.

        Raises:
            AccountStopped, AccountUnavailable: as the call does.
        """
        newest = max(changed, default=0)
        async with self._reading:
            known = self._directory
            if known is None or known.after < newest:
                after = self.writes
                read = await read_pages(AREAS, "areas", call, self._account)
                known = Unread(read.reason, after) if isinstance(read, Unread) else Directory(read, after)
                self._directory = known
        return known

    async def of_key(self, key: str, call: Call) -> Directory | Unread:
        """The areas, read after the last write of this key."""
        return await self.directory(call, changed=[self._wrote.get(key, 0)])

    async def parent(self, key: str, names: Sequence[str], depth: int, call: Call) -> str | Missing:
        """The id of the area above one that stands so deep; `names` are those of the areas above it, from the top.

        Raises:
            AccountStopped, AccountUnavailable: as the call does.
        """
        if key in self._ids:
            return self._ids[key]
        directory = await self.directory(call)
        if isinstance(directory, Unread) or key not in directory.ids:
            # Areas further up may be new, or have changed their names, since the pages were read.
            above = [at for level, at in self._wrote_at_depth.items() if level < depth]
            directory = await self.directory(call, changed=above)
        return self.id_in(directory, key, names)

    def id_in(self, directory: Directory | Unread, key: str, names: Sequence[str]) -> str | Missing:
        """The id of an area: as learned, by its key, else by its name and the names above it, if only one has them."""
        if key in self._ids:
            return self._ids[key]
        if isinstance(directory, Unread):
            return Missing(f"its id is not known, since the areas cannot be read: {directory.reason}")
        if directory.shows_keys:
            return directory.ids.get(key) or Missing("feedback.house has no such area")
        if not names:
            return Missing("it is not among the rows of this sync, and the API does not show which area has this key")
        called = [one for one in directory.called(names) if self._keys.get(one, key) == key]
        if len(called) == 1:
            return called[0]
        path = " > ".join(names)
        return Missing(f"the API does not show which area has this key, and {len(called)} areas are called {path!r}")

    def key_of(self, directory: Directory, area: str) -> str | None:
        """The key of an id, where it is known."""
        return self._keys.get(area) or directory.keys.get(area)

    def is_absent(self, key: str, directory: Directory | Unread) -> bool:
        """Whether it is known that no area has the key."""
        return isinstance(directory, Directory) and directory.shows_keys and key not in directory.ids

    def learned(self, key: str) -> str | None:
        """The id that an answer of this run gave for the key."""
        return self._ids.get(key)

    async def users(self, emails: Collection[str], call: Call) -> Mapping[str, str] | Unread:
        """E-mail -> the user's id, for those of these e-mails that one user has.

        Raises:
            AccountStopped, AccountUnavailable: as the call does.
        """
        async with self._reading:
            if self._users is None:
                entries = await read_pages(USERS, "users", call, self._account)
                self._users = entries if isinstance(entries, Unread) else id_by_email(entries)
        users = self._users
        return users if isinstance(users, Unread) else {one: users[one] for one in emails if one in users}
