"""What a run knows of feedback.house: which id each key has, and who has which e-mail."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
        self._before: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._answers_show_keys = False
        self._directory: Directory | Unread | None = None
        self._users: Mapping[str, str] | Unread | None = None
        self.writes = 0
        """How many writes have ended."""
        self._wrote: dict[str, int] = {}
        self._wrote_at_depth: dict[int, int] = {}
        self._reading = asyncio.Lock()

    def remember(self, ids: Mapping[str, str]) -> None:
        """Take over which ids earlier runs learned; each counts while an area with it stands there."""
        owners = Counter(ids.values())
        self._before = {key: one for key, one in ids.items() if owners[one] == 1}
        self._owners = {one: key for key, one in self._before.items()}

    def learn(self, ids: Mapping[str, str], *, shows_keys: bool) -> None:
        """Remember which id an answer gave for a key, and whether it showed keys."""
        self._answers_show_keys |= shows_keys
        for key, one in ids.items():
            self._ids[key] = one
            self._keys[one] = key

    @property
    def shows_keys(self) -> bool:
        """Whether answers or pages have shown keys, so that areas of one name can be told apart."""
        return self._answers_show_keys or (isinstance(self._directory, Directory) and bool(self._directory.ids))

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
                known = replace(read, after=after) if isinstance(read, Unread) else Directory(read, after)
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
        if self.known(directory, key) is None:
            # Areas further up may be new, or have changed their names, since the pages were read.
            above = [at for level, at in self._wrote_at_depth.items() if level < depth]
            directory = await self.directory(call, changed=above)
        return self.id_in(directory, key, names)

    def id_in(self, directory: Directory | Unread, key: str, names: Sequence[str]) -> str | Missing:
        """The id of an area: as learned, by its key, else by its name and the names above it, if only one has them."""
        if (known := self.known(directory, key)) is not None:
            return known
        if isinstance(directory, Unread):
            return Missing(f"its id is not known, since the areas cannot be read: {directory.reason}")
        if directory.shows_keys:
            return Missing("feedback.house has no such area")
        if not names:
            return Missing("the API does not show which area has this key")
        called = [one for one in directory.called(names) if self._keys.get(one, self._owners.get(one, key)) == key]
        if len(called) == 1:
            return called[0]
        path = " > ".join(names)
        return Missing(f"the API does not show which area has this key, and {len(called)} areas are called {path!r}")

    def known(self, directory: Directory | Unread, key: str) -> str | None:
        """The id that is the key's for sure: an answer of this run said so, or the pages, or an earlier run.

        What an earlier run learned is checked against the pages: the area may have been deleted since, or have got
        another key.
        """
        before = self._before.get(key)
        if key in self._ids or isinstance(directory, Unread):
            return self._ids.get(key, before)
        if key in directory.ids:
            return directory.ids[key]
        return before if before in directory.by_id and directory.keys.get(before or "", key) == key else None

    def unkeyed(self, directory: Directory | Unread, key: str) -> str | None:
        """The id that an earlier run learned for the key, of an area that does not show the key.

        It may have been found by its name, and carry no key yet: without its id it would be made anew.
        """
        before = self._before.get(key)
        if isinstance(directory, Unread) or before not in directory.by_id or key in directory.ids:
            return None
        return before if before not in directory.keys else None

    def key_of(self, directory: Directory, area: str) -> str | None:
        """The key of an id, where it is known."""
        return self._keys.get(area) or directory.keys.get(area) or self._owners.get(area)

    def is_absent(self, key: str, directory: Directory | Unread) -> bool:
        """Whether it is known that no area has the key."""
        if isinstance(directory, Unread) or self.known(directory, key) is not None:
            return False
        return directory.shows_keys or key in self._before

    def learned(self, key: str) -> str | None:
        """The id that an answer of this run gave for the key."""
        return self._ids.get(key)

    @property
    def known_users(self) -> Mapping[str, str] | Unread | None:
        """The users as they were read in this run; None: they were not."""
        return self._users

    async def users(self, call: Call) -> Mapping[str, str] | Unread:
        """E-mail -> id of the only user that has it; read once.

        Raises:
            AccountStopped, AccountUnavailable: as the call does.
        """
        async with self._reading:
            if self._users is None:
                entries = await read_pages(USERS, "users", call, self._account)
                self._users = entries if isinstance(entries, Unread) else id_by_email(entries)
        return self._users
