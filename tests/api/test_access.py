"""What each may do, operation by operation: docs/reference/access.md says it, and it is what happens."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from pitboss.api.access import ACCESS
from pitboss.bootstrap import open_platform
from pitboss.core.ids import new_id
from pitboss.core.principal import Principal, Rights
from pitboss.core.settings import load_settings
from pitboss.http.access import READ, RUN
from pitboss.routine.schedules import Asked
from pitboss.runs.model import Artifact, Limits, NewRun, Serves
from pitboss.runs.ports import Move, RunWrite
from pitboss.runs.sharing import Shared
from pitboss.runs.states import State
from pitboss.runs.submission import Submission
from pitboss.serving.app import create_app
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.tables import models, session_turns, tokens
from support.server import STRATEGY, pitboss

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "access.md"
PASSWORD = "correct horse battery"
CALLERS = ("nobody", "viewer", "another trader", "the owner", "an administrator")
BACKTEST = {"strategy": STRATEGY, "symbols": ["SYN"], "timeframe": "5m"}
SESSION = {"mode": "intraday", "symbols": ["SYN"], "date": "2022-01-04", "timeframe": "5m", "calendar": "24x7"}
CSV = b"ts,open,high,low,close,volume\n2024-01-01T00:00:00Z,1,2,0.5,1.5,10\n2024-01-01T01:00:00Z,1.5,2,1,1.7,10\n"
DOCUMENT = "name: {name}\ntimeframe: 1d\nentry: {{long: 'close > 1'}}\n"
SCREEN = "name: {name}\ncriteria:\n  - {{name: up, when: 'close > close[1]', points: 1}}\npass_mark: 1\n"


class Things:
    """Ann's things, made anew for each request, and what a request sends."""

    def __init__(self, platform, admin):
        self.platform, self.admin, self.count = platform, admin, 0
        self.ann = Principal("ann", Rights.RUN)
        self.ended = self.end_a_run()

    def made(self, path, operation):
        """Answer the places of an address: what it names is Ann's."""
        self.count += 1
        places = {
            "name": f"thing{self.count}", "symbol": "HERS", "timeframe": "1h", "key": "nothing", "version": "1",
        }  # fmt: skip
        if "{run_id}" in path:
            places["run_id"] = self.run_for(path)
        if "{backtest_id}" in path:
            places["backtest_id"] = self.backtest_for(path)
        if "{share_id}" in path:
            thing, thing_id = ("run", places["run_id"]) if "/runs" in path else ("backtest", places["backtest_id"])
            places["share_id"] = self.platform.sharing.share(self.ann, Shared(thing, thing_id, "ann"), "zoe").id
        if "/data/{symbol}" in path:
            self.data()
            places["symbol"] = "OWN" if operation == "data_import_bars" else "HERS"
        if "/tokens/" in path:
            made, _ = self.platform.accounts.create_token(self.ann, f"token {self.count}", "run", None)
            places["reference"] = made.id
        if "{chain_id}" in path:
            links = [{"kind": "backtest", "params": BACKTEST}]
            places["chain_id"] = self.platform.chains.start(self.ann, f"chain{self.count}", links).id
        if "{trader_id}" in path:
            places["trader_id"] = self.trader()
            if path.endswith("/stream/{trader_id}"):
                self.session(places["trader_id"])
        if "{job_id}" in path:
            places["job_id"] = self.session(self.trader())
        if "{operation_id}" in path:
            places["operation_id"] = self.run_for(path.replace("/results", "/result"))
        if "{key}" in path:
            places["key"] = self.platform.sharing.link(self.ann, Shared("run", self.run(), "ann"), 3600)[1]
        return places | self.named(path, places["name"])

    def named(self, path, name):
        """Answer the name of what an address names so."""
        part = path.removeprefix("/api/v1").split("/")[1]
        if part == "strategies" and "{name}" in path:
            self.platform.strategies.add("ann", name, DOCUMENT.format(name=name))
        elif part == "screens" and "{name}" in path:
            self.platform.screens.add("ann", name, SCREEN.format(name=name))
        elif part == "presets" and "{kind}" in path:
            self.platform.presets.put(self.ann, "backtest", name, BACKTEST)
            return {"kind": "backtest", "name": name}
        elif part == "channels" and "{name}" in path:
            self.platform.channels.add(self.ann, name, "json://127.0.0.1:9/", ["failed"])
        elif part == "schedules" and "{name}" in path:
            asked = Asked(name=name, when="0 18 * * 1-5", kind="backtest", params=BACKTEST)
            self.platform.schedules.add(self.ann, asked)
        elif part == "users" and "{name}" in path:
            self.platform.accounts.add(self.admin, name, PASSWORD, "trader")
        elif part == "models":
            self.version(name)
        elif part == "secrets":
            name = f"KEY_{self.count}"
            self.platform.vault.put(self.ann, name, "a long value")
        return {"name": {"kinds": "backtest", "scripts": "hello", "runs": "trades.parquet"}.get(part, name)}

    def run(self):
        return self.platform.service.submit(self.ann, Submission(kind="backtest", params=BACKTEST)).id

    def trader(self):
        return self.platform.trading.create(self.ann, f"trader {self.count}", 1000, {"type": "random"}).id

    def session(self, trader):
        """Answer a session of Ann's that has ended."""
        self.data()
        run = self.platform.bench.start(self.ann, trader, SESSION)
        return self.platform.service.cancel(self.ann, run.id, False).run.id

    def version(self, name):
        """Have Ann own version 1 of a model."""
        described = {
            "learner": "logistic", "timeframe": "5m", "symbols": ["SYN"], "features": ["a"], "label": {}, "since": 1,
            "until": 2, "window": [], "scores": {}, "folds": [], "is_synthetic": True,
        }  # fmt: skip
        row = {"owner": "ann", "name": name, "version": 1, "run_id": self.run(), "digest": "d", "is_partial": True}
        with self.platform.database.writing() as connection:
            connection.execute(sa.insert(models).values(**row, described=described, created_at=0.0))

    def asking(self):
        """Answer a session of Ann's that asks about a step."""
        self.data()
        run = self.platform.bench.start(self.ann, self.trader(), SESSION)
        row = {"run_id": run.id, "number": 1, "asked": {"step": 1}, "answer": None}
        with self.platform.database.writing() as connection:
            connection.execute(sa.insert(session_turns).values(**row))
        return run.id

    def run_for(self, path):
        if path.endswith(("/result", "/artifacts/{name}")):
            return self.ended
        if "/sessions/" in path:
            return self.asking()
        made = self.run()
        if path.endswith(("/retry", "/resume")):
            self.platform.service.cancel(self.ann, made, True)
        return made

    def backtest_for(self, path):
        made = self.platform.backtests.create(self.ann, f"saved {self.count}", BACKTEST).id
        if path.endswith(("/progress", "/cancel")):
            self.platform.backtests.run(self.ann, made)
        return made

    def data(self):
        """See to it that Ann has bars of HERS, shared with nobody."""
        folder = self.platform.settings.data_dir
        shutil.rmtree(folder / "shared", ignore_errors=True)
        shutil.copytree(folder / "kept", folder / "private" / "ann", dirs_exist_ok=True)

    def end_a_run(self):
        """Answer a run of Ann's with a result and an artifact."""
        store, sweep = SqlRunStore(self.platform.database), ("sweep",)
        new = NewRun(id=new_id(), kind="sweep", subject="strategy/x", owner="ann", params={}, snapshot={})
        store.submit(new, 1000)
        (claimed,) = store.claim("w", 60.0, Limits(9, {}, 9, 60.0), Serves(sweep, {"default": 1}))
        stored = self.platform.files.put(f"artifacts/{new.id}/trades.parquet", lambda path: path.write_bytes(b"PAR1"))
        saved = Artifact("trades.parquet", stored.name, stored.size, stored.digest)
        for number, move in enumerate(
            (Move(State.RUNNING), Move(State.COMPLETING), Move(State.COMPLETED, result={})), 1
        ):
            store.write([RunWrite(new.id, claimed.token, number, artifacts=[saved] if number == 3 else [], move=move)])
        return new.id

    def sent(self, operation):
        """Answer what a request sends."""
        bodies = {
            "runs_submit": {"kind": "backtest", "params": BACKTEST},
            "presets_put": {"params": BACKTEST},
            "sessions_answer": {"step": 1, "orders": []},
            "traders_create": {"name": f"new {self.count}", "cash": 1000, "agent": {"type": "random"}},
            "traders_order": {"action": "buy", "symbol": "SYN", "quantity": 1, "at": "2024-01-01"},
            "trading_start": {"symbol": "SYN", "start": "2022-01-03", "end": "2022-01-05"},
            "trading_start_intraday": {name: value for name, value in SESSION.items() if name != "mode"},
            "operations_start_backtest": {"strategy_name": "own", "symbol": "SYN", "timeframe": "5m"},
            "operations_start_training": {"strategy_name": "own", "symbols": ["SYN"], "timeframes": ["5m"]},
            "runs_prioritize": {"priority": "high"},
            "runs_write_notes": {"text": "remember this"},
            "executions_execute": {"strategy_code": "ema-cross", "parameters": {"tickers": ["SYN"], "timeframe": "5m"}},
            "chains_start": {"name": "evening", "links": [{"kind": "backtest", "params": BACKTEST}]},
            "channels_add": {"name": f"OTHER{self.count}", "address": "json://127.0.0.1:9/"},
            "schedules_add": {
                "name": f"other {self.count}",
                "when": "0 18 * * 1-5",
                "kind": "backtest",
                "params": BACKTEST,
            },
            "schedules_change": {"is_paused": True},
            "screens_add": {"text": SCREEN.format(name="mine")},
            "screens_validate": {"text": SCREEN.format(name="mine")},
            "strategies_add": {"text": STRATEGY},
            "strategies_validate": {"text": STRATEGY},
            "backtests_create": {"name": f"other {self.count}", "params": BACKTEST},
            "backtests_change": {"name": f"third {self.count}"},
            "accounts_sign_in": {"name": "ann", "password": PASSWORD},
            "accounts_change_password": {"before": PASSWORD, "password": PASSWORD},
            "accounts_create_token": {"name": f"a token {self.count}", "scope": "read"},
            "accounts_add_user": {"name": f"user{self.count}", "password": PASSWORD},
            "accounts_change_user": {"role": "viewer"},
            "shares_share": {"account": "zoe"},
            "shares_share_backtest": {"account": "zoe"},
            "secrets_put_secret": {"value": "another value"},
            "data_change": {"is_shared": False},
        }
        if operation == "data_import_bars":
            return {"content": CSV, "headers": {"Content-Type": "application/octet-stream"}}
        return {"json": bodies[operation]} if operation in bodies else {}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder, scripts = tmp_path_factory.mktemp("access"), tmp_path_factory.mktemp("scripts")
    (scripts / "hello.pitboss.yaml").write_text("name: hello\ncommand: [echo, hello]\n")
    platform = open_platform(load_settings(data_dir=folder, min_free_disk_mb=0, script_folders=[scripts]))
    platform.accounts.begin("root", PASSWORD)
    admin = platform.accounts.local()
    for name, role in (("ann", "trader"), ("eve", "trader"), ("val", "viewer")):
        platform.accounts.add(admin, name, PASSWORD, role)
    for home in ("SYN", "HERS"):  # both lie in Ann's own folder
        made = pitboss("data", "synth", "-s", home, "-t", "5m" if home == "SYN" else "1h", "--days", 5, data_dir=folder)
        assert made.returncode == 0, made.stderr
    (folder / "bars").rename(folder / "kept")
    keys = {}
    for caller, name, rights in (("viewer", "val", Rights.READ), ("another trader", "eve", RUN), ("the owner", "ann", RUN),
                                 ("an administrator", "root", Rights.ADMINISTER)):  # fmt: skip
        scope = ("read", "run", "admin")[rights - 1]
        keys[caller] = platform.accounts.create_token(Principal(name, rights), "test", scope, None)[1]
    with TestClient(create_app(platform, frozenset({"testserver"})), base_url="https://testserver") as http:
        things = Things(platform, admin)
        things.data()
        yield platform, http, keys, things
    platform.close()


