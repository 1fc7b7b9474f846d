"""Telling what changed: over real sockets to receivers of this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from pydantic import ValidationError

from pipelines.components.operations.alerts import tell_changes
from pipelines.components.operations.channels import Message, open_channel
from pipelines.components.operations.messages import alert, morning
from pipelines.components.operations.news import Change
from pipelines.components.operations.spec import OperationsSpec
from pipelines.components.operations.status import Colour, Screen
from pipelines.delivery.errors import AccountUnavailable, ConfigurationError, MissingSetting
from tests.components.deploying import BOARD, FLOOR
from tests.components.operations.conftest import Hook
from tests.components.operations.postbox import Postbox
from tests.components.operations.situations import problem, screen, status

Tell = Callable[[str | None, Screen], tuple[str, str]]
BAD, GOOD = screen(status(problem("failed", count=3))), screen(status())
SECRET = "secretpart"
MAIL = {"PIPELINES_SMTP_HOST": "127.0.0.1", "PIPELINES_SMTP_SECURITY": "none", "PIPELINES_SMTP_FROM": "p@example.com"}


@pytest.fixture
def both() -> OperationsSpec:
    """A webhook and two readers of mail."""
    return OperationsSpec(webhook_env="HOOK", mail_to=["a@example.com", "b@example.com"], alerts=True)


@pytest.fixture
def tell(both: OperationsSpec, hook: Hook, postbox: Postbox) -> Tell:
    """One tick: what was told before, and what there is to see now."""
    environ = {"HOOK": hook.url, **MAIL, "PIPELINES_SMTP_PORT": str(postbox.port)}
    return lambda cursor, seen: tell_changes(cursor, seen, both, partial(open_channel, environ=environ))


def test_a_change_and_its_recovery_are_told_once_each(tell: Tell, hook: Hook, postbox: Postbox) -> None:
    """Four ticks, two messages by each channel: one when it breaks, one when it is well again."""
    cursor = None
    for seen in (BAD, BAD, GOOD, GOOD):
        cursor, said = tell(cursor, seen)
    assert said == "nothing has changed since it was last told"
    assert [text.splitlines()[0] for text in hook.texts] == [
        f"🔴 pipelines: {BOARD} red",
        f"🟢 pipelines: {BOARD} recovered",
    ]
    assert len(postbox.mails) == 2
    assert postbox.recipients == [["a@example.com", "b@example.com"]] * 2


def test_an_alert_says_all_that_somebody_needs_who_is_woken_by_it(tell: Tell, hook: Hook) -> None:
    """Sync, mode, partition, counts, the first reasons, the next command, the owner, a link to the run."""
    tell(None, BAD)
    (text,) = hook.texts
    for part in (
        f"{BOARD} (live): green -&gt; red",
        "2013-01-04 delivered, 4 of 4 rows delivered",
        "- 3 of it failed",
        f"next: `pipelines ledger --sync {BOARD}`",
        "owner: data-platform",
        "https://dagster.example.com/runs/run-1",
    ):
        assert part in text


def test_a_receiver_that_is_down_is_told_when_it_is_back(tell: Tell, hook: Hook, postbox: Postbox) -> None:
    """The tick says why it could not be told; the other channel is not told twice; nothing is lost."""
    hook.status = 503
    cursor, said = tell(None, BAD)
    assert "webhook could not be told, and will be at the next tick" in said
    assert "503" in said
    assert f"mail was told of {BOARD} (red)" in said
    hook.status = 200
    cursor, said = tell(cursor, BAD)
    assert said == f"webhook was told of {BOARD} (red)"
    assert (len(hook.bodies), len(postbox.mails)) == (1, 1)


def test_what_came_and_went_while_a_receiver_was_down_is_not_told(tell: Tell, hook: Hook) -> None:
    """Nobody is woken for what is well again."""
    hook.status = 503
    cursor, _ = tell(None, BAD)
    hook.status = 200
    tell(cursor, GOOD)
    assert hook.bodies == []


def test_a_missing_setting_is_said_in_the_tick(both: OperationsSpec) -> None:
    """A variable that nobody set breaks no sensor: the tick names it."""
    _, said = tell_changes(None, BAD, both, partial(open_channel, environ={}))
    assert "HOOK is not set" in said
    assert "PIPELINES_SMTP_HOST is not set" in said


def test_no_error_repeats_the_webhooks_address(hook: Hook) -> None:
    """The path of a webhook is its secret: no refusal, no echo of it by the receiver and no bad address shows it."""
    spec = OperationsSpec(webhook_env="HOOK")
    message = Message("t", [])
    hook.status = 404
    gone = hook.url.replace(hook.url.split(":")[2].split("/")[0], "1")
    for url in (hook.url, gone, f"http://example.com/{SECRET}", f"ftp://example.com/x?token={SECRET}", SECRET):
        with pytest.raises((AccountUnavailable, ConfigurationError)) as raised:
            open_channel("webhook", spec, {"HOOK": url}).send(message)
        assert SECRET not in str(raised.value), url


def test_a_webhook_is_what_slack_takes(hook: Hook) -> None:
    """A text for notifications, and blocks within Slack's bounds, with its three special characters escaped."""
    many = Message("t" * 200, [f"<{number}> & `code`" for number in range(60)] + ["x" * 4000])
    open_channel("webhook", OperationsSpec(webhook_env="HOOK"), {"HOOK": f"{hook.url}?thread=1&key=a%20b"}).send(many)
    (body,) = hook.bodies
    header, *sections = body["blocks"]
    assert (header["type"], len(header["text"]["text"])) == ("header", 150)
    assert len(body["blocks"]) == 50
    assert all(len(one["text"]["text"]) <= 3000 for one in sections)
    assert sections[0]["text"] == {"type": "mrkdwn", "text": "&lt;0&gt; &amp; `code`"}
    assert "13 more" in sections[-1]["text"]["text"]
    assert hook.paths == [f"/services/T0/{SECRET}?thread=1&key=a%20b"]


