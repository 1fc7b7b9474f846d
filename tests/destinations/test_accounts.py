from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.delivery.destination import Limits, Window
from pipelines.delivery.errors import AccountUnavailable, ConfigurationError, MissingSetting
from pipelines.destinations.accounts import Account, Mode, parse_rate, read_account
from pipelines.destinations.stativate import StativateSettings
from pipelines.destinations.valuestreamer import ValueStreamerSettings
from pipelines.home import Home, SandboxCard

VS = {
    "VS_PROD_URL": "https://api-acme.valuestreamer.de/api/",
    "VS_PROD_USER": "robot",
    "VS_PROD_PASSWORD": "hush-hush",
}
CARD = SandboxCard(
    "box-1",
    "http://127.0.0.1:4180",
    {
        "stativate": {"URL": "http://127.0.0.1:4180/stativate/v1", "API_KEY": "sandbox"},
        "valuestreamer": {"URL": "http://127.0.0.1:4180/valuestreamer/api", "USER": "sandbox", "PASSWORD": "box-pass"},
    },
)


def home(path: Path, card: SandboxCard | None = CARD) -> Home:
    """A home whose sandbox was started, or never was."""
    found = Home.of({"PIPELINES_HOME": str(path)})
    if card is not None:
        found.write_card(card)
    return found


def vs(tmp_path: Path, mode: Mode = "live", name: str = "vs_prod", **env: str | None) -> Account:
    """The ValueStreamer account of an environment that differs from the usual one."""
    environ = {key: value for key, value in (VS | env).items() if value is not None}
    return read_account(name, ValueStreamerSettings, mode, home=home(tmp_path), environ=environ)


def stativate(tmp_path: Path, mode: Mode, env: Mapping[str, str], card: SandboxCard | None = CARD) -> Account:
    """The account `stativate` of an environment."""
    return read_account("stativate", StativateSettings, mode, home=home(tmp_path, card), environ=env)


def test_an_account_is_read_under_its_own_name(tmp_path: Path) -> None:
    """`account: vs_prod` reads VS_PROD_...; address, credentials and media type end up where the port needs them."""
    account = vs(tmp_path)
    token = base64.b64encode(b"robot:hush-hush").decode()
    assert account.url == "https://api-acme.valuestreamer.de/api"
    assert account.headers == {"authorization": f"Basic {token}", "accept": "application/vs.v2.0+json"}
    assert account.media_type == "application/vs.v2.0+json"
    assert (account.name, account.api, account.mode) == ("vs_prod", "valuestreamer", "live")


def test_the_media_type_can_be_set_for_another_version(tmp_path: Path) -> None:
    """The name of version 3 is not published, so it is a setting, for Accept and Content-Type alike."""
    account = vs(tmp_path, VS_PROD_MEDIA_TYPE="application/vs.v9+json")
    assert (account.headers["accept"], account.media_type) == ("application/vs.v9+json",) * 2
    assert account.media_type_setting == "VS_PROD_MEDIA_TYPE"
    assert stativate(tmp_path, "sandbox", {}).media_type_setting == ""


def test_unknown_limits_are_met_with_caution_in_live_and_with_none_in_the_sandbox(tmp_path: Path) -> None:
    """A real API whose limits nobody published gets one request a second; ours gets what it bears."""
    assert vs(tmp_path).limits == Limits((Window(1, 1.0),), 2)
    assert stativate(tmp_path, "sandbox", {}).limits == Limits((), 16)


def test_limits_can_be_set_in_every_mode(tmp_path: Path) -> None:
    """RATE, IN_FLIGHT and TIMEOUT count also where address and credentials come from the card."""
    env = {"STATIVATE_RATE": "5/s, 1000/h", "STATIVATE_IN_FLIGHT": "3", "STATIVATE_TIMEOUT": "2.5"}
    account = stativate(tmp_path, "sandbox", env)
    assert account.limits == Limits((Window(5, 1.0), Window(1000, 3600.0)), 3)
    assert account.timeout_s == 2.5


