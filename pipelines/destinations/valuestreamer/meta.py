"""What only ValueStreamer knows of KPIs and teams, asked before the first write.

The shapes of the meta answers are those that a third-party client reads (no page documents them): a KPI has id, name,
kpiValues [{id, name}], recordingTeams [{id, name}] and kpiValueIsInteger; a team has id and name
(valuestreamer.de/help/-retrieve-user-team-ids-via-api). What an answer lacks is not checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.delivery.upsert import Upsert


@dataclass(frozen=True, slots=True)
class KpiMeta:
    """A KPI as the API describes it: ids -> names; None where the answer does not say."""

    id: str
    name: str
    values: Mapping[str, str] | None = None
    recording_teams: Mapping[str, str] | None = None
    whole_number: bool | None = None

    @classmethod
    def parse(cls, kpi: str, body: Mapping[str, Any]) -> KpiMeta:
        """Read the answer of /exchange/kpi/{kpi-id}."""
        whole = body.get("kpiValueIsInteger")
        return cls(
            id=kpi,
            name=str(body.get("name") or kpi),
            values=named_ids(body.get("kpiValues")),
            recording_teams=named_ids(body.get("recordingTeams")),
            whole_number=whole if isinstance(whole, bool) else None,
        )

    def __str__(self) -> str:
        return f"{self.name!r} ({self.id})" if self.name != self.id else self.id


def named_ids(entries: Any) -> dict[str, str] | None:
    """Ids (lower case) and names of a list of {id, name}; None where it is no such list."""
    if not isinstance(entries, list):
        return None
    if not all(isinstance(entry, dict) and isinstance(entry.get("id"), str) for entry in entries):
        return None
    return {entry["id"].lower(): str(entry.get("name") or entry["id"]) for entry in entries}


@dataclass(frozen=True, slots=True)
class Known:
    """What the meta endpoints said: teams (None: not readable), the needed KPIs, and those that do not exist."""

    teams: Mapping[str, str] | None = None
    kpis: Mapping[str, KpiMeta] = field(default_factory=dict)
    unknown_kpis: frozenset[str] = frozenset()


def ids_of(key: str) -> tuple[str, str]:
    """Team and KPI of a key `date/team/kpi[/sub-tile]`."""
    _, team, kpi, *_ = key.split("/")
    return team, kpi


def values_in(body: Any) -> list[Mapping[str, Any]] | None:
    """The values of a dataset. An answer's shape is written nowhere; taken to be that of the PUT's body."""
    values = body.get("values") if isinstance(body, dict) else None
    if not isinstance(values, list):
        return None
    whole = all(isinstance(one, dict) and isinstance(one.get("kpiValueId"), str) and "value" in one for one in values)
    return values if whole else None


def key_of(body: Any) -> str | None:
    """The key of a dataset in a list; None where it does not tell date, team and KPI.

    The names of these fields are written nowhere; taken to be `date`, `teamId`, `kpiId` and `subTileId`.
    """
    if not isinstance(body, dict):
        return None
    parts = [body.get(name) for name in ("date", "teamId", "kpiId")]
    if not all(isinstance(part, str) and part for part in parts):
        return None
    tile = body.get("subTileId")
    return "/".join([str(parts[0])[:10], *(str(part).lower() for part in (*parts[1:], *([tile] if tile else [])))])


def objections(upserts: Iterable[Upsert], known: Known, *, complete: bool) -> dict[str, str]:
    """Key -> why its upsert is invalid. The reason is the same text for all upserts that fail for the same ids.

    Args:
        upserts: What is about to be sent.
        known: What the API knows.
        complete: Whether the upserts must hold every value of their KPI, since one left out may turn 0.
    """
    reasons: dict[str, str] = {}
    for upsert in upserts:
        team, kpi = ids_of(upsert.key)
        reason = _about_ids(team, kpi, known) or _about_values(
            upsert.payload["values"], known.kpis.get(kpi), complete=complete
        )
        if reason:
            reasons[upsert.key] = reason
    return reasons


def _about_ids(team: str, kpi: str, known: Known) -> str | None:
    if kpi in known.unknown_kpis:
        return f"ValueStreamer knows no KPI {kpi}"
    meta = known.kpis.get(kpi)
    recording = meta.recording_teams if meta else None
    if recording is not None and team in recording:
        return None
    if known.teams is not None and team not in known.teams:
        return f"ValueStreamer knows no team {team}"
    if recording is not None:
        name = (known.teams or {}).get(team)
        return f"the team {f'{name!r} ({team})' if name else team} does not record the KPI {meta}"
    return None


def _about_values(values: Sequence[Mapping[str, Any]], meta: KpiMeta | None, *, complete: bool) -> str | None:
    if meta is None:
        return None
    sent = [one["kpiValueId"] for one in values]
    if meta.values is not None:
        foreign = [one for one in sent if one not in meta.values]
        if foreign:
            return f"the KPI {meta} has no value {' and '.join(foreign)}"
        left_out = sorted(name for one, name in meta.values.items() if one not in sent)
        if complete and left_out:
            return (
                f"the KPI {meta} also has {', '.join(left_out)}, which may turn 0 when it is not sent: "
                "give its id, or say target: keep"
            )
    if meta.whole_number and any(isinstance(one["value"], float) and not one["value"].is_integer() for one in values):
        return f"the KPI {meta} takes whole numbers only"
    return None
