"""`pipelines adopt`: first contact. Look at what stands at an account, and say what a sync may do with it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from pipelines.commands.deployed import Deployed
from pipelines.commands.printing import as_json, confirm, console, short, table
from pipelines.commands.rename import former_name
from pipelines.delivery.errors import AccountStopped, AccountUnavailable, ConfigurationError
from pipelines.home import Home

if TYPE_CHECKING:
    from pipelines.components.adopting import Contact
    from pipelines.delivery.adoption import Findings, Policy

_RISK = (
    "Nobody has looked: the first run sends every key of the source, and overwrites what people have set at these keys."
)
_CHOICE = """\
Nothing was written down. Say what is to become of what differs:
  pipelines adopt {sync} --take-over   the next run sends the source's values over theirs
  pipelines adopt {sync} --keep        theirs stay until the source's own value changes
What is the same is not sent again in either case, what is only here is created, what is only there is left alone."""
_TIME = "The account does not tell of which time its values are: for what differs, time counts from the next run on."
_LATER = "Keys that the source gains later are sent without another look: what somebody has set there is overwritten."


def run_adopt(
    sync: str,
    *,
    take_over: bool,
    keep: bool,
    trust_source: bool,
    yes: bool,
    limit: int,
    folder: Path | None,
    json: bool,
) -> int:
    """Look, show, and with a choice write it down; 1 where the sync may not write afterwards, or something differs.

    Raises:
        ConfigurationError: choices that exclude each other; a choice in mode dry; nobody to confirm it.
        AccountStopped, AccountUnavailable: the account cannot be read.
    """
    deployed = Deployed.at(folder)
    spec = deployed.sync(sync)
    from pipelines.components.adopting import Contact

    policy = _policy(take_over=take_over, keep=keep, trust_source=trust_source)
    contact = Contact.of(spec, Home.of())
    notes = console(stderr=True)
    if spec.mode == "dry":
        return _dry(contact, policy, notes)
    notes.print(_RISK if trust_source else _announcement(contact))
    if policy is not None and not yes:
        confirm(f"what {sync} may do")
    findings = _look(contact, policy, limit, notes)
    if json:
        as_json(_as_json(contact, policy, findings))
    else:
        _print(console(), contact, policy, findings, [one.name for one in deployed.syncs])
    if policy is None:
        return 0 if _may_write(contact) and not findings.differ else 1
    return 0 if findings.adopted else 1


def _policy(*, take_over: bool, keep: bool, trust_source: bool) -> Policy | None:
    from pipelines.delivery.adoption import Policy

    given = {Policy.TAKE_OVER: take_over, Policy.KEEP: keep, Policy.TRUSTED: trust_source}
    chosen = [policy for policy, wanted in given.items() if wanted]
    if len(chosen) > 1:
        raise ConfigurationError(
            "--take-over, --keep and --trust-source exclude each other", do="Choose one of them, or none to look only."
        )
    return chosen[0] if chosen else None


def _dry(contact: Contact, policy: Policy | None, notes: Console) -> int:
    name = contact.sync.name
    if policy is not None:
        raise ConfigurationError(
            f"sync {name} is in mode dry, which reaches no account: there is nothing to write down",
            do="Say mode: live in the sync first; until somebody has adopted its account it sends nothing.",
        )
    notes.print(
        f"{_announcement(contact)} Mode dry reaches no account: nothing is read before the sync says mode: live."
    )
    return 1


def _announcement(contact: Contact) -> str:
    """What will be read, in how many requests, and how long that takes."""
    from pipelines.components.adopting import seconds_for

    sync, account = contact.sync, contact.account
    keys = f"{sync.name}: the source has {len(contact.upserts)} keys for account {account.name} (mode {account.mode})"
    effort = contact.effort()
    if effort is None:
        return f"{keys}, which cannot be surveyed."
    limits = sync.settings.live_limits if sync.mode == "dry" else account.limits
    seconds = seconds_for(effort.requests, limits, sync.share)
    takes = "as fast as it answers" if seconds is None else f"{_duration(seconds)} at its pace"
    return f"{keys}. Looking takes about {effort.requests} requests ({effort.why}), {takes}."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _look(contact: Contact, policy: Policy | None, limit: int, notes: Console) -> Findings:
    with Progress(console=notes, transient=True, disable=not notes.is_terminal) as progress:
        task = progress.add_task("looking", total=None)

        def note(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        try:
            return contact.look(policy, shown=limit, progress=note)
        except (AccountStopped, AccountUnavailable) as error:
            name = contact.sync.name
            error.do = (
                f"{error.do} What was read so far stays written down. If the account can never be read, "
                f"`pipelines adopt {name} --trust-source` lets the sync write without a look: then the first run "
                "overwrites whatever stands at its keys."
            ).strip()
            raise


def _may_write(contact: Contact) -> bool:
    """Whether the sync was adopted before, or needs not be."""
    from pipelines.delivery.ledger import Ledger
    from pipelines.delivery.ledger.people import has_contact
    from pipelines.delivery.ledger.scopes import current_scope

    ledger = Ledger(contact.home.ledger_url)
    try:
        with ledger.reading() as connection:
            scope = current_scope(connection, contact.account.name, contact.account.mode)
            return scope is not None and has_contact(connection, scope, contact.sync.name)
    finally:
        ledger.close()


def _as_json(contact: Contact, policy: Policy | None, findings: Findings) -> dict[str, Any]:
    return {
        "sync": contact.sync.name,
        "account": contact.account.name,
        "mode": contact.account.mode,
        "keys": len(contact.upserts),
        "policy": policy,
        "adopted": findings.adopted,
        **findings.counts,
        "differences": [
            {"key": one.key, "fields": {name: {"here": a, "there": b} for name, (a, b) in one.fields.items()}}
            for one in findings.differences
        ],
        "strangers": findings.strangers,
        "loose": findings.loose,
        "unclear": findings.unclear,
        "unread": findings.unread,
        "of_other_syncs": findings.of_other_syncs,
    }


def _print(out: Console, contact: Contact, policy: Policy | None, findings: Findings, syncs: Collection[str]) -> None:
    if policy != "trusted":
        counted = ("same", "differ", "only_here", "only_there")
        out.print(", ".join(f"{name.replace('_', ' ')}: {findings.counts[name]}" for name in counted))
    if findings.recorded_before:
        out.print(f"{findings.recorded_before} more keys were written down before.")
    _print_lists(out, findings)
    name = contact.sync.name
    for said in _warnings(findings, name, syncs):
        out.print(said)
    if policy is None:
        out.print(_CHOICE.format(sync=name))
    elif findings.adopted:
        out.print(f"{name} may write to {contact.account.name} from now on ({policy}). {_TIME} {_LATER}")
    else:
        out.print(f"{name} may not write yet: run this again when all keys can be read; what was read is written down.")


def _print_lists(out: Console, findings: Findings) -> None:
    if findings.differences:
        rows = [
            (one.key if at == 0 else "", field, short(here), short(there))
            for one in findings.differences
            for at, (field, (here, there)) in enumerate(one.fields.items())
        ]
        title = f"What differs ({len(findings.differences)} of {findings.differ} keys)"
        out.print(table(title, ("key", "field", "here", "there"), rows))
    if findings.strangers:
        rows = [(one.key or "(without key)", one.name) for one in findings.strangers]
        title = f"What is only there ({len(findings.strangers)} of {findings.only_there})"
        out.print(table(title, ("key", "name"), rows))


def _warnings(findings: Findings, new: str, syncs: Collection[str]) -> list[str]:
    said = []
    if findings.unclear:
        said.append(_some("keys may be several entries or none, and are created anew", findings.unclear))
    if findings.unread:
        said.append(_some("keys could not be read", findings.unread))
    if findings.of_other_syncs:
        others = {key: f"belongs to {sync}" for key, sync in findings.of_other_syncs.items()}
        said.append(_some("keys were delivered by another sync and stay invalid here", others))
        said += [former_name(old, new) for old in dict.fromkeys(findings.of_other_syncs.values()) if old not in syncs]
    return said


def _some(what: str, reasons: dict[str, str], most: int = 5) -> str:
    shown = "; ".join(f"{key}: {why}" for key, why in list(reasons.items())[:most])
    return f"{len(reasons)} {what}: {shown}{'; …' if len(reasons) > most else ''}"
