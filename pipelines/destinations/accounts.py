"""Accounts: one set of credentials of one API, read from the environment under the account's name.

The account `vs_prod` reads VS_PROD_URL, VS_PROD_USER and so on. Each variable may instead be given as a file that holds
the value: VS_PROD_PASSWORD_FILE. Every account also takes

    <ACCOUNT>_RATE        10/s, 2400/h, or several: "5/s, 1000/h"
    <ACCOUNT>_IN_FLIGHT   requests in flight at once
    <ACCOUNT>_TIMEOUT     seconds after which an answer counts as lost

An API's module adds its own settings as a `Settings` subclass: one field per variable.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from pipelines.delivery.address import base_url, is_loopback
from pipelines.delivery.destination import Limits, Window
from pipelines.delivery.errors import AccountUnavailable, ConfigurationError, MissingSetting
from pipelines.delivery.redact import redact
from pipelines.delivery.wording import faults
from pipelines.home import Home, SandboxCard

Mode = Literal["sandbox", "dry", "live"]

CAUTIOUS = Limits((Window(1, 1.0),), in_flight=2)
"""For a real API whose limits are published nowhere."""
UNHURRIED = Limits((), in_flight=16)
"""For the sandbox, which is ours, where it stands in for an API without published limits."""
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"([1-9][0-9]*)\s*/\s*(s|min|h|d)")
_TUNING = ("rate", "in_flight", "timeout")


@dataclass(frozen=True, slots=True)
class Account:
    """An account as a destination and the HTTP port use it.

    `headers` go with every request and hold the credentials; `media_type` is the content type of its bodies, and
    `media_type_setting` the variable that chooses it, where there is one. `secrets` are the texts that must appear in
    no log or error. `address_hash` tells a changed address from the one that the ledger's state belongs to; it is empty
    in mode dry, where no address is needed. `tenant` is the API's own name of the account, where requests must say it:
    a part of the address. `sandbox_id` is the id of the home's sandbox, where the URL is that sandbox's.
    """

    name: str
    api: str
    mode: Mode
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    limits: Limits = CAUTIOUS
    timeout_s: float = 30.0
    address_hash: str = ""
    tenant: str = ""
    sandbox_id: str | None = None
    media_type: str = "application/json"
    media_type_setting: str = ""

    def redact(self, text: str) -> str:
        """The text without any secret of this account."""
        return redact(text, self.secrets)


class Settings(BaseModel, ABC):
    """What an account reads: each field `x` is the variable <ACCOUNT>_X. Secrets are SecretStr and never shown."""

    # An error that repeats its input would print a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api: ClassVar[str]
    """Name of the API, and of its part of the sandbox's card."""
    live_limits: ClassVar[Limits] = CAUTIOUS
    sandbox_limits: ClassVar[Limits] = UNHURRIED
    """An API that publishes its limits has them in its sandbox too."""
    where_to_find: ClassVar[Mapping[str, str]] = {}
    """What to say of a required field that is not set and that nobody can find by himself."""

    url: str = Field(description="Base address of the API.")
    rate: tuple[Window, ...] | None = Field(default=None, description="Requests per time, such as 10/s or 5/s, 1000/h.")
    in_flight: int | None = Field(default=None, ge=1, description="Requests in flight at once.")
    timeout: float = Field(
        default=30.0, gt=0, allow_inf_nan=False, description="Seconds until an answer counts as lost."
    )

    @field_validator("rate", mode="before")
    @classmethod
    def _windows(cls, rate: object) -> object:
        return parse_rate(rate) if isinstance(rate, str) else rate

    @abstractmethod
    def headers(self) -> Mapping[str, str]:
        """The headers of every request, credentials included."""

    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """The texts to be kept out of logs and errors."""

    def content_type(self) -> str:
        """The media type of request bodies."""
        return "application/json"

    def tenant(self) -> str:
        """The API's own name of the account, where requests must say it; else empty."""
        return ""

    def limits(self, mode: Mode) -> Limits:
        """What the account may do at once: as set, else the default of the mode."""
        default = self.sandbox_limits if mode == "sandbox" else self.live_limits
        windows = default.windows if self.rate is None else self.rate
        return Limits(windows, self.in_flight or default.in_flight)


def read_account(
    name: str,
    kind: type[Settings],
    mode: Mode,
    *,
    home: Home | None = None,
    environ: Mapping[str, str] | None = None,
) -> Account:
    """The account of that name, as a sync in this mode may use it.

    sandbox: a loopback address only; without <ACCOUNT>_URL, address and credentials are those on the home's sandbox
    card. live: https, or http to loopback. dry: nothing is read, since nothing is sent.

    Raises:
        MissingSetting: names all variables that are missing.
        ConfigurationError: a setting cannot be used, or the mode forbids the address.
        AccountUnavailable: mode sandbox, and the home has no sandbox yet.
    """
    if mode == "dry":
        return Account(name, kind.api, mode)
    env = os.environ if environ is None else environ
    home = home or Home.of(env)
    card = home.read_card() if mode == "sandbox" else None
    found = _from_environment(name, kind, env)
    if mode == "sandbox" and "url" not in found:
        found = _from_card(name, kind, card) | {key: found[key] for key in _TUNING if key in found}
    settings = _validated(name, kind, found)
    url = _address(name, settings.url, mode)
    tenant = settings.tenant()
    sandbox = _sandbox_id(card, kind.api, url)
    # A home's sandbox may come back on another port: its id tells it, so that its content still counts as delivered.
    where = urlsplit(url).path if sandbox else url
    place = f"{where}/{tenant}" if tenant else where
    return Account(
        name=name,
        api=kind.api,
        mode=mode,
        url=url,
        headers=settings.headers(),
        secrets=tuple(secret for secret in settings.secrets() if secret),
        limits=settings.limits(mode),
        timeout_s=settings.timeout,
        address_hash=blake2b(place.encode(), digest_size=16).hexdigest(),
        tenant=tenant,
        sandbox_id=sandbox,
        media_type=settings.content_type(),
        media_type_setting=variable(name, "media_type") if "media_type" in kind.model_fields else "",
    )


