"""The desk's pages in process: who may open which, and what their forms refuse."""

from __future__ import annotations

import json
import re
import time

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from api.test_access import BACKTEST, PASSWORD
from pitboss.bootstrap import open_platform
from pitboss.core.errors import InvalidInput
from pitboss.core.principal import Principal, Rights
from pitboss.core.settings import load_settings
from pitboss.core.timeframe import parse_timeframe
from pitboss.http.access import ADMINISTER, OPEN, READ, RUN, operation_of
from pitboss.runs.sharing import Shared
from pitboss.runs.submission import Submission
from pitboss.serving.app import create_app
from pitboss.web.access import ACCESS
from pitboss.web.fields import as_written, form_of, read_form
from pitboss.web.library import Cards
from pitboss.web.routes import PAGES
from support.server import pitboss

SCREEN = "name: anns-screen\ncriteria:\n  - {name: up, when: 'close > close[1]', points: 1}\npass_mark: 1\n"
SOURCES = {
    "plain": {"type": "csv", "url": "http://127.0.0.1:9/{symbol}"}, "keyless": {"type": "tiingo", "secret": "NO_KEY"},
    "broken": {"type": "tiingoo"}, "waits": {"type": "csv", "url": "http://127.0.0.1:9/{symbol}"},
}  # fmt: skip
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 9, data_dir=folder)
    platform = open_platform(load_settings(data_dir=folder, min_free_disk_mb=0, sources=SOURCES))
    platform.accounts.begin("root", PASSWORD)
    admin = platform.accounts.local()
    for name, role in (("ann", "trader"), ("eve", "trader"), ("val", "viewer")):
        platform.accounts.add(admin, name, PASSWORD, role)
    bars = platform.catalog_of(admin)
    bars.share("SYN", parse_timeframe("5m"), True)
    app = create_app(platform, frozenset({"testserver"}))
    with TestClient(app, base_url="https://testserver") as http:
        yield platform, http
    platform.close()


def test_sources_tell_how_fresh_they_are_and_what_is_wrong_with_them(world):
    platform, http = world
    held = platform.settings.data_dir / "sources" / "waits.held"
    held.parent.mkdir(exist_ok=True)
    held.write_text(f"{time.time() + 600:.1f}")
    signed_in(http, "ann")
    page = http.get("/data", headers=HTML).text
    rows = dict(re.findall(r'<tr data-row="(\w+)"><td><bdi>\w+</bdi></td>(.*?)</tr>', page, re.DOTALL))
    assert list(rows) == list(SOURCES)
    assert "ready" in rows["plain"]
    assert "there is no secret &#39;NO_KEY&#39;" in rows["keyless"]
    assert "is no type of source" in rows["broken"]
    assert "it asked to wait until" in rows["waits"]
    assert "/new/fetch?source=plain" in rows["plain"]
    assert "/new/fetch" not in rows["keyless"]