def operations(app):
    for path, methods in app.openapi()["paths"].items():
        for method, described in methods.items():
            yield f"{method.upper()} {path.removeprefix('/api/v1')}", method, path, described["operationId"]


def outcome(answer):
    """Answer what a request came to, in the words of the page."""
    if answer.status_code in (401, 403, 404):
        return str(answer.status_code)
    assert answer.status_code < 500, answer.text
    return "yes"


def asked(world, label, method, path, operation, headers, cookies=None):
    platform, http, _, things = world
    places = things.made(path, operation)
    address = path.format(**places)
    if operation == "events_many_events":
        address += f"?runs={platform.service.submit(things.ann, Submission(kind='backtest', params=BACKTEST)).id}"
    sent = things.sent(operation)
    given = {"Accept": "application/json"} | sent.pop("headers", {}) | headers
    if operation == "accounts_sign_in":  # others' guesses are not to count
        given.pop("Authorization", None)
    http.cookies.clear()
    return http.request(method, address, headers=given, cookies=cookies, **sent), places


def test_the_page_names_every_operation_and_it_is_what_happens(world):
    _, http, keys, _ = world
    found = {}
    for label, method, path, operation in operations(http.app):
        cells = []
        for caller in CALLERS:
            headers = {"Authorization": f"Bearer {keys[caller]}"} if caller in keys else {}
            answer, _ = asked(world, label, method, path, operation, headers)
            cells.append(outcome(answer))
        found[label] = cells
    rows = re.findall(r"^\| `([A-Z]+ [^`]+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    written = {label: [cell.strip() for cell in cells.split("|")] for label, cells in rows}
    assert written == found, "\n" + "\n".join(f"| `{label}` | {' | '.join(cells)} |" for label, cells in found.items())


def test_every_operation_has_a_level_and_no_level_is_left_over(world):
    _, http, _, _ = world
    assert {operation for *_, operation in operations(http.app)} == set(ACCESS)


def test_lists_hold_nothing_of_others(world):
    platform, http, keys, things = world
    run = platform.service.submit(things.ann, Submission(kind="backtest", params=BACKTEST))
    things.made("/strategies/{name}", "")
    things.made("/screens/{name}", "")
    things.made("/backtests/{backtest_id}", "")
    for path in ("/runs", "/strategies", "/backtests", "/data", "/tokens", "/secrets", "/shared", "/queue", "/workers",
                 "/runs/statistics", "/tokens?of_all=true"):  # fmt: skip
        of_eve = http.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {keys['another trader']}"})
        assert of_eve.status_code == 200, of_eve.text
        assert not [word for word in (run.id, "thing", "saved", "HERS", "ann") if word in of_eve.text], path
    of_eve = http.get("/api/v1/screens", headers={"Authorization": f"Bearer {keys['another trader']}"})
    assert {screen["name"] for screen in of_eve.json() if screen["version"] is not None} <= {"mine"}, "but for her own"
    of_root = http.get("/api/v1/runs?owner=*", headers={"Authorization": f"Bearer {keys['an administrator']}"})
    assert run.id in of_root.text
    assert ("root", "looked", "runs of *") in [
        (e["who"], e["action"], e["target"]) for e in platform.accounts.audit.read()
    ]


@pytest.mark.parametrize("token", ["expired", "revoked", "malformed", "of a disabled account", "empty", "not ours"])
def test_a_token_that_does_not_hold_opens_nothing(world, token):
    platform, http, _, things = world
    made, key = platform.accounts.create_token(things.ann, f"one that is {token}", "run", 3600)
    if token == "expired":
        with platform.database.writing() as connection:
            connection.execute(sa.update(tokens).where(tokens.c.id == made.id).values(expires_at=time.time() - 1))
    elif token == "revoked":
        platform.accounts.revoke(things.ann, made.id)
    elif token == "of a disabled account":
        platform.accounts.add(things.admin, "dan", PASSWORD, "trader")
        key = platform.accounts.create_token(Principal("dan"), "t", "run", None)[1]
        platform.accounts.disable(things.admin, "dan")
    key = {
        "malformed": "pb_\udcff\N{SNOWMAN}".encode("utf-8", "replace"),
        "empty": b"",
        "not ours": b"gh_" + b"x" * 40,
    }.get(token, key.encode())
    for label, method, path, operation in operations(http.app):
        if ACCESS[operation] is None:
            continue
        address = re.sub(r"{\w+}", "x", path)  # whatever it names: nobody looks for that
        sent = things.sent(operation)
        head = sent.pop("headers", {}) | {"Authorization": b"Bearer " + key}
        answer = http.request(method, address, headers=head, **sent)
        assert answer.status_code == 401, (label, answer.text)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def signed_in(world, name="ann"):
    _, http, *_ = world
    http.cookies.clear()
    answer = http.post("/api/v1/session", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    cookies = {"pitboss_session": answer.cookies["pitboss_session"]}
    http.cookies.clear()
    return cookies, {"X-CSRF-Token": answer.json()["csrf_token"]}, answer


def test_a_cookie_opens_what_the_account_may_and_changes_need_its_csrf_token(world):
    _, http, keys, _ = world
    cookies, csrf, _ = signed_in(world)
    _, others, _ = signed_in(world)
    for label, method, path, operation in operations(http.app):
        if ACCESS[operation] is None or operation in ("accounts_sign_out", "accounts_change_password"):
            continue
        by_token, _ = asked(world, label, method, path, operation, {"Authorization": f"Bearer {keys['the owner']}"})
        by_cookie, _ = asked(world, label, method, path, operation, csrf, cookies)
        is_tokens = operation in ("accounts_create_token", "accounts_revoke_token")
        assert outcome(by_cookie) == ("yes" if is_tokens else outcome(by_token)), label
        for wrong in ({}, others, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 64}):
            without, _ = asked(world, label, method, path, operation, wrong, cookies)
            assert outcome(without) == (outcome(by_token) if method == "get" else "403"), (label, without.text)


def test_the_cookie_is_the_browsers_alone_and_new_at_each_sign_in(world):
    _, http, *_ = world
    cookies, csrf, answer = signed_in(world)
    for given in answer.headers.get_list("set-cookie"):
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {part.strip() for part in given.split(";")}
    again = http.post("/api/v1/session", json={"name": "ann", "password": PASSWORD}, cookies=cookies)
    assert again.status_code == 201
    assert again.cookies["pitboss_session"] != cookies["pitboss_session"]
    http.cookies.clear()
    assert http.get("/api/v1/session", cookies=cookies).status_code == 401, "the one before has ended"
    cookies, csrf, _ = signed_in(world)
    assert http.delete("/api/v1/session", headers=csrf, cookies=cookies).status_code == 204
    http.cookies.clear()
    assert http.get("/api/v1/session", cookies=cookies).status_code == 401


def test_what_is_shared_is_read_and_no_more(world):
    platform, http, keys, things = world
    run = platform.service.submit(things.ann, Submission(kind="backtest", params=BACKTEST))
    saved = platform.backtests.create(things.ann, "shared one", BACKTEST)
    of_it = platform.backtests.run(things.ann, saved.id)
    val = {"Authorization": f"Bearer {keys['viewer']}"}
    ann = {"Authorization": f"Bearer {keys['the owner']}"}
    paths = [f"/runs/{run.id}", f"/runs/{run.id}/report", f"/runs/{run.id}/artifacts", f"/backtests/{saved.id}",
             f"/backtests/{saved.id}/runs", f"/runs/{of_it.id}", f"/runs/{run.id}/events"]  # fmt: skip

    def read():
        given = val | {"Accept": "application/json"}
        return [http.get(f"/api/v1{path}", headers=given).status_code for path in paths]

    assert read() == [404] * 7
    shares = [http.post(f"/api/v1/{place}/shares", json={"account": "val"}, headers=ann) for place in
              (f"runs/{run.id}", f"backtests/{saved.id}")]  # fmt: skip
    assert [share.status_code for share in shares] == [201, 201]
    assert read() == [200] * 7
    assert [each["id"] for each in http.get("/api/v1/shared", headers=val).json()] == [run.id]
    assert http.get("/api/v1/runs", headers=val).json()["items"] == []
    eve = {"Authorization": f"Bearer {keys['another trader']}"}
    http.post(f"/api/v1/runs/{run.id}/shares", json={"account": "eve"}, headers=ann)
    for change in ("cancel", "retry", "rerun", "resume"):
        assert http.post(f"/api/v1/runs/{run.id}/{change}", headers=eve).status_code == 404, change
    assert http.get(f"/api/v1/runs/{run.id}/shares", headers=eve).status_code == 404
    for share, place in zip(shares, (f"runs/{run.id}", f"backtests/{saved.id}"), strict=True):
        gone = http.delete(f"/api/v1/{place}/shares/{share.json()['id']}", headers=ann)
        assert gone.status_code == 204
    assert read() == [404] * 7


def test_a_link_shows_the_report_alone_until_it_ends(world):
    platform, http, keys, things = world
    run = platform.service.submit(things.ann, Submission(kind="backtest", params=BACKTEST))
    ann = {"Authorization": f"Bearer {keys['the owner']}"}
    for wrong in ({}, {"link": True}, {"link": True, "expires": "never"}, {"link": True, "expires": "1s"},
                  {"link": True, "account": "val", "expires": "7d"}, {"link": True, "expires": "9999d"}):  # fmt: skip
        assert http.post(f"/api/v1/runs/{run.id}/shares", json=wrong, headers=ann).status_code == 422, wrong
    made = http.post(f"/api/v1/runs/{run.id}/shares", json={"link": True, "expires": "7d"}, headers=ann).json()
    shown = http.get(made["path"])
    assert shown.status_code == 200
    assert set(shown.json()) == {"title", "figures", "notes", "tables", "charts", "downloads"}
    assert http.get(f"/api/v1/runs/{run.id}").status_code == 401
    assert http.get("/api/v1/shared/nothing").status_code == 404
    assert made["path"].rpartition("/")[2] not in str(http.get(f"/api/v1/runs/{run.id}/shares", headers=ann).json())
    http.delete(f"/api/v1/runs/{run.id}/shares/{made['id']}", headers=ann)
    assert http.get(made["path"]).status_code == 404


def test_an_idempotency_key_is_its_owners_own(world):
    _, http, keys, _ = world
    body = {"kind": "backtest", "params": {"strategy": STRATEGY, "symbols": ["SYN"], "timeframe": "5m"}}
    ids = []
    for caller in ("the owner", "the owner"):
        headers = {"Authorization": f"Bearer {keys[caller]}", "Idempotency-Key": "the same"}
        ids.append(http.post("/api/v1/runs", json=body, headers=headers).json()["id"])
    assert ids[0] == ids[1]
    headers = {"Authorization": f"Bearer {keys['another trader']}", "Idempotency-Key": "the same"}
    of_eve = http.post("/api/v1/runs", json=body, headers=headers)
    assert ids[0] not in of_eve.text


def test_a_run_number_tells_nothing_of_others(world):
    platform, *_ = world
    text = DOCUMENT.format(name="quite-new").replace("1d", "5m")
    numbers = []
    for name in ("ann", "ann", "root"):
        if name == "root":  # bars of his own
            pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 5, data_dir=platform.settings.data_dir)
        request = Submission(kind="backtest", params={"strategy": text, "symbols": ["SYN"]})
        numbers.append(platform.service.submit(Principal(name), request).number)
    assert numbers == [1, 2, 1]


