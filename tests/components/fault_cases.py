"""Every fault of a network and a server, and the delivery that meets it: the rows of pipelines/FAULTS.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TEAMS = ("EWR-AA", "EWR-B6", "EWR-DL", "EWR-UA", "JFK-AA", "JFK-B6", "JFK-DL", "LGA-AA", "LGA-DL", "LGA-MQ")
"""One upsert each, sent in this order, one at a time."""
THIRD = "departures-EWR-DL"
"""The status that a fault of one upsert is about; two are accepted before it, seven are to come."""
LAST = "departures-LGA-MQ"
"""The one of a fault that slows the pace down, so that no test waits for the rest to leave slowly."""
TIMEOUT_S = 1.5


@dataclass(frozen=True, slots=True)
class Case:
    """A fault: what it is, what the sandbox does for it, and the delivery that meets it.

    `kind` and `params` are the sandbox's, played on `method` (and on paths with `path`), `times` times, after `after`
    requests; with no kind `environ` alone is the fault: `{url}` and `{port}` in it are the sandbox's, `{closed}` is a
    port where nothing listens. `asked_s` is the wait that the answer asks for.
    """

    fault: str
    kind: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    api: str = "stativate"
    path: str = THIRD
    times: int | None = None
    after: int = 0
    asked_s: float = 0.0
    environ: Mapping[str, str] = field(default_factory=dict)
    mode: str = "sandbox"
    settles: bool = True
    """Whether the next run, without the fault, delivers what is left."""

    @property
    def method(self) -> str:
        """The method of the API's writes."""
        return "PUT" if self.api == "valuestreamer" else "POST"

    @property
    def id(self) -> str:
        """The case as pytest shows it."""
        return f"{self.api}: {self.fault}"


def _status(code: int, **params: Any) -> dict[str, Any]:
    return {"kind": "status", "params": {"code": code, **params}}


_HTML = "<html><h1>Oh no</h1></html>"
_NO = {"message": "not in your plan"}
_SLOW = {"STATIVATE_TIMEOUT": f"{TIMEOUT_S:g}"}
_LIVE = {"STATIVATE_API_KEY": "sandbox", "STATIVATE_RATE": "1000/s"}
_VS: dict[str, Any] = {"api": "valuestreamer", "path": ""}
_FH: dict[str, Any] = {"api": "feedback_house", "path": ""}

SECTIONS: Mapping[str, Sequence[Case]] = {
    "Later, the API says": (
        Case("429 with Retry-After: 1, twice", "retry_after", times=2, asked_s=1.0, path=LAST),
        Case("429 with Retry-After as a date, once", "retry_after", {"form": "date"}, times=1, asked_s=1.0, path=LAST),
        Case("429 without Retry-After, once", "retry_after", {"form": "none"}, times=1, asked_s=1.0, path=LAST),
        Case("429 with Retry-After: 20000, for good", "retry_after", {"seconds": 20000}, settles=False),
        Case("`X-RateLimit-Remaining: 0` until in a second", "exhausted", {"seconds": 0}, times=1),
        Case(
            "429 and `X-RateLimit-Remaining: 0`, once", "exhausted", {"seconds": 0, "refuse": True}, times=1, path=LAST
        ),
        Case("409, as on parallel edits, twice", **_status(409), times=2),
        Case("409 for good", **_status(409)),
        Case("503 for one key, for good", **_status(503, html=_HTML)),
        Case("503 for every write", **_status(503), **_VS),
    ),
    "The server stumbles": (
        Case("500 with HTML, once, nothing written", **_status(500, html=_HTML), times=1),
        Case("500 with HTML, once, but written", **_status(500, html=_HTML, act=True), times=1),
        Case("500 for good", **_status(500, html=_HTML)),
        Case("502 with HTML, once, but written", **_status(502, html=_HTML, act=True), times=1),
        Case("500 with HTML for every write", **_status(500, html=_HTML), **_VS),
        Case("502 with HTML, twice", **_status(502, html=_HTML), times=2, **_VS),
        Case("500 for every batch", **_status(500, html=_HTML), **_FH),
    ),
    "No, the API says": (
        Case("400 for one key", **_status(400, body={"message": "the moon is in the wrong house"})),
        Case("401 in the middle of a run", "expired_key", path="", after=2),
        Case("402 for one key", **_status(402, body=_NO)),
        Case("402 for every write", **_status(402, body=_NO), path=""),
        Case("403 for every write", **_status(403, body=_NO), **_VS),
        Case("403 for every batch", **_status(403, body=_NO), **_FH),
        Case("413 for every batch", **_status(413), **_FH),
        Case("415 for every write", **_status(415), **_VS),
        Case("a redirect (307)", "redirect", {"location": "https://login.example.com/"}),
    ),
    "The answer cannot be used": (
        Case("200 with an empty body", "empty_body", times=1),
        Case("200 with half of the body", "cut_body", times=1),
        Case("200 with JSON of another shape", "other_json", times=1),
        Case("200 with a login page, nothing written", **_status(200, html=_HTML), times=1),
        Case("a garbage status line", "garbage", times=1),
        Case("200 with JSON of another shape", "other_json", {"act": False}, times=1, **_FH),
    ),
    "The connection breaks, or nothing comes": (
        Case("dropped before the write, once", "drop_before", times=1),
        Case("dropped before the write, for good", "drop_before"),
        Case("dropped after the write", "drop_after", times=1),
        Case("closed between two requests", "hang_up", path="", times=3),
        Case("no answer ever, nothing written", "never", times=1, environ=_SLOW),
        Case("no answer ever, but written", "never", {"act": True}, times=1, environ=_SLOW),
        Case("an answer that trickles for ever", "drip", {"seconds": 600, "pieces": 600}, times=1, environ=_SLOW),
        Case("dropped before the write, twice", "drop_before", times=2, **_VS),
        Case("dropped after the write, once", "drop_after", times=1, **_VS),
        Case("dropped after the write of a batch", "drop_after", times=1, **_FH),
    ),
    "No connection": (
        Case("refused, mode sandbox", environ={**_LIVE, "STATIVATE_URL": "http://127.0.0.1:{closed}/stativate/v1"}),
        Case(
            "refused, mode live",
            environ={**_LIVE, "STATIVATE_URL": "http://127.0.0.1:{closed}/stativate/v1"},
            mode="live",
        ),
        Case("no such host", environ={**_LIVE, "STATIVATE_URL": "https://no-such-host.invalid/v1"}, mode="live"),
        Case(
            "no TLS at an https address",
            environ={**_LIVE, "STATIVATE_URL": "https://127.0.0.1:{port}/stativate/v1"},
            mode="live",
        ),
    ),
}