@pytest.mark.parametrize("text", ["", "10", "0/s", "1.5/s", "10/w", "10/s,", "-1/s", "/s", "10 per s"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    """A misread rate would be a broken limit."""
    with pytest.raises(ValueError, match="is no rate"):
        parse_rate(text)


def test_all_missing_settings_are_named_in_one_error(tmp_path: Path) -> None:
    """Nobody sets variables one failed run at a time."""
    with pytest.raises(MissingSetting) as caught:
        vs(tmp_path, VS_PROD_USER=None, VS_PROD_PASSWORD="")
    assert "VS_PROD_USER and VS_PROD_PASSWORD are not set" in str(caught.value)
    assert caught.value.facts["setting"] == "VS_PROD_USER, VS_PROD_PASSWORD"


def test_the_address_of_a_tenant_has_no_default(tmp_path: Path) -> None:
    """Every ValueStreamer tenant has its own host; Stativate has one for all."""
    with pytest.raises(MissingSetting, match="VS_PROD_URL is not set"):
        vs(tmp_path, VS_PROD_URL=None)
    assert stativate(tmp_path, "live", {"STATIVATE_API_KEY": "k"}).url == "https://api.stativate.de/v1"


def test_a_setting_can_be_a_file_without_its_last_line_break(tmp_path: Path) -> None:
    """Mounted secrets end with a line break that belongs to no password; only one is taken off."""
    (tmp_path / "secret").write_text("hush\nhush\n\n", encoding="utf-8")
    account = vs(tmp_path, VS_PROD_PASSWORD=None, VS_PROD_PASSWORD_FILE=str(tmp_path / "secret"))
    assert account.secrets[0] == "hush\nhush\n"


def test_an_unreadable_file_names_variable_and_path(tmp_path: Path) -> None:
    """The error tells which file of which setting, and why."""
    with pytest.raises(ConfigurationError, match=r"VS_PROD_PASSWORD_FILE names the file .*gone.*No such file"):
        vs(tmp_path, VS_PROD_PASSWORD=None, VS_PROD_PASSWORD_FILE=str(tmp_path / "gone"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="it is no UTF-8 text"):
        vs(tmp_path, VS_PROD_PASSWORD=None, VS_PROD_PASSWORD_FILE=str(tmp_path / "binary"))


def test_a_secret_in_the_variable_of_a_file_is_not_repeated(tmp_path: Path) -> None:
    """Who puts the password itself where its file should stand reads which variable it is, and no password."""
    with pytest.raises(ConfigurationError, match="VS_PROD_PASSWORD_FILE names a file, which cannot be read") as caught:
        vs(tmp_path, VS_PROD_PASSWORD=None, VS_PROD_PASSWORD_FILE="hush-hush")
    assert "hush" not in str(caught.value)


def test_a_setting_given_twice_is_refused(tmp_path: Path) -> None:
    """A variable and its file could disagree, and nobody should have to know which one wins."""
    (tmp_path / "secret").write_text("other", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="both VS_PROD_PASSWORD and VS_PROD_PASSWORD_FILE are set"):
        vs(tmp_path, VS_PROD_PASSWORD_FILE=str(tmp_path / "secret"))


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("VS_PROD_IN_FLIGHT", "many", "VS_PROD_IN_FLIGHT cannot be used: must be a whole number"),
        ("VS_PROD_IN_FLIGHT", "0", "VS_PROD_IN_FLIGHT cannot be used"),
        ("VS_PROD_TIMEOUT", "inf", "VS_PROD_TIMEOUT cannot be used"),
        ("VS_PROD_RATE", "fast", 'VS_PROD_RATE cannot be used: "fast" is no rate'),
        ("VS_PROD_USER", "a:b", "VS_PROD_USER cannot be used: HTTP Basic allows no colon"),
        ("VS_PROD_MEDIA_TYPE", "application/json\r\nX: y", "VS_PROD_MEDIA_TYPE cannot be used"),
        ("VS_PROD_URL", "api-acme.valuestreamer.de", "VS_PROD_URL: The base URL"),
        ("VS_PROD_URL", "http://api-acme.valuestreamer.de", "VS_PROD_URL: The base URL .* plain http"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, setting: str, value: str, said: str) -> None:
    """The error names the variable, not a field of some model."""
    with pytest.raises(ConfigurationError, match=said):
        vs(tmp_path, "live", **{setting: value})


@pytest.mark.parametrize("key", ["hush-hush\n", "hush hush", "hush\r\nX-Evil: 1", "hüsch"])
def test_a_key_that_fits_in_no_header_is_refused_without_being_shown(tmp_path: Path, key: str) -> None:
    """A key with a line break would be a second header; the error does not repeat any of it."""
    with pytest.raises(ConfigurationError, match="STATIVATE_API_KEY cannot be used") as caught:
        stativate(tmp_path, "live", {"STATIVATE_API_KEY": key})
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(caught.value.__context__)


@pytest.mark.parametrize("mode", ["live", "sandbox"])
def test_credentials_in_an_address_are_refused_without_being_shown(tmp_path: Path, mode: Mode) -> None:
    """An address is logged and stored; a password does not belong into it."""
    with pytest.raises(ConfigurationError, match="VS_PROD_URL") as caught:
        vs(tmp_path, mode, VS_PROD_URL="https://robot:hush-hush@api-acme.valuestreamer.de/api")
    assert "hush" not in str(caught.value)


def test_no_secret_is_in_the_text_of_an_account(tmp_path: Path) -> None:
    """What is logged by accident shows neither password nor header."""
    account = vs(tmp_path)
    assert "hush" not in repr(account)
    assert base64.b64encode(b"robot:hush-hush").decode() not in repr(account)
    settings = ValueStreamerSettings.model_validate({"url": "https://x", "user": "u", "password": "hush-hush"})
    assert "hush" not in repr(settings) + str(settings.model_dump_json())


def test_mode_sandbox_reaches_no_other_machine_whatever_the_environment_says(tmp_path: Path) -> None:
    """A sync in mode sandbox with a real address stops before a request, and says how to go live."""
    with pytest.raises(ConfigurationError) as caught:
        vs(tmp_path, "sandbox")
    assert "the sync says mode: sandbox, but VS_PROD_URL names no address of this machine" in str(caught.value)
    assert "mode: live" in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1.example.com", "localhost.example.com", "0.0.0.0", "10.0.0.1", "[::2]"])  # noqa: S104  # that is what must be refused
def test_what_only_looks_like_this_machine_is_another_one(tmp_path: Path, host: str) -> None:
    """The sandbox mode is not fooled by a name that begins like loopback."""
    for scheme in ("http", "https"):
        with pytest.raises(ConfigurationError, match="mode: sandbox"):
            vs(tmp_path, "sandbox", VS_PROD_URL=f"{scheme}://{host}/api")


@pytest.mark.parametrize("host", ["localhost:4180", "127.0.0.1:1", "127.9.9.9", "[::1]:80"])
def test_mode_sandbox_takes_a_server_of_this_machine_from_the_environment(tmp_path: Path, host: str) -> None:
    """Somebody's own sandbox on another port is fine, with the credentials of the environment."""
    account = vs(tmp_path, "sandbox", VS_PROD_URL=f"http://{host}/api")
    assert account.url == f"http://{host}/api"
    assert account.secrets[0] == "hush-hush"
    assert account.sandbox_id is None


def test_without_an_address_the_sandbox_card_says_everything(tmp_path: Path) -> None:
    """Credentials of a real API that happen to be set are not sent to the sandbox."""
    account = vs(tmp_path, "sandbox", VS_PROD_URL=None)
    assert account.url == "http://127.0.0.1:4180/valuestreamer/api"
    assert account.secrets[0] == "box-pass"
    assert account.sandbox_id == "box-1"


def test_the_sandbox_of_the_home_is_known_by_its_address(tmp_path: Path) -> None:
    """A URL in the environment that is the card's carries the sandbox's id, in whatever way it is written."""
    account = vs(tmp_path, "sandbox", VS_PROD_URL="http://127.0.0.1:4180/valuestreamer/api/")
    assert account.sandbox_id == "box-1"
    assert vs(tmp_path, "live", VS_PROD_URL="http://127.0.0.1:4180/valuestreamer/api").sandbox_id is None


def test_the_sandbox_of_the_home_stays_itself_on_another_port(tmp_path: Path) -> None:
    """What was delivered to it still counts when it comes back there, and a server that is not it is another place."""
    before = stativate(tmp_path, "sandbox", {})
    url = "http://127.0.0.1:4999/stativate/v1"
    moved = SandboxCard(CARD.id, "http://127.0.0.1:4999", {"stativate": {"URL": url, "API_KEY": "sandbox"}})
    after = stativate(tmp_path, "sandbox", {}, card=moved)
    assert (after.url, after.address_hash, after.sandbox_id) == (url, before.address_hash, before.sandbox_id)
    another = stativate(
        tmp_path, "sandbox", {"STATIVATE_URL": "http://127.0.0.1:5/stativate/v1", "STATIVATE_API_KEY": "k"}
    )
    assert another.address_hash != before.address_hash


def test_a_home_without_a_sandbox_says_how_to_start_one(tmp_path: Path) -> None:
    """The first run after installing ends with a sentence, not with a refused connection."""
    with pytest.raises(AccountUnavailable, match=r"sandbox of this home was never started.*pipelines sandbox"):
        stativate(tmp_path, "sandbox", {}, card=None)


def test_a_dry_sync_needs_no_setting_at_all(tmp_path: Path) -> None:
    """Planning works before anybody has credentials."""
    account = stativate(tmp_path, "dry", {}, card=None)
    assert (account.url, dict(account.headers), account.secrets, account.address_hash) == ("", {}, (), "")


def test_the_address_hash_tells_addresses_apart_and_not_spellings(tmp_path: Path) -> None:
    """A trailing slash is the same address; another tenant is another one."""
    same = [vs(tmp_path), vs(tmp_path, VS_PROD_URL="https://API-acme.valuestreamer.de/api")]
    assert len({account.address_hash for account in same}) == 1
    other = vs(tmp_path, VS_PROD_URL="https://api-other.valuestreamer.de/api")
    assert other.address_hash != same[0].address_hash
    assert len(other.address_hash) == 32