def test_series_are_private_until_they_are_shared(world):
    platform, http, keys, things = world
    things.data()
    ann, eve = ({"Authorization": f"Bearer {keys[caller]}"} for caller in ("the owner", "another trader"))
    assert http.get("/api/v1/data/HERS/1h", headers=eve).status_code == 404
    assert http.patch("/api/v1/data/HERS/1h", json={"is_shared": True}, headers=ann).json()["is_shared"]
    assert http.get("/api/v1/data/HERS/1h", headers=eve).json()["is_shared"]
    assert http.delete("/api/v1/data/HERS/1h", headers=eve).status_code == 403
    assert http.patch("/api/v1/data/HERS/1h", json={"is_shared": False}, headers=eve).status_code == 403
    request = {
        "kind": "backtest",
        "params": {"strategy": DOCUMENT.format(name="x").replace("1d", "1h"), "symbols": ["HERS"]},
    }
    run = http.post("/api/v1/runs", json=request, headers=eve)
    assert run.status_code == 202, run.text
    places = platform.service.get(Principal("eve"), run.json()["id"]).snapshot["places"]
    assert places == ["private/eve", "shared/ann"]
    http.patch("/api/v1/data/HERS/1h", json={"is_shared": False}, headers=ann)
    assert http.post("/api/v1/runs", json=request, headers=eve).status_code == 422


