"""Notices over a real SMTP server and a webhook that fail at random: each is delivered once."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller

from pitboss.accounts.vault import Vault
from pitboss.core.errors import Conflict, InvalidInput, NotFound
from pitboss.core.principal import LOCAL, Principal
from pitboss.core.sealing import Seal
from pitboss.routine import herald as heralds
from pitboss.routine.channels import Channels
from pitboss.routine.herald import Herald
from pitboss.routine.sending import check_address, send
from pitboss.runs.submission import Submission
from pitboss.storage.audit import SqlAudit
from pitboss.storage.channels import SqlChannels
from pitboss.storage.secrets import SqlSecrets
from pitboss.storage.tables import runs
from support.engine import ALL_KINDS
from support.server import free_port


class Hook:
    """A webhook that takes some of what comes, and the titles of that."""

    def __init__(self, failing):
        self.titles, hook, dice = [], self, random.Random(3)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                is_taken = dice.random() >= failing
                if is_taken:
                    hook.titles.append(body["title"])
                self.send_response(200 if is_taken else 500)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"json://127.0.0.1:{self.server.server_port}/"


class Mailbox:
    """An SMTP server that takes some of what comes, and the subjects of that."""

    def __init__(self, failing):
        self.titles, self.dice, self.failing = [], random.Random(5), failing

    async def handle_DATA(self, _server, _session, envelope):
        if self.dice.random() < self.failing:
            return "451 try again later"
        self.titles += [line.removeprefix("Subject: ") for line in envelope.content.decode().splitlines()
                        if line.startswith("Subject: ")]  # fmt: skip
        return "250 taken"


@pytest.fixture
def hook():
    hook = Hook(failing=0.4)
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture
def mailbox():
    box = Mailbox(failing=0.4)
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    box.address = f"mailto://127.0.0.1:{port}?mode=insecure&from=me@example.com&to=you@example.com"
    yield box
    controller.stop()


@pytest.fixture
def channels(database, tmp_path):
    vault = Vault(SqlSecrets(database), Seal(tmp_path / "key"), SqlAudit(database))
    return Channels(SqlChannels(database), vault, send, check_address)


def herald_of(channels):
    def address(channel):
        return channels.vault.values(channel.owner, [channel.secret])[channel.secret]

    return Herald(channels.store, ALL_KINDS, address, send, "https://desk.example.com")


def end(database, service, state, **options):
    """Answer a run that has ended so."""
    run = service.submit(LOCAL, Submission(kind="nothing", params={}, options=options))
    now = channels_now(database)
    with database.writing() as connection:
        values = {"state": state, "ended_at": now, "result": {} if state == "completed" else None}
        if state == "failed":
            values["error"] = {"kind": "error", "message": "it broke", "remedy": "mend it"}
        connection.execute(sa.update(runs).where(runs.c.id == run.id).values(**values))
    return run


def channels_now(database):
    return SqlChannels(database).now()


def test_each_is_delivered_once_however_often_the_other_side_fails(
    database, service, channels, hook, mailbox, monkeypatch
):
    monkeypatch.setattr(heralds, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(heralds, "MOST_WAIT", 0.05)
    channels.add(LOCAL, "HOOK", hook.address, ["completed", "failed"])
    channels.add(LOCAL, "MAIL", mailbox.address, ["failed"])
    ended = [end(database, service, "failed" if at % 2 else "completed") for at in range(10)]
    heralds_of_three = [herald_of(channels) for _ in range(3)]
    until = time.monotonic() + 60
    while (len(hook.titles), len(mailbox.titles)) != (10, 5) and time.monotonic() < until:
        threads = [threading.Thread(target=each.turn) for each in heralds_of_three]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for each in heralds_of_three:
        each.turn()
    expected = Counter(f"nothing {run.subject.rpartition('/')[2]} #{run.number}" for run in ended)
    assert Counter(" ".join(title.split()[:3]) for title in hook.titles) == expected
    assert len(mailbox.titles) == 5
    assert len(set(mailbox.titles)) == 5
    assert any(
        notice.attempts > 1 for channel in channels.all(LOCAL) for notice in channels.store.notices(channel.id, 99)
    )


def test_a_run_that_asks_for_it_is_told_and_no_other(database, service, channels, hook):
    hook.server.RequestHandlerClass.log_message = lambda *_: None
    channels.add(LOCAL, "HOOK", hook.address, ["asked"])
    end(database, service, "completed")
    asked = end(database, service, "cancelled", notify_on_completion=True)
    herald_of(channels).turn()
    (channel,) = channels.all(LOCAL)
    (notice,) = channels.store.notices(channel.id, 9)
    assert notice.title.endswith(f"#{asked.number} was cancelled")
    assert notice.body.endswith(f"https://desk.example.com/runs/{asked.id}")


def test_what_cannot_be_delivered_is_kept_and_given_up_after_a_day(database, service, channels, monkeypatch):
    channels.add(LOCAL, "HOOK", "json://127.0.0.1:9/", ["completed"])
    end(database, service, "completed")
    herald = herald_of(channels)
    herald.turn()
    (channel,) = channels.all(LOCAL)
    (notice,) = channels.store.notices(channel.id, 9)
    assert (notice.state.value, notice.attempts, "not taken" in notice.error) == ("waiting", 1, True)
    assert herald.turn() == 0, "not before its time"
    monkeypatch.setattr(heralds, "GIVEN_UP_AFTER", 0.0)
    monkeypatch.setattr(heralds, "TAKEN_SECONDS", 0.0)
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE notices SET due_at = 0"))
    herald.turn()
    assert channels.store.notices(channel.id, 9)[0].state.value == "given up"


def test_channels_belong_to_their_owners_and_their_addresses_to_the_vault(channels):
    channels.add(LOCAL, "MAIL", "json://127.0.0.1:9/secret", ["failed"])
    with pytest.raises(Conflict):
        channels.add(LOCAL, "MAIL", "json://127.0.0.1:9/", ["failed"])
    with pytest.raises(InvalidInput) as told:
        channels.add(LOCAL, "a b", "nonsense", ["never"])
    assert [problem.where for problem in told.value.problems] == ["name", "news", "address"]
    assert "secret" not in json.dumps([channels.described(each) for each in channels.all(LOCAL)])
    with pytest.raises(InvalidInput, match="could not be sent"):
        channels.test(LOCAL, "MAIL")
    with pytest.raises(NotFound):
        channels.get(Principal("eve"), "MAIL")
    channels.remove(LOCAL, "MAIL")
    assert channels.all(LOCAL) == []
    assert channels.vault.all(LOCAL) == []
