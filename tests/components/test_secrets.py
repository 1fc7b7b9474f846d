"""Secrets stay in the environment: whatever fails, they stand in no log, event, database, file or error."""

from __future__ import annotations

import base64
import html
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from pipelines.cli import main
from pipelines.components.deployment import build_deployment, load_deployment
from pipelines.components.sync_run import Order, SyncRunner
from pipelines.delivery.errors import ConfigurationError, LedgerError, PipelinesError, TableError
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.extract import extract
from pipelines.tables.spec import AnyTable, TableSpec
from pipelines.tables.store import PartitionStore
from tests.components import nasty
from tests.components.conftest import Write
from tests.components.contacts import let_send
from tests.components.deploying import READS_YAML
from tests.components.hostile import Echo, echoing, everything_in, leaks, refusing_postgres, rows_of

KEY = "st-Qx7/+Zk%9<&'\\w\"Lm=Tr}{8vB$y"
PASSWORD = "pä ss/W0rd+\"<Qz&\\%7='üK9  m8#vT"
TOKEN = "dns_8f/3Kd+7Hq=Wp%2Fz\"Yb'c9"
VALUE = 'Fh9"kL/3+mN\\p<Q>r&5%sT7vXy='
DATABASE = "mart@Pq7/xZ:3+kW?v#9%Lm&Yt=2"
SECRETS = (KEY, PASSWORD, TOKEN, VALUE)
SENT = {
    "stativate": KEY,
    "valuestreamer": f"Basic {base64.b64encode(f'robot:{PASSWORD}'.encode()).decode()}",
    "dnsimple": f"Bearer {TOKEN}",
    "feedback_house": f"Bearer {VALUE}",
}
"""The header with which each API is told its secret."""


def reads_yaml(test: Callable[..., None]) -> Callable[..., None]:
    """For tests that load a deployment's files."""
    for mark in READS_YAML:
        test = mark(test)
    return test


@pytest.fixture
def api() -> Iterator[tuple[str, Echo]]:
    """A server that repeats what it is told, and what it says."""
    with echoing() as server:
        yield server


