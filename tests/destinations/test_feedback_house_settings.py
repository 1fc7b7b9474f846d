from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.delivery.destination import Limits, Window
from pipelines.delivery.errors import ConfigurationError, MissingSetting
from pipelines.destinations.accounts import Account, Mode, read_account
from pipelines.destinations.feedback_house import FeedbackHouseSettings
from pipelines.home import Home, SandboxCard

CARD = SandboxCard(
    "box-1",
    "http://127.0.0.1:4180",
    {"feedback_house": {"URL": "http://127.0.0.1:4180/api", "AUTH_HEADER": "x-api-key", "AUTH_VALUE": "sandbox"}},
)


def read(tmp_path: Path, mode: Mode = "live", **env: str) -> Account:
    """The account `fh` of an environment."""
    home = Home.of({"PIPELINES_HOME": str(tmp_path)})
    home.write_card(CARD)
    return read_account("fh", FeedbackHouseSettings, mode, home=home, environ=env)


def test_without_the_headers_name_nothing_starts_and_the_reason_is_given(tmp_path: Path) -> None:
    """A guessed header would send the key where nobody expects it; who knows the name is said."""
    with pytest.raises(MissingSetting) as caught:
        read(tmp_path, FH_AUTH_VALUE="hush-hush")
    assert str(caught.value) == (
        "account fh: FH_AUTH_HEADER is not set. The name of the header in which feedback.house expects its API key is "
        "documented nowhere, so that there is no default: ask feedback.house for it. Set each one in the environment, "
        "or under its name with _FILE the path of a file that holds it."
    )


def test_a_missing_key_is_no_riddle(tmp_path: Path) -> None:
    """Only what is missing is explained."""
    with pytest.raises(MissingSetting) as caught:
        read(tmp_path, FH_AUTH_HEADER="x-key")
    assert "FH_AUTH_VALUE is not set" in str(caught.value)
    assert "documented nowhere" not in str(caught.value)


def test_the_account_says_its_key_as_it_is_told(tmp_path: Path) -> None:
    """Header and whole value are the account's; the address is the documented one unless another is given."""
    account = read(tmp_path, FH_AUTH_HEADER="Authorization", FH_AUTH_VALUE="Bearer hush-hush")
    assert account.headers == {"authorization": "Bearer hush-hush", "accept": "application/json"}
    assert account.url == "https://api.feedback.house/api"
    assert "hush" not in repr(account)


def test_the_key_is_kept_out_of_texts_with_and_without_its_scheme(tmp_path: Path) -> None:
    """A server that repeats the key alone gives it away no less."""
    account = read(tmp_path, FH_AUTH_HEADER="Authorization", FH_AUTH_VALUE="Bearer hush-hush")
    assert account.redact("no such key: hush-hush") == "no such key: ***"


@pytest.mark.parametrize("name", ["x key", "x-key:", "x-key: abc", "x\nkey", "Content-Type", "HOST", "ü"])
def test_what_is_no_header_is_refused(tmp_path: Path, name: str) -> None:
    """A header that no request can have, or that has another purpose, is found before the first request."""
    with pytest.raises(ConfigurationError, match="FH_AUTH_HEADER cannot be used"):
        read(tmp_path, FH_AUTH_HEADER=name, FH_AUTH_VALUE="x")


@pytest.mark.parametrize("value", [" hush", "hush ", "hush  hush", "hush\nhush", "h\u00fdsh", "Bearer\thush"])
def test_a_key_with_a_stray_space_is_refused_without_being_shown(tmp_path: Path, value: str) -> None:
    """What was pasted along with a key is found, and the error does not repeat it."""
    with pytest.raises(ConfigurationError, match="FH_AUTH_VALUE cannot be used") as caught:
        read(tmp_path, FH_AUTH_HEADER="x-key", FH_AUTH_VALUE=value)
    assert value not in str(caught.value)


def test_the_documented_limit_holds_in_the_sandbox_too(tmp_path: Path) -> None:
    """10 requests a second are documented, and all of them are used, wherever the account is."""
    documented = Limits((Window(10, 1.0),), 2)
    assert read(tmp_path, FH_AUTH_HEADER="x-key", FH_AUTH_VALUE="x").limits == documented
    assert read(tmp_path, "sandbox").limits == documented
    assert read(tmp_path, "sandbox", FH_RATE="3/s", FH_IN_FLIGHT="1").limits == Limits((Window(3, 1.0),), 1)