def test_every_answer_tells_a_browser_what_to_refuse(world):
    _, http, *_ = world
    for path in ("/", "/docs", "/api/v1/session", "/api/v1/nothing", "/setup"):
        headers = http.get(path).headers
        assert "script-src 'self'" in headers["Content-Security-Policy"], path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe-inline" not in headers["Content-Security-Policy"].partition("script-src")[2].partition(";")[0]
        assert headers["Strict-Transport-Security"] == "max-age=31536000"
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "same-origin")


def test_without_accounts_nothing_is_asked(tmp_path):
    platform = open_platform(load_settings(data_dir=tmp_path, min_free_disk_mb=0))
    with TestClient(create_app(platform, frozenset({"testserver"}))) as http:
        assert http.get("/api/v1/runs").status_code == 200
        assert http.get("/api/v1/session").json()["name"] == "local"
        assert http.post("/api/v1/session", json={"name": "a", "password": "b"}).status_code == 409
        assert http.post("/api/v1/tokens", json={"name": "t"}).status_code == 409
        assert http.post("/api/v1/users", json={"name": "eve", "password": PASSWORD}).status_code == 409
        assert platform.accounts.audit.read() == []
    platform.close()


def test_a_public_server_without_accounts_lets_in_who_has_the_link_from_its_terminal(tmp_path):
    platform = open_platform(load_settings(data_dir=tmp_path, min_free_disk_mb=0))
    app = create_app(platform, frozenset({"testserver"}), is_private=False)
    with TestClient(app) as http:
        assert http.get("/api/v1/runs").status_code == 401
        assert http.get("/setup").status_code == http.get("/setup?key=x").status_code == 404
        key = app.state.setup.key
        assert "password" in http.get(f"/setup?key={key}").text
        weak = http.post("/setup", data={"key": key, "name": "ann", "password": "short"})
        assert (weak.status_code, platform.accounts.has_accounts()) == (422, False)
        assert http.post("/setup", data={"key": "x", "name": "ann", "password": PASSWORD}).status_code == 404
        made = http.post("/setup", data={"key": key, "name": "ann", "password": PASSWORD}, follow_redirects=False)
        assert (made.status_code, made.headers["location"]) == (303, "/sign-in")
        assert http.get(f"/setup?key={key}").status_code == 404, "it works once"
        assert http.post("/api/v1/session", json={"name": "ann", "password": PASSWORD}).status_code == 201
    platform.close()