def variable(account: str, field_name: str) -> str:
    """The environment variable of an account's setting."""
    return f"{account}_{field_name}".upper()


def parse_rate(text: str) -> tuple[Window, ...]:
    """Read "10/s" or "5/s, 1000/h": whole numbers per s, min, h or d.

    Raises:
        ValueError: it is nothing of that kind.
    """
    windows = []
    for part in text.split(","):
        match = _RATE.fullmatch(part.strip())
        if match is None:
            msg = f'"{part.strip()}" is no rate: write 10/s, 90/min, 2400/h or 50000/d, several with a comma between'
            raise ValueError(msg)
        windows.append(Window(int(match[1]), _SECONDS[match[2]]))
    return tuple(windows)


def _address(name: str, url: str, mode: Mode) -> str:
    """The base URL, if this mode may use it."""
    setting = variable(name, "url")
    try:
        base = base_url(url)
    except ConfigurationError as error:
        base, wrong = "", error
    else:
        wrong = None
    if mode == "sandbox" and not is_loopback(url.strip()):
        msg = f"account {name}: the sync says mode: sandbox, but {setting} names no address of this machine"
        do = f"To use the sandbox, unset {setting}; to send to the real API, say mode: live in the sync."
        raise ConfigurationError(msg, do=do, account=name, setting=setting)
    if wrong is not None:
        raise ConfigurationError(f"account {name}: {setting}: {wrong.what}", do=wrong.do, account=name, setting=setting)
    return base


def _from_environment(name: str, kind: type[Settings], env: Mapping[str, str]) -> dict[str, str]:
    """The settings that the environment holds, by field; an empty variable counts as not set."""
    found: dict[str, str] = {}
    for key in kind.model_fields:
        setting = variable(name, key)
        value, path = env.get(setting), env.get(f"{setting}_FILE")
        if value and path:
            msg = f"account {name}: both {setting} and {setting}_FILE are set"
            raise ConfigurationError(msg, do="Unset one of them.", account=name, setting=setting)
        if path:
            value = _read(name, f"{setting}_FILE", path)
        if value:
            found[key] = value
    return found


def _read(name: str, setting: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        # What is no whole path may be the secret itself, put into the wrong variable.
        file = f"the file {path}" if Path(path).is_absolute() else "a file"
        msg = f"account {name}: {setting} names {file}, which cannot be read: {why}"
        raise ConfigurationError(msg, do="Check the path and its permissions.", account=name, setting=setting) from None
    return text.removesuffix("\n").removesuffix("\r")


def _from_card(name: str, kind: type[Settings], card: SandboxCard | None) -> dict[str, str]:
    if card is None or kind.api not in card.accounts:
        raise AccountUnavailable(
            f"account {name}: the sandbox of this home was never started",
            do="Run `pipelines sandbox` or `pipelines dev`.",
            account=name,
        )
    return {key.lower(): value for key, value in card.accounts[kind.api].items() if key.lower() in kind.model_fields}


def _sandbox_id(card: SandboxCard | None, api: str, url: str) -> str | None:
    if card is None:
        return None
    address = card.accounts.get(api, {}).get("URL")
    return card.id if address and base_url(address) == url else None


def _validated(name: str, kind: type[Settings], found: Mapping[str, str]) -> Settings:
    missing = [
        variable(name, key) for key, info in kind.model_fields.items() if info.is_required() and key not in found
    ]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        hints = [f"{hint} " for key, hint in kind.where_to_find.items() if variable(name, key) in missing]
        raise MissingSetting(
            f"account {name}: {' and '.join(missing)} {verb} not set",
            do="".join(hints)
            + "Set each one in the environment, or under its name with _FILE the path of a file that holds it.",
            account=name,
            setting=", ".join(missing),
        )
    try:
        return kind.model_validate(dict(found))
    except ValidationError as error:
        wrong = [(variable(name, str(one.path[0])), one.why) for one in faults(error, kind)]
        said = "; ".join(f"{setting} cannot be used: {why}" for setting, why in wrong)
        settings = ", ".join(setting for setting, _ in wrong)
        raise ConfigurationError(f"account {name}: {said}", account=name, setting=settings) from None


def header_safe(secret: SecretStr) -> SecretStr:
    """The secret, if it can stand in a header: printable ASCII without spaces; for pydantic's validators.

    Raises:
        ValueError: it has another character, often a line break at its end. The message does not repeat it.
    """
    if not re.fullmatch(r"[\x21-\x7e]+", secret.get_secret_value()):
        msg = "it holds a space, a line break or another character that no key has"
        raise ValueError(msg)
    return secret
