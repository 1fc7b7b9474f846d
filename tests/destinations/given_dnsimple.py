"""What the tests of DNSimple start from: its sync, its statuses as the API shows them, its pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipelines.delivery.messages import Answer, Request
from pipelines.destinations.dnsimple import DnsimpleSpec
from tests.destinations.given import answer

STATUSES = "/1010/platform/statuses"
LIST = f"GET {STATUSES}"


def dnsimple(**fields: Any) -> DnsimpleSpec:
    """The sync of the YAML example, with some fields changed."""
    example = {
        "name": "statuses",
        "table": "flight_kpis",
        "account": "dnsimple",
        "mode": "sandbox",
        "resource": "dnsimple_resource",
        "context": "{kpi}",
        "state": {
            "column": "actual",
            "steps": [{"at_least": 80, "state": "ok"}, {"at_least": 60, "state": "warning"}],
            "otherwise": "error",
        },
        "title": "{team}: {actual:percent}",
    }
    return DnsimpleSpec.model_validate(example | fields)


def status(number: int, **fields: Any) -> dict[str, Any]:
    """A status as the Statuses page shows it, with some attributes changed."""
    return {
        "id": number,
        "owner_type": "OauthApplication",
        "owner_id": 1,
        "account_id": 1010,
        "state": "ok",
        "context": "default",
        "title": "Connection established",
        "message": "Your connection has been established.",
        "url": None,
        "created_at": "Wed, 29 Jun 2010 12:45:04.967902000 UTC +00:00",
        "updated_at": "Wed, 29 Jun 2010 12:45:04.967902000 UTC +00:00",
        "resource": f"domain:{number}",
        **fields,
    }


def pages(entries: Sequence[Any], *, wrapped: bool = True) -> Callable[[Request], Answer]:
    """Answers any page of a list: in an envelope with its pagination, or bare."""

    def reply(request: Request) -> Answer:
        page, size = int(request.query["page"]), int(request.query["per_page"])
        part = list(entries[(page - 1) * size : page * size])
        if not wrapped:
            return answer(200, part)
        pagination = {
            "current_page": page,
            "per_page": size,
            "total_entries": len(entries),
            "total_pages": -(-len(entries) // size),
        }
        return answer(200, {"data": part, "pagination": pagination})

    return reply
