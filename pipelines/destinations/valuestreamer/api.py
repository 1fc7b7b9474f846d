"""ValueStreamer's KPI exchange API: settings, requests, answers, read-back, removal.

Sources: "Managing KPIs via REST API" (seed, valuestreamer.de/help/-managing-kpis-via-rest-api) with its newer edition
under /en/hilfe, /en/hilfe/-api-authentication-error-codes, /en/hilfe/-api-versioning-compatibility and
/help/-retrieve-user-team-ids-via-api.
"""

from __future__ import annotations

import datetime as dt
import logging
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, ClassVar

import orjson
from pydantic import Field, SecretStr, field_validator

from pipelines.delivery.destination import Effort, Found, Sighting, Stranger
from pipelines.delivery.errors import AccountUnavailable
from pipelines.delivery.messages import Answer, Call, Exchange, Request
from pipelines.delivery.upsert import Outcome, Payload, Upsert, Verdict
from pipelines.destinations.accounts import Account, Settings, header_safe
from pipelines.destinations.answers import excerpt, judge, judge_removal, named, words
from pipelines.destinations.valuestreamer.meta import Known, KpiMeta, ids_of, key_of, named_ids, objections, values_in
from pipelines.destinations.valuestreamer.windows import Grain, windows

MEDIA_TYPE = "application/vs.v2.0+json"
"""Version 2.0 of the KPI API; version 3's name is published in no page that could be read."""
_DATA = "/exchange/kpi-data"
_log = logging.getLogger(__name__)


class ValueStreamerSettings(Settings):
    """VALUESTREAMER_URL, _USER, _PASSWORD (required) and _MEDIA_TYPE of the account `valuestreamer`."""

    api: ClassVar[str] = "valuestreamer"

    user: str = Field(min_length=1, description="The tenant's API user.")
    password: SecretStr = Field(description="Its password.")
    media_type: str = Field(
        default=MEDIA_TYPE, description="Media type of requests and answers: the version of the API."
    )

    @field_validator("user")
    @classmethod
    def _no_colon(cls, user: str) -> str:
        if ":" in user:
            msg = "HTTP Basic allows no colon in a user's name"
            raise ValueError(msg)
        return user

    @field_validator("media_type")
    @classmethod
    def _one_line(cls, media_type: str) -> str:
        header_safe(SecretStr(media_type.replace(" ", "")))
        return media_type

    def headers(self) -> Mapping[str, str]:
        """HTTP Basic, and the version as media type (valuestreamer.de/en/hilfe: authentication, versioning)."""
        return {"authorization": f"Basic {self._token}", "accept": self.media_type}

    @property
    def _token(self) -> str:
        return b64encode(f"{self.user}:{self.password.get_secret_value()}".encode()).decode()

    def content_type(self) -> str:
        """The version of the API."""
        return self.media_type

    def secrets(self) -> tuple[str, ...]:
        """The password, and the token in which it stands: also where that is percent-encoded."""
        return self.password.get_secret_value(), self._token


def compared_form(payload: Payload, *, actual_only: bool) -> Payload:
    """The values that count: all that the sync sends, or the first alone, which is the actual."""
    return {"values": payload["values"][:1]} if actual_only else payload