@pytest.fixture
def live(empty_home: Home, api: tuple[str, Echo], monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose four live accounts have secrets and lead to the server."""
    url, _ = api
    settings = {
        "STATIVATE_URL": f"{url}/st",
        "STATIVATE_API_KEY": KEY,
        "VALUESTREAMER_URL": f"{url}/vs",
        "VALUESTREAMER_USER": "robot",
        "VALUESTREAMER_PASSWORD": PASSWORD,
        "DNSIMPLE_URL": f"{url}/v2",
        "DNSIMPLE_TOKEN": TOKEN,
        "DNSIMPLE_ACCOUNT": "1010",
        "FEEDBACK_HOUSE_URL": f"{url}/fh",
        "FEEDBACK_HOUSE_AUTH_HEADER": "X-Key",
        "FEEDBACK_HOUSE_AUTH_VALUE": f"Bearer {VALUE}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for account in ("STATIVATE", "VALUESTREAMER", "DNSIMPLE", "FEEDBACK_HOUSE"):
        monkeypatch.setenv(f"{account}_RATE", "1000/s")
    return empty_home


@dataclass(frozen=True, slots=True)
class Watch:
    """What was said since the test began: logs, standard output and error, and all that was written."""

    folder: Path
    logs: pytest.LogCaptureFixture
    output: pytest.CaptureFixture[str]

    def clean(self, *more: object, secrets: tuple[str, ...] = SECRETS) -> str:
        """Everything that was said, in which no secret stands; `more` is looked through as well."""
        printed = self.output.readouterr()
        said = "\n".join([self.logs.text, printed.out, printed.err, *map(str, more), *map(repr, more)])
        assert leaks(said, *secrets) == []
        for path, text in everything_in(self.folder):
            assert leaks(text, *secrets) == [], path
        return said


@pytest.fixture
def watch(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Watch:
    """Listens to everything, debugging messages included."""
    caplog.set_level(logging.DEBUG)
    return Watch(tmp_path, caplog, capfd)


def syncs() -> Mapping[str, tuple[SyncSpec, AnyTable]]:
    """A live sync of each API with its table; ValueStreamer's reads each dataset before it writes."""
    made = {
        "stativate": (nasty.BOARD, nasty.readings()),
        "valuestreamer": (nasty.FLOOR.model_copy(update={"target": "keep"}), nasty.readings()),
        "dnsimple": (nasty.STATUSES, nasty.readings()),
        "feedback_house": (nasty.AREAS, nasty.areas()),
    }
    return {
        name: (sync.model_copy(update={"mode": "live", "name": name}), table) for name, (sync, table) in made.items()
    }


@pytest.fixture
def extracted(live: Home, tmp_path: Path, sources: Path) -> Home:
    """The home with a stored day and stored areas."""
    ground = nasty.Ground(sources, live, control=None)  # pyright: ignore[reportArgumentType] - no sandbox here
    ground.extract(nasty.readings(), nasty.table(text=["one"]))
    ground.extract(nasty.areas(), nasty.tree({"top": None, "below": "top"}))
    return live


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder for the tables' files."""
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder


def in_a_database(variable: str) -> TableSpec:
    """The table of readings in a database whose URL the variable holds."""
    spec = nasty.readings()
    source = spec.source.model_copy(update={"files": None, "database_env": variable, "table": "kpi"})
    return spec.model_copy(update={"source": source})


def page(told: str) -> str:
    """An error page that shows the request."""
    return f"<html><body><h1>Oh no</h1><pre>{html.escape(told)}</pre></body></html>"


def message(told: str) -> str:
    """An error in JSON that repeats the request."""
    return json.dumps({"message": f"refused: {told}", "errorCode": told, "errors": {"request": [told]}})


def plain_json(told: str) -> bytes:
    """The same in UTF-8, with escaped slashes, as PHP writes it."""
    return json.dumps({"message": told}, ensure_ascii=False).replace("/", r"\/").encode()


def late(told: str) -> str:
    """A text in which a secret stands where messages are cut."""
    return " ".join("x" * (cut - 60 - at) + told for at in (0, 10, 20, 30) for cut in (120, 200, 300))


def garbage(told: str) -> bytes:
    """No status line at all."""
    return f"HTP {told}\r\n\r\n".encode()


ANSWERS: Mapping[str, Echo] = {
    "401 JSON": Echo(401, message),
    "401 page": Echo(401, page, "text/html"),
    "402": Echo(402, message),
    "403": Echo(403, plain_json),
    "415": Echo(415, str, "text/plain"),
    "400 JSON": Echo(400, message),
    "400 percent-encoded": Echo(400, quote),
    "400 twice encoded": Echo(400, lambda told: quote(quote(told, safe=""))),
    "400 Python": Echo(400, repr),
    "400 Base64": Echo(400, lambda told: base64.b64encode(told.encode())),
    "400 late": Echo(400, late, "text/plain"),
    "404": Echo(404, message),
    "500 page": Echo(500, page, "text/html"),
    "500 text": Echo(500, str, "text/plain"),
    "200 page": Echo(200, page, "text/html"),
    "200 text": Echo(200, late, "text/plain"),
    "200 JSON": Echo(200, message),
    "302": Echo(302, str, location=lambda told: f"http://127.0.0.1:9/?key={quote(told)}"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_repeats_the_request_reveals_nothing(
    extracted: Home, api: tuple[str, Echo], watch: Watch, name: str
) -> None:
    """Whatever an API says of a request, its words reach reasons, ledger and logs without the account's secrets."""
    said = ANSWERS[name]
    _, server = api
    server.status, server.body, server.kind, server.location = said.status, said.body, said.kind, said.location
    for sync, _table in syncs().values():
        before = len(server.heard)
        partition = "snapshot" if sync.table == "areas" else nasty.DAY
        try:
            let_send(sync, extracted)
            result = SyncRunner(sync, extracted).run(Order("run", [partition]))
        except PipelinesError as stopped:  # DNSimple's whoami ends the run by itself
            watch.clean(stopped, stopped.facts)
        else:
            assert result.results[partition].gap == 0
            watch.clean(result, {**result.report.reasons}, result.report.stopped, result.report.notes)
        assert len(server.heard) > before
        assert SENT[sync.name] in server.heard[-1].values(), "a server that was told no secret cannot repeat one"


def test_an_answer_that_is_none_reveals_nothing(extracted: Home, api: tuple[str, Echo], watch: Watch) -> None:
    """A garbage status line with the key in it, or a redirect to it, is told without the key."""
    _, server = api
    server.raw = garbage
    sync, _ = syncs()["stativate"]
    let_send(sync, extracted)
    result = SyncRunner(sync, extracted).run(Order("run", [nasty.DAY]))
    assert result.results[nasty.DAY].counts[Outcome.UNKNOWN] + result.results[nasty.DAY].undelivered > 0
    watch.clean({**result.report.reasons}, result.report.stopped)


def command(*words: object, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run `pipelines ...` in this process; returns its exit status."""
    monkeypatch.setattr("sys.argv", ["pipelines", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


TABLE = """type: pipelines.KpiTable
attributes:
  name: readings
  source: {database_env: MART_URL, table: kpi}
  start: "2024-01-01"
  columns: {date: day, team: team, kpi: kpi, actual: value}
"""
SYNCS = {
    "stativate": "type: pipelines.StativateSync\n"
    'attributes: {KEYS, key: "{kpi}", label: "{team}", value: "{actual}"}\n',
    "valuestreamer": "type: pipelines.ValueStreamerSync\nattributes: {KEYS, team_id: team, kpi_id: kpi, "
    "actual: {column: actual, id: team}}\n",
    "dnsimple": 'type: pipelines.DnsimpleSync\nattributes: {KEYS, resource: "domain:{team}", state: ok}\n',
    "feedback_house": 'type: pipelines.FeedbackHouseSync\nattributes: {KEYS, key: "{team}", label: "{team}", '
    "parent: null, tags: null, active: true}\n",
}


def files() -> dict[str, str]:
    """The YAML of a table in a database and of a live sync to each API."""
    made = {
        name: text.replace("KEYS", f"name: {name}_sync, table: readings, account: {name}, mode: live")
        for name, text in SYNCS.items()
    }
    return {"readings": TABLE, **made}


@pytest.mark.parametrize("case", ["401", "page", "garbage", "no host", "no TLS"])
@reads_yaml
def test_pipelines_check_reveals_nothing(
    live: Home, api: tuple[str, Echo], watch: Watch, write: Write, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """`pipelines check` names what is wrong with four accounts and a database, and none of their secrets."""
    url, server = api
    if case == "401":
        server.status, server.body = 401, message
    elif case == "page":
        server.status, server.body = 500, page
    elif case == "garbage":
        server.raw = garbage
    else:
        wrong = "https://nowhere.invalid" if case == "no host" else url.replace("http://", "https://")
        for account in SYNCS:
            monkeypatch.setenv(f"{account.upper()}_URL", wrong)
    folder = write(files())
    with refusing_postgres() as port:
        monkeypatch.setenv("MART_URL", f"postgresql+psycopg://etl:{quote(DATABASE, safe='')}@127.0.0.1:{port}/mart")
        assert command("check", "--folder", folder, monkeypatch=monkeypatch) == 1
    said = watch.clean(secrets=(*SECRETS, DATABASE))
    assert said.count("✗") == 5
    assert "password authentication failed" in said


@reads_yaml
def test_pipelines_confirm_reveals_nothing(
    live: Home, watch: Watch, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pipelines confirm` with a ledger that refuses its password, and with settings missing, shows no secret."""
    folder = write(files())
    words = ("confirm", "stativate", "--same-tenant", "--folder", folder)
    with refusing_postgres() as port:
        monkeypatch.setenv("PIPELINES_LEDGER_URL", f"postgresql://me:{quote(DATABASE, safe='')}@127.0.0.1:{port}/l")
        assert command(*words, monkeypatch=monkeypatch) == 2
    monkeypatch.delenv("PIPELINES_LEDGER_URL")
    monkeypatch.setenv("STATIVATE_URL", f"https://me:{KEY}@api.example.com")
    assert command(*words, monkeypatch=monkeypatch) == 2
    monkeypatch.setenv("STATIVATE_URL", KEY)
    assert command(*words, monkeypatch=monkeypatch) == 2
    monkeypatch.delenv("STATIVATE_URL")
    monkeypatch.delenv("STATIVATE_API_KEY")
    monkeypatch.setenv("STATIVATE_API_KEY_FILE", KEY)
    assert command(*words, monkeypatch=monkeypatch) == 2
    said = watch.clean(secrets=(*SECRETS, DATABASE))
    assert "LedgerError" in said
    assert "STATIVATE_API_KEY_FILE" in said


def chain(error: BaseException) -> str:
    """An error with all that its stack trace would show."""
    said = []
    seen: BaseException | None = error
    while seen is not None:
        said.append(f"{seen} {seen.args!r} {seen!r}")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n".join(said)


ADDRESSES = [
    "postgresql+psycopg://me:{encoded}@127.0.0.1:{port}/x",
    "postgresql+psycopg://me:{raw}@127.0.0.1:{port}/x",
    "postgresql+psycopg://me@127.0.0.1:{port}/x?password={encoded}",
    "postgresql+psycopg://me:{encoded}@nowhere.invalid/x",
    "postgresql+psycopg://me:{encoded}@127.0.0.1:{encoded}/x",
    "postgresql+psycopg://me@127.0.0.1:{port}/x?sslkey={encoded}&nonsense={encoded}",
    "nosuch://me:{encoded}@127.0.0.1/x",
    "{raw}",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_database_that_refuses_reveals_no_password(tmp_path: Path, watch: Watch, address: str) -> None:
    """Wrong addresses of sources and ledgers end in an error of ours, which names the variable and not the password."""
    spec = nasty.readings().model_copy(
        update={
            "source": nasty.readings().source.model_copy(update={"files": None, "database_env": "MART", "table": "t"})
        }
    )
    with refusing_postgres() as port:
        url = address.format(encoded=quote(DATABASE, safe=""), raw=DATABASE, port=port)
        with pytest.raises((TableError, ConfigurationError)) as source:
            extract(
                spec, [nasty.DAY], base=tmp_path, store=PartitionStore(tmp_path), environ={"MART": url}, now=nasty.NOW
            )
        with pytest.raises(LedgerError) as ledger:
            Ledger(url).close()
    watch.clean(chain(source.value), chain(ledger.value), source.value.facts, ledger.value.facts, secrets=(DATABASE,))
    assert "MART" in str(source.value)
    assert "PIPELINES_LEDGER_URL" in str(ledger.value)


@pytest.mark.parametrize("address", ["ftp://me:{encoded}@127.0.0.1:1/store", "nosuch://me:{encoded}@host/store"])
def test_a_store_that_cannot_be_opened_reveals_no_password(watch: Watch, address: str) -> None:
    """A wrong PIPELINES_STORE_URL ends in a sentence without its password."""
    with pytest.raises(ConfigurationError, match="partition store") as refused:
        PartitionStore(address.format(encoded=quote(DATABASE, safe="")))
    watch.clean(chain(refused.value), refused.value.facts, secrets=(DATABASE,))


TEMPLATES = {
    "a mode": ("mode: live", 'mode: "{{ env.PLANTED }}"'),
    "a condition": ("mode: live", 'mode: live, where: "{{ env.PLANTED }}"'),
    "a number": ("mode: live", 'mode: live, share: "{{ env.PLANTED }}"'),
    "a field of a list": ("mode: live", 'mode: live, send_when: ["{{ env.PLANTED }}"]'),
    "a template": ('value: "{actual}"', "value: \"{{{{ env('PLANTED') }}}}{\""),
    "a filter": ("mode: live", 'mode: live, share: "{{ env.PLANTED | int(none) / nothing }}"'),
    "a call": ("mode: live", "mode: live, share: \"{{ [].index(env('PLANTED')) }}\""),
}


@pytest.mark.parametrize("case", TEMPLATES)
@reads_yaml
def test_a_file_that_cannot_be_used_reveals_nothing_of_the_environment(
    empty_home: Home, watch: Watch, write: Write, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """What `{{ env.NAME }}` puts into a field is in no error of loading, nor in its stack trace."""
    old, new = TEMPLATES[case]
    monkeypatch.setenv("PLANTED", KEY)
    board = files()["stativate"]
    assert old in board
    folder = write({"readings": TABLE, "board": board.replace(old, new)})
    with pytest.raises(ConfigurationError) as refused:
        load_deployment(folder)
    watch.clean(chain(refused.value), refused.value.facts)


def test_a_run_in_dagster_reveals_nothing(
    extracted: Home, api: tuple[str, Echo], watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events, logs, metadata and the instance's database hold no secret: not of an API, a source or a ledger."""
    _, server = api
    chosen = [sync for sync, _ in syncs().values()]
    tables = [nasty.readings(), nasty.areas(), in_a_database("MART").model_copy(update={"name": "mart"})]
    defs = build_deployment(tables, chosen, folder=tmp_path)
    told: list[str] = []

    def run(job: str, partition: str | None) -> None:
        result = defs.resolve_job_def(job).execute_in_process(
            instance=instance, partition_key=partition, raise_on_error=False
        )
        told.extend(repr(event) for event in result.all_events)

    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        with refusing_postgres() as port:
            address = f"postgresql+psycopg://me:{quote(DATABASE, safe='')}@127.0.0.1:{port}/x"
            monkeypatch.setenv("MART", address)
            run("mart_extract", nasty.DAY)
            server.body = message
            for server.status, sync in zip((401, 400, 400, 401), chosen, strict=True):
                let_send(sync, extracted)
                run(f"{sync.name}_deliver", None if sync.table == "areas" else nasty.DAY)
            monkeypatch.setenv("PIPELINES_LEDGER_URL", address)
            run("stativate_deliver", nasty.DAY)
        watch.clean(*told, secrets=(*SECRETS, DATABASE))
    assert any("password authentication failed" in event for event in told)
    assert "***" in rows_of(extracted.ledger_url)
