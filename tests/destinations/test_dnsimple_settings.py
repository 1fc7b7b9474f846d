from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.delivery.destination import Limits, Window
from pipelines.delivery.errors import ConfigurationError, MissingSetting
from pipelines.destinations.accounts import Account, Mode, read_account
from pipelines.destinations.dnsimple import DnsimpleSettings
from pipelines.home import Home, SandboxCard

LIVE = {"DN_TOKEN": "hush-hush", "DN_ACCOUNT": "1010"}
CARD = SandboxCard(
    "box-1",
    "http://127.0.0.1:4180",
    {"dnsimple": {"URL": "http://127.0.0.1:4180/dnsimple/v2", "TOKEN": "box-token", "ACCOUNT": "1010"}},
)


def read(path: Path, mode: Mode = "live", **env: str) -> Account:
    """The account `dn` of an environment that differs from the usual one; what is empty is not set."""
    home = Home.of({"PIPELINES_HOME": str(path)})
    home.write_card(CARD)
    environ = env if mode == "sandbox" else LIVE | env
    return read_account("dn", DnsimpleSettings, mode, home=home, environ=environ)


def test_the_account_is_that_of_production_unless_it_is_told_another(tmp_path: Path) -> None:
    """Address, bearer token and account number end up where the destination and the port need them."""
    account = read(tmp_path)
    assert account.url == "https://api.dnsimple.com/v2"
    assert account.headers == {"authorization": "Bearer hush-hush", "accept": "application/json"}
    assert (account.tenant, account.media_type) == ("1010", "application/json")
    assert read(tmp_path, DN_URL="https://api.sandbox.dnsimple.com/v2").url == "https://api.sandbox.dnsimple.com/v2"


def test_the_sandbox_card_says_everything(tmp_path: Path) -> None:
    """Without settings the home's sandbox is found, with its account."""
    account = read(tmp_path, "sandbox")
    assert (account.url, account.tenant, account.sandbox_id) == (
        "http://127.0.0.1:4180/dnsimple/v2",
        "1010",
        "box-1",
    )


@pytest.mark.parametrize("mode", ["live", "sandbox"])
def test_the_documented_limit_holds_in_every_mode(tmp_path: Path, mode: Mode) -> None:
    """2,400 an hour is no guess, so the sandbox is called no faster than the API."""
    assert read(tmp_path, mode).limits == Limits((Window(2400, 3600.0),), 2)


def test_a_share_of_the_limit_can_be_set(tmp_path: Path) -> None:
    """An account with other users, or another contract, has its own figures."""
    assert read(tmp_path, DN_RATE="600/h", DN_IN_FLIGHT="1").limits == Limits((Window(600, 3600.0),), 1)


@pytest.mark.parametrize("missing", ["DN_TOKEN", "DN_ACCOUNT"])
def test_token_and_account_are_required(tmp_path: Path, missing: str) -> None:
    """The error names the variable."""
    with pytest.raises(MissingSetting, match=f"{missing} is not set"):
        read(tmp_path, "live", **{missing: ""})


@pytest.mark.parametrize("number", ["acme", "-1", "0", "1010/domains", "1010.5"])
def test_an_account_that_is_no_number_is_refused(tmp_path: Path, number: str) -> None:
    """What stands in every path is a number and nothing else."""
    with pytest.raises(ConfigurationError, match="DN_ACCOUNT cannot be used"):
        read(tmp_path, DN_ACCOUNT=number)


def test_the_token_is_shown_nowhere(tmp_path: Path) -> None:
    """Neither a printed account nor the error about a token that fits in no header repeats it."""
    assert "hush" not in repr(read(tmp_path))
    with pytest.raises(ConfigurationError, match="DN_TOKEN cannot be used") as caught:
        read(tmp_path, DN_TOKEN="hush\nhush")
    assert "hush" not in str(caught.value)


def test_another_account_is_another_address(tmp_path: Path) -> None:
    """What the ledger knows of one account must never be taken for the state of another one at the same URL."""
    one, same, other = read(tmp_path), read(tmp_path, DN_ACCOUNT=" 1010"), read(tmp_path, DN_ACCOUNT="1011")
    assert one.address_hash == same.address_hash
    assert one.address_hash != other.address_hash