class ValueStreamer:
    """One account of ValueStreamer. A PUT overwrites silently, so that it may be sent again."""

    batch_size = 1
    resend_is_safe = True
    transient: frozenset[int] = frozenset()

    def __init__(
        self,
        account: Account,
        *,
        keep: bool = True,
        complete: bool = False,
        actual_only: bool = False,
        grain: Grain = "daily",
    ) -> None:
        """How datasets are written and compared.

        Args:
            account: Where to.
            keep: Read each dataset before writing it, and write back the values that are not the sync's.
            complete: Refuse upserts that leave out a value of their KPI.
            actual_only: Compare the actual alone.
            grain: Of the KPIs: how long a list may be.
        """
        self.account = account.name
        self.notes: list[str] = []
        """What `vet` could not check, in sentences."""
        self._account = account
        self._keep = keep
        self._complete = complete
        self._actual_only = actual_only
        self._grain: Grain = grain

    def normalise(self, payload: Payload) -> Payload:
        """The values that count."""
        return compared_form(payload, actual_only=self._actual_only)

    async def vet(self, upserts: Sequence[Upsert], call: Call) -> Mapping[str, str]:
        """Check ids, recording teams and whole numbers against the API's own catalogue.

        What the API does not tell (4xx, or an answer of another shape) is not checked; `notes` and the log say so.

        Raises:
            AccountUnavailable: the catalogue cannot be read right now.
        """
        kpis = sorted({ids_of(upsert.key)[1] for upsert in upserts})
        return objections(upserts, await self._known(kpis, call), complete=self._complete)

    async def send(self, batch: Sequence[Upsert], call: Call) -> Sequence[Verdict]:
        """Put each dataset."""
        return [await self._put(upsert, call) for upsert in batch]

    async def _put(self, upsert: Upsert, call: Call) -> Verdict:
        values = list(upsert.payload["values"])
        if self._keep:
            foreign = await self._foreign(upsert, call)
            if isinstance(foreign, Verdict):
                return foreign
            values += foreign
        headers = {"content-type": self._account.media_type}
        body = orjson.dumps({"values": values})
        request = Request("PUT", _path(upsert.key), body=body, headers=headers, repeatable=True)
        return judge(await call(request), self._account, self.transient)

    async def _foreign(self, upsert: Upsert, call: Call) -> list[Mapping[str, Any]] | Verdict:
        """The dataset's values that are not the sync's, as they stand; or the verdict, where they cannot be read."""
        exchange = await call(_get(_path(upsert.key)))
        if isinstance(exchange, Answer) and exchange.status == 404:
            return []
        standing = _values(exchange)
        if standing is not None:
            own = {one["kpiValueId"] for one in upsert.payload["values"]}
            return [one for one in standing if one["kpiValueId"].lower() not in own]
        unread = "its other values could not be read, so that nothing was written"
        if not isinstance(exchange, Answer):
            return Verdict(Outcome.NOT_SENT, self._account.redact(f"{exchange.reason}: {unread}"))
        if exchange.ok:
            reason = f"{unread}: the answer is no dataset: {excerpt(exchange, self._account)}"
            return Verdict(Outcome.FAILED, reason, exchange.status)
        verdict = judge(exchange, self._account, self.transient)
        return Verdict(verdict.outcome, f"{verdict.reason} ({unread})", verdict.status)

    async def read_back(self, upsert: Upsert, call: Call) -> Found | None:
        """The sync's own values as they stand in the dataset; None where the answer cannot be used."""
        exchange = await call(_get(_path(upsert.key)))
        if isinstance(exchange, Answer) and exchange.status == 404:
            return Found(None)
        standing = _values(exchange)
        if standing is None:
            return None
        return self._own(standing, upsert)

    def _own(self, standing: Sequence[Mapping[str, Any]], upsert: Upsert) -> Found:
        """Of a dataset's values those that the sync sends."""
        by_id = {one["kpiValueId"].lower(): one["value"] for one in standing}
        own = [one["kpiValueId"] for one in upsert.payload["values"] if one["kpiValueId"] in by_id]
        return Found(self.normalise({"values": [{"kpiValueId": one, "value": by_id[one]} for one in own]}))

    async def remove(self, key: str, payload: Payload, call: Call) -> Verdict:
        """Delete the dataset; it cannot be restored."""
        del payload
        exchange = await call(Request("DELETE", _path(key), repeatable=True))
        return judge_removal(exchange, self._account, self.transient)

    def check(self) -> Request:
        """The list of teams, which the page about authentication names as the test of the credentials."""
        return _get("/exchange/teams")

    def describe(self, upsert: Upsert) -> str:
        """Method and path of the upsert's request."""
        return f"PUT {_path(upsert.key)}"

    async def datasets(
        self, call: Call, *, kpi: str, team: str, first: dt.date, last: dt.date, grain: Grain
    ) -> list[Mapping[str, Any]]:
        """The datasets of a KPI and team from `first` to `last`, both included, as the API gives them.

        Raises:
            AccountUnavailable: no usable answer.
        """
        found: list[Mapping[str, Any]] = []
        for start, end in windows(first, last, grain):
            exchange = await call(_window(kpi, team, start, end))
            found += self._listed(exchange, kpi, team)
        return found

    def _listed(self, exchange: Exchange, kpi: str, team: str) -> list[Mapping[str, Any]]:
        part = exchange.json() if isinstance(exchange, Answer) and exchange.ok else None
        if not isinstance(part, list):
            raise self._unavailable(f"the datasets of KPI {kpi} and team {team}", exchange)
        return part

    def cost(self, upserts: Sequence[Upsert], *, removed: int, standing: int) -> Effort:
        """A request per dataset, another one where its other values are read before, and those of `vet`."""
        del standing
        kpis = len({ids_of(upsert.key)[1] for upsert in upserts})
        catalogue = 2 + kpis if upserts else 0
        why = "a read and a write for each dataset" if self._keep and upserts else "one for each dataset"
        if upserts:
            why += f", and {catalogue} for the catalogue of KPIs and teams"
        return Effort(catalogue + len(upserts) * (2 if self._keep else 1) + removed, why)

    def effort(self, upserts: Sequence[Upsert]) -> Effort:
        """A request per team, KPI and span of dates."""
        spans = sum(len(list(windows(*_range(days), self._grain))) for days in _series(upserts).values())
        return Effort(spans, "the datasets of each team and KPI, in spans as long as the API takes")

    async def survey(self, upserts: Sequence[Upsert], call: Call) -> AsyncGenerator[Sighting, None]:
        """The datasets of each team and KPI between its first date and its last."""
        for (team, kpi), days in _series(upserts).items():
            for start, end in windows(*_range(days), self._grain):
                exchange = await call(_window(kpi, team, start, end))
                # Where the team or the KPI does not exist, nothing stands.
                gone = isinstance(exchange, Answer) and exchange.status == 404
                entries = [] if gone else self._listed(exchange, kpi, team)
                wanted = {one.key: one for day, some in days.items() if start <= day <= end for one in some}
                yield self._sighted(entries, wanted)

    def _sighted(self, entries: Sequence[Mapping[str, Any]], wanted: Mapping[str, Upsert]) -> Sighting:
        found = {key: Found(None) for key in wanted}
        strangers = []
        for entry in entries:
            key, values = key_of(entry), values_in(entry)
            if key is None or values is None:
                raise AccountUnavailable(
                    f"account {self.account}: datasets are listed in a form that is not known",
                    do="The account cannot be surveyed.",
                    account=self.account,
                )
            if key in wanted:
                found[key] = self._own(values, wanted[key])
            else:
                strangers.append(Stranger(key, ""))
        return Sighting(found, strangers=strangers)

    async def teams(self, call: Call) -> Mapping[str, str] | None:
        """Ids and names of the teams; None where the API does not tell."""
        return named_ids(await self._meta("/exchange/teams", call))

    async def kpis(self, call: Call) -> Mapping[str, str] | None:
        """Ids and names of the KPIs; None where the API does not tell."""
        return named_ids(await self._meta("/exchange/kpi", call))

    async def _known(self, kpis: Sequence[str], call: Call) -> Known:
        listed, teams = await self.kpis(call), await self.teams(call)
        details: dict[str, KpiMeta] = {}
        unknown: set[str] = set()
        for kpi in kpis:
            if listed is not None and kpi not in listed:
                unknown.add(kpi)
                continue
            body = await self._meta(f"/exchange/kpi/{kpi}", call)
            if isinstance(body, dict):
                details[kpi] = KpiMeta.parse(kpi, body)
        return Known(teams, details, frozenset(unknown))

    async def _meta(self, path: str, call: Call) -> Any:
        """The JSON of a meta endpoint; None, with a note, where the API does not tell."""
        exchange = await call(_get(path))
        if not isinstance(exchange, Answer) or exchange.status == 429 or exchange.status >= 500:
            raise self._unavailable(f"the catalogue ({path})", exchange)
        body = exchange.json() if exchange.ok else None
        if not isinstance(body, list | dict):
            said = named(exchange.status)
            note = f"account {self.account}: not checked, since GET {path} answered {said} without a usable body"
            self.notes.append(note)
            _log.warning("%s", note)
        return body

    def _unavailable(self, what: str, exchange: Exchange) -> AccountUnavailable:
        msg = f"account {self.account}: {what} cannot be read: {words(exchange, self._account)}"
        return AccountUnavailable(msg, do="Run it again when the API is well.", account=self.account)


def _values(exchange: Exchange) -> list[Mapping[str, Any]] | None:
    """The values of a dataset that was answered."""
    return values_in(exchange.json() if isinstance(exchange, Answer) and exchange.ok else None)


def _window(kpi: str, team: str, start: dt.date, end: dt.date) -> Request:
    query = {"kpi-id": kpi, "team-id": team, "from": start.isoformat(), "to": end.isoformat()}
    return Request("GET", _DATA, query=query, repeatable=True)


def _series(upserts: Sequence[Upsert]) -> dict[tuple[str, str], dict[dt.date, list[Upsert]]]:
    """The upserts of each team and KPI, by date."""
    found: dict[tuple[str, str], dict[dt.date, list[Upsert]]] = {}
    for upsert in upserts:
        day = dt.date.fromisoformat(upsert.key.partition("/")[0])
        found.setdefault(ids_of(upsert.key), {}).setdefault(day, []).append(upsert)
    return found


def _range(days: Mapping[dt.date, Any]) -> tuple[dt.date, dt.date]:
    return min(days), max(days)


def _get(path: str) -> Request:
    return Request("GET", path, repeatable=True)


def _path(key: str) -> str:
    return f"{_DATA}/{key}"