def test_another_owner_is_named_by_administrators_alone(world):
    _, http, keys, things = world
    things.made("/strategies/{name}", "")
    eve, root = ({"Authorization": f"Bearer {keys[caller]}"} for caller in ("another trader", "an administrator"))
    for path in ("/runs", "/strategies", "/backtests", "/data", "/tokens"):
        word = "account" if path == "/tokens" else "owner"
        assert http.get(f"/api/v1{path}?{word}=ann", headers=eve).status_code in (403, 404), path
        assert len(http.get(f"/api/v1{path}?{word}=ann", headers=root).json()) > 0, path


def test_a_token_cannot_make_itself_last_or_end_the_others(world):
    platform, http, _, things = world
    key = platform.accounts.create_token(things.ann, "for an hour", "read", 3600)[1]
    other = platform.accounts.create_token(things.ann, "another one", "run", None)[0]
    cookies, _, _ = signed_in(world)
    given = {"Authorization": f"Bearer {key}"}
    for method, path, sent in (("post", "/tokens", {"name": "longer", "scope": "read", "expires": None}),
                               ("delete", f"/tokens/{other.id}", None), ("delete", "/session?everywhere=true", None)):  # fmt: skip
        assert http.request(method, f"/api/v1{path}", json=sent, headers=given).status_code == 403, path
    assert http.get("/api/v1/session", cookies=cookies).status_code == 200
    http.cookies.clear()
    assert http.delete(f"/api/v1/tokens/{key[:11]}", headers=given).status_code == 204, "but end itself"
    assert http.get("/api/v1/session", headers=given).status_code == 401


