"""The managers of areas: e-mails in the table, ids of users at feedback.house."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pipelines.delivery.messages import Call
from pipelines.delivery.upsert import Payload
from pipelines.destinations.feedback_house.pages import Unread
from pipelines.destinations.feedback_house.standing import Standing

_log = logging.getLogger(__name__)


class Managers:
    """Finds users by e-mail. An e-mail that no user has, or several have, is left out; `notes` say so, once each."""

    def __init__(self, account: str, standing: Standing) -> None:
        self.notes: list[str] = []
        self._account = account
        self._standing = standing

    async def ids(self, emails: Sequence[str], call: Call) -> list[str] | None:
        """The ids of the users that have these e-mails, each once; None: nobody is known, so that nothing is said.

        Raises:
            AccountStopped, AccountUnavailable: as the call does.
        """
        users = await self._standing.users(call)
        found = self._found(emails, users)
        return None if isinstance(users, Unread) or not found else list(dict.fromkeys(users[one] for one in found))

    def sendable(self, payload: Payload) -> Payload:
        """The payload with those of its managers that are known; without the field where none is.

        Before the users were read it is the payload itself.
        """
        users, emails = self._standing.known_users, payload.get("managers")
        if not emails or users is None:
            return payload
        found = self._found(emails, users)
        if len(found) == len(emails):
            return payload
        rest = {field: value for field, value in payload.items() if field != "managers"}
        return {**rest, "managers": found} if found else rest

    def note(self, what: str) -> None:
        """Say, once, what was left out."""
        note = f"account {self._account}: {what}"
        if note not in self.notes:
            self.notes.append(note)
            _log.warning("%s", note)

    def _found(self, emails: Sequence[str], users: Mapping[str, str] | Unread) -> list[str]:
        if isinstance(users, Unread):
            self.note(
                f"areas are sent without managers: the users cannot be read: {users.reason}. "
                "The managers follow with the first run that can read them."
            )
            return []
        for email in emails:
            if email not in users:
                self.note(
                    f"areas managed by {email} are sent without that manager: no user has that e-mail, or several "
                    "have. The manager follows with the first run that finds one user."
                )
        return [email for email in emails if email in users]
