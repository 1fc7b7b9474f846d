"""A sandbox over real HTTP, and the way to it that a destination is given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack

import pytest

from pipelines.delivery.destination import Destination
from pipelines.delivery.errors import CredentialsRefused, MediaTypeRefused
from pipelines.delivery.http import HttpPort
from pipelines.delivery.messages import Answer, Exchange, Port, Request
from pipelines.delivery.upsert import Upsert, Verdict
from pipelines.destinations.accounts import Account, read_account
from pipelines.home import Home
from pipelines.sandbox import Control, SandboxServer
from tests.contract.cases import Case


class PlainCall:
    """The least that the engine promises a destination: 401 and 415 are raised. Nothing is paced or tried again."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self.lines: list[str] = []

    async def __call__(self, request: Request) -> Exchange:
        self.lines.append(str(request))
        exchange = await self._port.send(request)
        if isinstance(exchange, Answer) and exchange.status == 401:
            raise CredentialsRefused("401")
        if isinstance(exchange, Answer) and exchange.status == 415:
            raise MediaTypeRefused("415")
        return exchange


class Way:
    """A destination of the sandbox and the call to it."""

    def __init__(self, destination: Destination, call: PlainCall, account: Account) -> None:
        self.destination = destination
        self.call = call
        self.account = account

    async def deliver(self, *upserts: Upsert) -> list[Verdict]:
        """Send upserts in batches of the destination's size."""
        size = self.destination.batch_size
        verdicts: list[Verdict] = []
        for start in range(0, len(upserts), size):
            verdicts += await self.destination.send(upserts[start : start + size], self.call)
        return verdicts


Connect = Callable[..., Way]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home whose card tells where the sandbox is."""
    return Home.of({"PIPELINES_HOME": str(tmp_path_factory.mktemp("contract"))})


@pytest.fixture(scope="session")
def server(home: Home) -> Iterator[SandboxServer]:
    """One sandbox for the whole suite, without a disk."""
    with SandboxServer.start(home, port=0, persist=False) as running:
        yield running


@pytest.fixture
def control(server: SandboxServer) -> Control:
    """The control of an empty sandbox."""
    server.control.reset()
    return server.control


@pytest.fixture
async def connect(home: Home, control: Control) -> AsyncIterator[Connect]:
    """Connect a case to the sandbox with the settings on the card, or with some of them changed."""
    async with AsyncExitStack() as stack:

        def connected(case: Case, environ: Mapping[str, str] | None = None) -> Way:
            spec = case.spec
            control.configure(**{spec.settings.api: case.switches})
            account = read_account(spec.account, spec.settings, "sandbox", home=home, environ=environ or {})
            port = HttpPort(
                base_url=account.url,
                headers=account.headers,
                max_connections=account.limits.in_flight,
                timeout_s=account.timeout_s,
                secrets=account.secrets,
            )
            stack.push_async_callback(port.aclose)
            return Way(spec.connect(account), PlainCall(port), account)

        yield connected


def environment(case: Case, home: Home, changed: Mapping[str, str]) -> dict[str, str]:
    """An environment that leads to the sandbox by the settings on its card, some of them changed."""
    card = home.read_card()
    assert card is not None
    settings = {**card.accounts[case.spec.settings.api], **changed}
    return {f"{case.spec.account}_{name}".upper(): value for name, value in settings.items()}


def standing(control: Control, api: str) -> Sequence[str]:
    """The keys that the sandbox holds for an API, sorted."""
    held = control.state(api)
    if api == "dnsimple":
        return sorted(f"{one['resource']}/{one['context']}" for one in held["statuses"])
    if api == "feedback_house":
        return sorted(one["correlationID"] for one in held["areas"].values())
    return sorted(held["statuses"] if api == "stativate" else held["records"])