def test_an_administrator_makes_tokens_for_others_and_not_for_themselves_by_mistake(world):
    _, http, keys, _ = world
    root = {"Authorization": f"Bearer {keys['an administrator']}"}
    made = http.post("/api/v1/tokens", json={"name": "for eve", "account": "eve", "scope": "run"}, headers=root)
    assert (made.status_code, made.json()["account"]) == (201, "eve")
    assert (
        http.get("/api/v1/session", headers={"Authorization": f"Bearer {made.json()['token']}"}).json()["name"] == "eve"
    )
    too_much = http.post("/api/v1/tokens", json={"name": "more", "account": "eve", "scope": "admin"}, headers=root)
    assert too_much.status_code == 422
    nobody = http.post("/api/v1/tokens", json={"name": "x", "account": "nobody"}, headers=root)
    assert nobody.status_code == 404


def test_a_body_of_somebody_unknown_is_not_read(world):
    _, http, *_ = world
    read = []

    def body():
        for piece in range(100):
            read.append(piece)
            yield b"x" * 1000

    for method, path in (
        ("PUT", "/data/X/1h"),
        ("POST", "/runs"),
        ("PATCH", "/data/X/setup"),
        ("POST", "/data/X/api/v1/session"),
    ):
        answer = http.request(
            method, f"/api/v1{path}", content=body(), headers={"Content-Type": "application/octet-stream"}
        )
        assert answer.status_code == 401, path


