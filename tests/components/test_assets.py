from __future__ import annotations
from tests.components.deploying import *
from tests.components.conftest import Deploy


def test_a(deploy: Deploy) -> None:
    d = deploy()
    for day in DAYS:
        d.export(day)
    d.export(DAYS[1]).write_bytes(b"\x00\x01 not what \xff\xfe")
    told = d.extract(DAYS[0], DAYS[3])
    print(told.success, told.failure)
    print(told.materialized("flight_kpis_valid"), told.facts("flight_kpis_valid"))
    a, b = d.both(DAYS[0], DAYS[3])
    print(a.failure)
    print(b.failure)
    print(a.counts(BOARD))
    print(b.counts(FLOOR))
    print(a.materialized(BOARD))
    print(d.statuses(BOARD), d.statuses("flight_kpis"))
    print(d.board(), d.floor())
    t = d.deliver(BOARD, DAYS[3], dry_run=True, resend="all")
    print(t.success, t.observed(BOARD), t.materialized(BOARD), t.checks(BOARD))