def test_one_refused_recipient_keeps_nobody_else_from_reading(tell: Tell, postbox: Postbox) -> None:
    """Whom the server knows has the mail, once; it is not sent again for the one whom it does not know."""
    postbox.refuses = {"b@example.com"}
    cursor, said = tell(None, BAD)
    assert f"mail was told of {BOARD} (red)" in said
    tell(cursor, BAD)
    assert postbox.recipients == [["a@example.com"]]


def test_a_mail_can_be_read(tell: Tell, postbox: Postbox) -> None:
    """Subject, sender and text are there, and machines see that a machine sent it."""
    tell(None, BAD)
    (mail,) = postbox.mails
    assert mail["From"] == "p@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert "3 of it failed" in body.decode()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PIPELINES_SMTP_SECURITY": "tls"}, "PIPELINES_SMTP_SECURITY"),
        ({"PIPELINES_SMTP_PORT": "smtp"}, "PIPELINES_SMTP_PORT"),
        ({"PIPELINES_SMTP_FROM": ""}, "PIPELINES_SMTP_FROM"),
        ({"PIPELINES_SMTP_USER": "u"}, "PIPELINES_SMTP_PASSWORD is not set"),
        ({"PIPELINES_SMTP_USER": "u", "PIPELINES_SMTP_HOST": "mail.example.com"}, "in the open"),
    ],
)
def test_mail_settings_that_cannot_be_used_are_named(settings: dict[str, str], said: str) -> None:
    """The variable is named; no password ever leaves without TLS but to this machine."""
    with pytest.raises((ConfigurationError, MissingSetting), match=said):
        open_channel("mail", OperationsSpec(mail_to=["a@example.com"]), {**MAIL, **settings})


def test_a_secret_may_lie_in_a_file(hook: Hook, tmp_path: object) -> None:
    """`<NAME>_FILE` is the path of a file that holds it."""
    file = f"{tmp_path}/hook"
    with open(file, "w") as out:  # noqa: PTH123 - a plain text
        out.write(f"{hook.url}\n")
    open_channel("webhook", OperationsSpec(webhook_env="HOOK"), {"HOOK_FILE": file}).send(Message("t", ["p"]))
    assert len(hook.bodies) == 1


def test_the_morning_is_told_also_when_all_is_green() -> None:
    """Every sync has its line, with its newest partition and rows; silence would be no sign of health."""
    message = morning(screen(status(), status(sync=FLOOR)))
    assert message.title == "🟢 pipelines: 2 green"
    assert f"🟢 green: {BOARD} (live): 2013-01-04 delivered, 4 of 4 rows" in message.text
    assert f"🟢 green: {FLOOR} (live)" in message.text
    assert "daemon: last sign of life" in message.text


def test_what_all_syncs_have_in_common_is_said_once() -> None:
    """A table that failed for three syncs is one thing to do."""
    message = morning(screen(status(problem()), status(problem(), sync=FLOOR)))
    assert message.text.count("1 of it failed") == 1
    assert f"{BOARD}, {FLOOR}: 1 of it failed" in message.text


def test_trouble_of_the_whole_deployment_names_its_owner() -> None:
    """What belongs to no sync belongs to whoever answers for the deployment."""
    seen = screen(problems=[problem("ledger")])
    message = alert(seen, [Change("the deployment", Colour.GREEN, Colour.RED)], "team:data")
    assert "the deployment: green -> red" in message.text
    assert "owner: data" in message.text


@pytest.mark.parametrize(
    "fields",
    [
        {"alerts": True},
        {"mail_to": ["somebody"]},
        {"ui_url": "dagster.example.com"},
        {"owner": "ada"},
        {"morning": {"at": "7 o'clock"}},
        {"morning": {"at": "07:00", "timezone": "Berlin"}},
        {"webhook_env": "https://hooks.slack.com/services/T0"},
    ],
)
def test_fields_that_mean_nothing_are_refused(fields: dict[str, object]) -> None:
    """Alerts to nobody, addresses that are none: said when the deployment is loaded, not on the first bad night."""
    with pytest.raises(ValidationError):
        OperationsSpec.model_validate(fields)