@pytest.mark.parametrize("path", ["/api/v1/secrets/session", "/api/v1/tokens/session", "/api/v1/users/session"])
def test_only_signing_in_needs_no_csrf_token(world, path):
    _, http, *_ = world
    cookies, _, _ = signed_in(world)
    assert http.put(path, json={"value": "long enough"}, cookies=cookies).status_code == 403
    http.cookies.clear()
    assert http.delete(path, cookies=cookies).status_code == 403
    http.cookies.clear()


def test_cookies_of_others_are_no_hindrance(world):
    _, http, *_ = world
    cookies, _, _ = signed_in(world)
    head = {"Cookie": f'prefs={{"a":1}}; pitboss_session={cookies["pitboss_session"]}'}
    assert http.get("/api/v1/session", headers=head).status_code == 200


def test_a_redirected_change_is_no_fault(world):
    _, http, keys, _ = world
    given = {"Authorization": f"Bearer {keys['the owner']}"}
    answer = http.post("/api/v1/runs/", json={}, headers=given, follow_redirects=False)
    assert answer.status_code in (307, 404, 405)


def test_a_share_of_a_backtest_is_its_owners_alone(world):
    """A run of another that bears its tag is not shared with it."""
    platform, http, keys, things = world
    saved = platform.backtests.create(things.ann, "shared and rerun", BACKTEST)
    platform.sharing.share(things.ann, Shared("backtest", saved.id, "ann"), "val")
    own = platform.backtests.run(things.ann, saved.id)
    new = NewRun(id=new_id(), kind="sweep", subject="x", owner="eve", params={}, snapshot={}, tags=own.tags)
    SqlRunStore(platform.database).submit(new, 10_000)
    val = {"Authorization": f"Bearer {keys['viewer']}"}
    assert http.get(f"/api/v1/runs/{own.id}", headers=val).status_code == 200
    assert http.get(f"/api/v1/runs/{new.id}", headers=val).status_code == 404