def signed_in(http, name):
    http.cookies.clear()
    answer = http.post("/sign-in", data={"name": name, "password": PASSWORD, "next": "/runs"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    page = http.get("/settings", headers=HTML).text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def routes():
    return [route for module in PAGES for route in module.router.routes if isinstance(route, APIRoute)]


def test_every_page_has_a_level_and_no_level_is_left_over():
    assert sorted({operation_of(route.endpoint) for route in routes()}) == sorted(ACCESS)


def test_who_is_not_known_is_led_to_sign_in_and_changes_nothing(world):
    platform, http = world
    http.cookies.clear()
    run = platform.service.submit(Principal("ann"), Submission(kind="backtest", params=BACKTEST))
    for route in routes():
        path = re.sub(r"{run_id}", run.id, route.path)
        path = re.sub(r"{[^}]+}", "x", path)
        level = ACCESS[operation_of(route.endpoint)]
        for method in route.methods - {"HEAD"}:
            answer = http.request(method, path, headers=HTML, follow_redirects=False)
            if level is OPEN:
                assert answer.status_code in (200, 303, 401, 404, 409), path
            elif method == "GET":
                assert answer.status_code == 303, path
                assert answer.headers["location"].startswith("/sign-in?next="), path
            else:
                assert answer.headers["location"] == "/sign-in?said=ended", path
                assert http.request(method, path, follow_redirects=False).status_code == 401, path


def test_a_viewer_looks_and_an_account_that_is_no_administrator_administers_nothing(world):
    _, http = world
    for name, rights in (("val", Rights.READ), ("eve", Rights.RUN)):
        csrf = signed_in(http, name)
        for route in routes():
            level = ACCESS[operation_of(route.endpoint)]
            path = re.sub(r"{[^}]+}", "x", route.path)
            for method in route.methods - {"HEAD"}:
                if level in (READ, RUN, ADMINISTER) and level > rights:
                    answer = http.request(method, path, headers=HTML | {"X-CSRF-Token": csrf}, follow_redirects=False)
                    assert answer.status_code == 403, (name, path)


def test_anothers_runs_are_not_there_on_any_page(world):
    platform, http = world
    ann = Principal("ann")
    run = platform.service.submit(ann, Submission(kind="backtest", params=BACKTEST, tags=("anns own",)))
    saved = platform.backtests.create(ann, "anns saved", BACKTEST)
    platform.strategies.add("ann", "anns-strategy", "name: anns-strategy\ntimeframe: 1d\nentry: {long: 'close > 1'}\n")
    platform.screens.add("ann", "anns-strategy", SCREEN)
    csrf = signed_in(http, "eve")
    for route in routes():
        for method in route.methods - {"HEAD"}:
            if not re.search(r"{(run_id|backtest_id|name)}", route.path) or route.path.startswith("/new"):
                continue
            path = re.sub("{run_id}", run.id, re.sub("{backtest_id}", saved.id, route.path))
            path = path.replace("{symbol:path}", "SYN").replace("{minute}", "1")
            path = re.sub("{name}", "trades" if "/tables/" in path else "anns-strategy", re.sub("{number}", "0", path))
            path += "?seq=1" if path.endswith("/at") else ""
            answer = http.request(method, path, headers=HTML | {"X-CSRF-Token": csrf}, follow_redirects=False)
            assert answer.status_code == 404, (method, path, answer.text[:300])
    for path in ("/", "/runs", "/library", "/strategies", "/screens", "/queue", "/find?q=ann", "/compare",
                 "/new/backtest"):  # fmt: skip
        page = http.get(path, headers=HTML)
        assert page.status_code == 200, path
        assert not [word for word in (run.id, "anns") if word in page.text], path
    assert http.get(f"/compare?run={run.id}&run={run.id}", headers=HTML).status_code == 404
    for topics in (f"run:{run.id}@1", "nothing"):
        told = http.get(f"/live?topics={topics}", headers={"Accept": "application/json"}).json()["messages"]
        assert told == [{"topic": topics.partition("@")[0], "gone": True}]
    assert platform.service.get(ann, run.id).state == "queued"


def test_a_form_that_no_page_of_ours_sent_changes_nothing(world):
    platform, http = world
    csrf = signed_in(http, "eve")
    eve = Principal("eve")
    run = platform.service.submit(eve, Submission(kind="backtest", params=BACKTEST))
    for given in ({}, {"csrf_token": "x" * 43}, {"csrf_token": ""}):
        answer = http.post(f"/runs/{run.id}/cancel", data={"keep": "no", **given}, headers=HTML)
        assert answer.status_code == 403, answer.text
    assert http.post(f"/runs/{run.id}/cancel", content=b"a=1", headers=HTML).status_code == 403
    assert platform.service.get(eve, run.id).state == "queued"
    done = http.post(
        f"/runs/{run.id}/cancel", data={"keep": "no", "csrf_token": csrf}, headers=HTML, follow_redirects=False
    )
    assert done.status_code == 303
    assert platform.service.get(eve, run.id).state == "cancelled"


def test_signing_in_leads_nowhere_else(world):
    _, http = world
    for there in ("https://evil.example/", "//evil.example", "/\\evil.example", "evil"):
        http.cookies.clear()
        form = {"name": "eve", "password": PASSWORD, "next": there}
        assert http.post("/sign-in", data=form, follow_redirects=False).headers["location"] == "/"
    http.cookies.clear()
    wrong = http.post("/sign-in", data={"name": "eve", "password": "wrong wrong", "next": "/"})
    assert (wrong.status_code, "Not signed in" in wrong.text) == (401, True)


def test_a_link_shows_a_report_to_anybody_and_nothing_else(world):
    platform, http = world
    ann = Principal("ann")
    run = platform.service.submit(ann, Submission(kind="backtest", params=BACKTEST))
    _, key = platform.sharing.link(ann, Shared("run", run.id, "ann"), 3600)
    http.cookies.clear()
    page = http.get(f"/shared/{key}", headers=HTML)
    assert (page.status_code, run.id in page.text) == (200, False)
    assert http.get("/shared/nothing", headers=HTML).status_code == 404


def test_a_token_is_shown_once_and_a_secret_never(world):
    _, http = world
    csrf = signed_in(http, "eve")
    made = http.post(
        "/settings/tokens", data={"name": "one", "scope": "read", "expires": "1d", "csrf_token": csrf}, headers=HTML
    )
    assert re.search(r"pb_[\w-]{20,}", made.text)
    assert not re.search(r"pb_[\w-]{20,}", http.get("/settings", headers=HTML).text)
    http.post("/settings/secrets", data={"name": "KEY", "value": "hush hush hush", "csrf_token": csrf}, headers=HTML)
    page = http.get("/settings", headers=HTML).text
    assert ("KEY" in page, "hush" in page) == (True, False)


def test_a_run_is_shown_as_it_stood_at_each_of_its_events(world):
    platform, http = world
    signed_in(http, "eve")
    eve = Principal("eve")
    run = platform.service.submit(eve, Submission(kind="backtest", params=BACKTEST))
    platform.service.cancel(eve, run.id, keep_partial=False)
    for seq, said in ((1, "Waiting"), (2, "Cancelling"), (3, "Cancelled by you"), (99, "Cancelled by you")):
        assert said in http.get(f"/runs/{run.id}/at?seq={seq}", headers=HTML).text
    assert http.get(f"/runs/{run.id}/at?seq=0", headers=HTML).status_code == 422


SCHEMA = {
    "required": ["name"],
    "properties": {
        "name": {"type": "string"}, "count": {"type": "integer", "default": 3}, "share": {"type": "number"},
        "is_on": {"type": "boolean"}, "side": {"enum": ["long", "short"]}, "level": {"enum": [1, 2]},
        "prices": {"type": "array", "items": {"type": "number"}}, "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "costs": {"type": "object", "properties": {"fee": {"type": ["number", "string"]}}},
        "free": {"type": "object", "additionalProperties": True},
    },
}  # fmt: skip


def test_what_is_written_into_a_form_is_what_comes_out():
    form = form_of(SCHEMA, {})
    given = {"name": "a", "count": "12", "share": "0.5", "is_on": "true", "side": "short", "level": "2", "prices": "1, 2.5",
             "costs.fee": "0.1%", "free": "a: 1\nb: [x]"}  # fmt: skip
    assert read_form(form, {name: [text] for name, text in given.items()}) == {
        "name": "a", "count": 12, "share": 0.5, "is_on": True, "side": "short", "level": 2, "prices": [1, 2.5],
        "costs": {"fee": "0.1%"}, "free": {"a": 1, "b": ["x"]},
    }  # fmt: skip
    assert read_form(form, {}) == {}
    assert read_form(form, {"share": ["nan"], "count": ["many"]}) == {"share": "nan", "count": "many"}
    again = form_of(SCHEMA, read_form(form, {"prices": ["1,2"], "costs.fee": ["3"]}))
    assert {field.name: field.text for field in again.fields}["prices"] == "1, 2"


def test_noughts_and_lone_choices_stay_in_a_form():
    form = form_of(SCHEMA, {})
    given = {"count": ["0"], "costs.fee": ["0"], "share": ["0.0"], "name": [""], "is_on": []}
    assert read_form(form, given) == {"count": 0, "costs": {"fee": 0}, "share": 0.0}
    several = form_of({"properties": {"symbols": {"type": "array", "choices": [{"value": "S"}, {"value": "SYN"}]}}}, {})
    assert as_written(several.fields, {"symbols": ["SYN"]}) == {"symbols": ["SYN"]}
    assert as_written(form.fields, {"costs.fee": ["x"], "prices": ["1, y"]}) == {
        "costs": {"fee": "x"},
        "prices": "1, y",
    }


@pytest.mark.parametrize("text", ["a: 2020-13-45", "? [a]\n: b", "a: =", "<<: 3", "2020-01-01: x", "a: [", "- a"])
def test_a_mapping_that_is_none_is_refused_at_its_field(text):
    with pytest.raises(InvalidInput) as refused:
        read_form(form_of(SCHEMA, {}), {"free": [text]})
    assert [problem.where for problem in refused.value.problems] == ["free"]


def test_what_is_no_form_is_refused_before_it_takes_memory(world):
    _, http = world
    signed_in(http, "eve")
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
    many = http.post("/data/series/5m/SYN", content="&".join(f"a{n}=1" for n in range(3000)), headers=kind)
    assert many.status_code == 422
    for path in ("/data/series/5m/SYN", "/data/import"):
        pieces = (b"a=" + b"x" * 300_000 for _ in range(8))
        assert http.post(path, content=pieces, headers=kind).status_code == 413, path


@pytest.mark.parametrize("path", ["/strategies/mine?version=99999999999999999999", "/runs/x/charts/0?low=nan",
                                  "/compare/equity?run=x&high=inf", "/strategies/mine?against=0"])  # fmt: skip
def test_a_number_that_nothing_has_is_refused(world, path):
    _, http = world
    signed_in(http, "eve")
    assert http.get(path, headers=HTML).status_code == 422


def test_the_audit_tells_of_changes_and_not_of_looks(world):
    platform, http = world
    csrf = signed_in(http, "eve")
    before = len(platform.accounts.audit.read(limit=1000))
    text = "name: mine\ntimeframe: 5m\nentry: {long: 'close > 1'}\n"
    form = {"csrf_token": csrf, "strategy": text, "symbols": "SYN", "timeframe": "5m"}
    for path, more in (("/strategies/check", {"text": text}), ("/new/backtest", {"do": "check"})):
        assert http.post(path, data=form | more, headers=HTML).status_code == 200, path
    assert len(platform.accounts.audit.read(limit=1000)) == before
    assert http.post("/new/backtest", data=form, headers=HTML, follow_redirects=False).status_code == 303
    after = platform.accounts.audit.read(limit=1000)
    assert [entry["action"] for entry in after[before:]] == ["new_submit"]


def test_how_the_server_is_set_is_for_administrators(world):
    _, http = world
    for name, is_shown in (("eve", False), ("root", True)):
        signed_in(http, name)
        assert ("database_url" in http.get("/settings", headers=HTML).text) is is_shown


def test_everything_is_stopped_however_much_waits(world, monkeypatch):
    platform, http = world
    csrf = signed_in(http, "ann")
    monkeypatch.setattr("pitboss.web.board.AT_ONCE", 2)
    ann = Principal("ann")
    for _ in range(5):
        platform.service.submit(ann, Submission(kind="backtest", params=BACKTEST))
    counts = platform.service.statistics(ann)["by_state"]
    waiting = counts["queued"]
    assert f"{waiting} runs" in http.get("/stop", headers=HTML).text
    said = http.post("/stop", data={"csrf_token": csrf}, headers=HTML, follow_redirects=True).text
    assert f"{waiting} runs are being stopped" in said
    assert platform.service.statistics(ann)["by_state"]["queued"] == 0


def test_a_card_of_the_library_is_made_anew_when_it_has_changed(world):
    platform, http = world
    signed_in(http, "eve")
    eve = Principal("eve")
    first, second = (platform.backtests.create(eve, name, BACKTEST) for name in ("first", "second"))
    cards = Cards(platform, eve)
    before = {card.saved.id: card for card in cards.all()}
    run = platform.backtests.run(eve, first.id)
    after = {card.saved.id: card for card in cards.all()}
    assert after[second.id] is before[second.id]
    assert (before[first.id].active, after[first.id].active.id) == (None, run.id)
    platform.service.cancel(eve, run.id, keep_partial=False)
    platform.backtests.remark(eve, second.id, ["best"], None)
    last = {card.saved.id: card for card in cards.all()}
    assert (last[first.id].active, last[first.id].last.id, last[second.id].remarks.tags) == (None, run.id, ("best",))


def test_schedules_and_channels_are_kept_and_what_is_wrong_is_told_in_the_form(world):
    platform, http = world
    csrf = signed_in(http, "ann")
    schedule = {"csrf_token": csrf, "do": "add", "name": "evening", "kind": "backtest", "when": "0 18 * * 1-5",
                "zone": "Europe/Berlin", "params": json.dumps(BACKTEST)}  # fmt: skip
    for wrong, said in (({"when": "0 0 31 2 *"}, "Bad day-of-month"), ({"params": "{"}, "the params are no JSON"),
                        ({"kind": "nothing"}, "unknown kind"), ({"params": "[]"}, "the params are no mapping")):  # fmt: skip
        answer = http.post("/schedules", data=schedule | wrong, headers=HTML)
        assert answer.status_code == 422
        assert said in answer.text
        assert 'value="evening"' in answer.text, "what was written stays"
    assert http.post("/schedules", data=schedule, headers=HTML, follow_redirects=False).status_code == 303
    page = http.get("/schedules", headers=HTML).text
    assert "Europe/Berlin" in page
    assert page.count("<td>") >= 10
    run = platform.service.submit(Principal("ann"), Submission(kind="backtest", params=BACKTEST))
    assert "SYN" in http.get(f"/schedules?from={run.id}", headers=HTML).text
    for what in ("pause", "resume", "remove"):
        http.post("/schedules", data={"csrf_token": csrf, "do": what, "name": "evening"})
    assert platform.schedules.all(Principal("ann")) == []
    channel = {
        "csrf_token": csrf,
        "do": "keep",
        "name": "HOOK",
        "address": "json://127.0.0.1:9/s3cret",
        "news": ["failed"],
    }
    assert http.post("/settings/channels", data=channel, follow_redirects=False).status_code == 303
    page = http.get("/settings", headers=HTML).text
    assert "HOOK" in page
    assert "s3cret" not in page
    http.post("/settings/channels", data={"csrf_token": csrf, "do": "remove", "name": "HOOK"})
    assert platform.channels.all(Principal("ann")) == []