def test_a_link_of_somebody_disabled_shows_nothing(world):
    platform, http, *_ = world
    things = world[3]
    platform.accounts.add(things.admin, "fay", PASSWORD, "trader")
    fay = Principal("fay")
    _, key = platform.sharing.link(fay, Shared("run", things.run(), "ann"), 3600)
    of_fay = platform.sharing.link(fay, Shared("run", things.ended, "fay"), 3600)[1]
    assert http.get(f"/api/v1/shared/{key}").status_code == 200, "it is Ann's run, whoever made the link"
    platform.accounts.disable(things.admin, "fay")
    assert http.get(f"/api/v1/shared/{of_fay}").status_code == 404


def test_a_look_of_an_administrator_is_noted_once_an_hour(world):
    platform, *_, things = world
    run = platform.service.submit(things.ann, Submission(kind="backtest", params=BACKTEST))
    for _ in range(5):
        platform.service.get(things.admin, run.id)
    platform.service.get(things.ann, run.id)
    looks = [e for e in platform.accounts.audit.read() if e["action"] == "looked" and run.id in e["target"]]
    assert [look["who"] for look in looks] == ["root"]


def test_what_is_changed_over_http_is_noted_with_whom_by_what_and_from_where(world):
    platform, http, keys, _ = world
    ann = {"Authorization": f"Bearer {keys['the owner']}"}
    run = http.post("/api/v1/runs", json={"kind": "backtest", "params": BACKTEST}, headers=ann).json()
    http.post(f"/api/v1/runs/{run['id']}/cancel", headers=ann)
    http.post("/api/v1/runs", json={"kind": "nonsense", "params": {}}, headers=ann)
    noted = [entry for entry in platform.accounts.audit.read() if run["id"] in entry["target"]]
    assert [(e["who"], e["action"], e["address"]) for e in noted] == [
        ("ann", "runs_submit", "testclient"), ("ann", "runs_cancel", "testclient"),
    ]  # fmt: skip
    assert all(entry["via"] == f"token {keys['the owner'][:11]}" for entry in noted)
    assert READ < RUN
