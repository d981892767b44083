"""The page never lies: whatever is cut, and for how long, it says so within two seconds, and is right within one second
after it is mended, with nothing twice.

`PITBOSS_TEST_CUTS=200` cuts as often; the longest that the network is away is `PITBOSS_TEST_AWAY` seconds.
"""

from __future__ import annotations

import os
import random
import re
import time
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import watched
from pitboss.core.ids import new_id
from support.engine import until
from support.server import Server, free_port, pitboss
from support.servers import PostgresServer
from support.wire import Wire

CUTS = int(os.environ.get("PITBOSS_TEST_CUTS", "20"))
AWAY = float(os.environ.get("PITBOSS_TEST_AWAY", "3"))
STALE_SECONDS, RIGHT_SECONDS = 2.0, 1.0
SLACK = 1.5 if "PYTEST_XDIST_WORKER" in os.environ else 0.5  # other tests take the machine meanwhile
OF_POSTGRES = 5  # one cut in so many is one of the database, on a server of its own
GRID = {"fast_period": {"low": 5, "high": 54, "step": 1}, "slow_period": {"low": 60, "high": 296, "step": 4}}
HIDE = """isHidden => {
    Object.defineProperty(document, 'hidden', {configurable: true, get: () => isHidden});
    document.dispatchEvent(new Event('visibilitychange'));
}"""
SHOWN = """() => ({
    states: Object.fromEntries([...document.querySelectorAll('#board [data-run]')].map(each =>
        [each.dataset.run, (each.querySelector('.badge')?.innerText ?? 'queued').split('·')[0].trim()])),
    ids: [...document.querySelectorAll('[id]')].map(each => each.id),
    head: document.querySelector('#run-head')?.dataset.state,
    whole: document.querySelector('#run')?.dataset.state,
    seq: Number(document.querySelector('#run-head')?.dataset.seq ?? 0),
    log: [...document.querySelectorAll('#log li[data-seq]')].map(each => Number(each.dataset.seq)),
    isStale: !document.getElementById('link').hidden,
})"""


class Desk:
    """A browser with the board and a run's page, at the other end of a wire from a server under load."""

    def __init__(self, server: Server, wire: Wire, context, dice: random.Random) -> None:
        self.server, self.wire, self.context, self.dice = server, wire, context, dice
        self.board, self.run_page = context.new_page(), context.new_page()
        self.run_id = ""
        self.board.goto(self.address("/"))
        self.follow(self.submit())

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.wire.port}{path}"

    def submit(self) -> str:
        kind = self.dice.choice(["sweep", "sweep", "backtest"])
        return self.server.submit(kind, **({"grid": GRID} if kind == "sweep" else {}))["id"]

    def follow(self, run_id: str) -> None:
        self.run_id = run_id
        self.run_page.goto(self.address(f"/runs/{run_id}"))

    def meanwhile(self) -> None:
        """Have something happen to runs: one is cancelled, one is submitted, one is moved."""
        queue = self.server.http.get("/queue").json()
        unfinished = [run["id"] for run in queue["active"] + queue["queued"]]
        for run_id in unfinished[:3]:
            if self.dice.random() < 0.5:
                self.server.http.post(f"/runs/{run_id}/cancel", json={"keep_partial": self.dice.random() < 0.5})
        if len(unfinished) < 4:
            self.submit()

    def settle(self) -> None:
        """Look at the same run as long as it goes on, then at another."""
        if self.server.get(self.run_id)["ended_at"]:
            self.follow(self.submit())


def truth(server: Server) -> dict[str, str]:
    """Answer the states that the board must show, as the database has them."""
    queue = server.http.get("/queue").json()
    states = {run["id"]: run["state"] for run in queue["active"] + queue["queued"]}
    ended = [("state", state) for state in ("completed", "failed", "cancelled")]
    recent = server.http.get("/runs", params=[*ended, ("limit", 20)]).json()["items"]
    return states | {run["id"]: run["state"] for run in recent}


def is_right(desk: Desk, page: Page) -> bool:
    """Answer whether a page equals the database, which may move on while both are read."""
    before = truth(desk.server) if page is desk.board else desk.server.get(desk.run_id)
    shown = page.evaluate(SHOWN)
    after = truth(desk.server) if page is desk.board else desk.server.get(desk.run_id)
    assert len(shown["ids"]) == len(set(shown["ids"])), "an element stands twice"
    assert shown["log"] == sorted(set(shown["log"])), "a line stands twice, or out of its place"
    if page is desk.board:
        return not shown["isStale"] and shown["states"] in (before, after)
    states = {before["state"], after["state"]}
    return not shown["isStale"] and shown["head"] in states and shown["whole"] in states


def waited(condition, seconds: float, what: str) -> float:
    """Answer how long it took until something holds; fails when a look that began after `seconds` does not find it so."""
    began = looked = time.monotonic()
    while not condition():
        assert looked - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.02)
        looked = time.monotonic()
    return looked - began


def is_stale(page: Page) -> bool:
    return page.evaluate("!document.getElementById('link').hidden")


class Cuts(Desk):
    """What can be cut, each by a method of its own: it is cut, things happen, it is mended."""

    def cut(self, how: str) -> None:
        """Cut and mend, and see both pages right."""
        getattr(self, how)()
        for page in self.pages:
            waited(lambda page=page: is_right(self, page), RIGHT_SECONDS + SLACK, f"right after {how}")

    @property
    def pages(self) -> list[Page]:
        return [self.board, self.run_page]

    def see_stale(self, since: float) -> None:
        for page in self.pages:
            waited(lambda page=page: is_stale(page), STALE_SECONDS + 0.2 - (time.monotonic() - since), "it says so")

    def stream(self) -> None:
        self.wire.drop()
        self.meanwhile()

    def network(self) -> None:
        self.away(self.wire.hold)

    def refused(self) -> None:
        self.away(self.wire.cut)

    def away(self, cut) -> None:
        began, long = time.monotonic(), self.dice.uniform(1, AWAY)
        cut()
        self.meanwhile()
        self.see_stale(began)
        time.sleep(max(0.0, long - (time.monotonic() - began)))
        self.wire.mend()

    def restarted_server(self) -> None:
        began = time.monotonic()
        self.server.kill()
        self.see_stale(began)
        self.server.start()
        self.meanwhile()

    def hidden_tab(self) -> None:
        self.hide([self.dice.choice(self.pages)])

    def hidden_tabs(self) -> None:
        self.hide(self.pages)

    def hide(self, pages: list[Page]) -> None:
        for page in pages:
            page.evaluate(HIDE, True)
        self.meanwhile()
        time.sleep(self.dice.uniform(0.2, AWAY / 2))
        for page in pages:
            page.evaluate(HIDE, False)

    def third_tab(self) -> None:
        third = self.context.new_page()
        third.goto(self.address("/queue"))
        self.meanwhile()
        third.close()

    def closed_tab(self) -> None:
        self.board.close()
        self.board = self.context.new_page()
        self.board.goto(self.address("/"))
        self.meanwhile()

    def restarted_database(self) -> None:
        self.postgres.restart(self.dice.choice(["fast", "immediate"]))
        until(lambda: self.server.http.get("/queue").status_code == 200, 20, "the database is back")
        self.meanwhile()


HOWS = ("stream", "network", "refused", "hidden_tab", "hidden_tabs", "third_tab", "closed_tab", "restarted_server")


@contextmanager
def at_a_desk(browser, folder, dice, **environment):
    pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 500, data_dir=folder)
    with Server(folder, **environment) as server, Wire(server.port) as wire:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(15_000)
        errors: list[str] = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        yield Cuts(server, wire, context, dice)
        context.close()
        assert not errors


@pytest.mark.timeout(max(300, CUTS * 60))
def test_after_every_cut_the_page_is_right_within_a_second(browser, tmp_path):
    seed = os.environ.get("PITBOSS_TEST_SEED", new_id())
    print("seed", seed)
    dice = random.Random(seed)
    with at_a_desk(browser, tmp_path, dice) as desk:
        for number in range(CUTS - CUTS // OF_POSTGRES):
            how = HOWS[number % len(HOWS)]
            try:
                desk.cut(how)
            except AssertionError as error:
                raise AssertionError(f"cut {number}, {how}, seed {seed}: {error}") from error
            desk.settle()


@pytest.mark.timeout(max(300, CUTS * 20))
def test_after_every_restart_of_the_database_the_page_is_right_within_a_second(browser, tmp_path):
    dice = random.Random(os.environ.get("PITBOSS_TEST_SEED", new_id()))
    postgres = PostgresServer(tmp_path / "postgres", free_port())
    postgres.start()
    try:
        with at_a_desk(browser, tmp_path / "data", dice, PITBOSS_DATABASE_URL=postgres.url()) as desk:
            desk.postgres = postgres
            for _ in range(CUTS // OF_POSTGRES):
                desk.cut("restarted_database")
                desk.settle()
    finally:
        postgres.stop("immediate")


def test_one_stream_serves_all_tabs_and_none_a_hidden_one(browser, desk):
    with watched(browser) as context:
        open_streams: set = set()
        context.on("request", lambda asked: open_streams.add(asked) if _is_stream(asked) else None)
        for name in ("requestfinished", "requestfailed"):
            context.on(name, lambda asked: open_streams.discard(asked))
        tabs = [context.new_page() for _ in range(5)]
        for tab in tabs:
            tab.goto(f"http://127.0.0.1:{desk.port}/")
        waited(lambda: _streams(tabs[0], open_streams) == 1, 5, "there is one stream")
        run_id = desk.submit("sweep", grid=GRID)["id"]
        for tab in tabs:
            tab.wait_for_selector(f"#card-{run_id}")
        for tab in tabs:
            tab.evaluate(HIDE, True)
        waited(lambda: _streams(tabs[0], open_streams) == 0, 5, "nobody looks, and nothing is streamed")
        tabs[3].evaluate(HIDE, False)
        waited(lambda: _streams(tabs[0], open_streams) == 1, 5, "one looks again")
        desk.http.post(f"/runs/{run_id}/cancel", json={"keep_partial": False})
        tabs[3].wait_for_selector(f"#row-{run_id} .badge.cancelled")


def _is_stream(asked) -> bool:
    return "/live?" in asked.url and "event-stream" in asked.headers.get("accept", "")


def _streams(page: Page, open_streams: set) -> int:
    page.evaluate("1")  # so that Playwright hears of what has happened
    return len(open_streams)


def test_where_streams_are_held_up_on_the_way_the_page_asks_instead(browser, desk):
    with watched(browser) as context:
        page = context.new_page()
        page.route(re.compile("/live"), lambda route: route.continue_() if not _is_stream(route.request) else None)
        page.goto(f"http://127.0.0.1:{desk.port}/")
        run_id = desk.submit("sweep", grid=GRID)["id"]
        page.wait_for_selector(f"#card-{run_id} .percent")
        percent = page.locator(f"#card-{run_id} .percent")
        expect(percent).not_to_have_text(percent.inner_text())
        desk.http.post(f"/runs/{run_id}/cancel", json={"keep_partial": False})
        page.wait_for_selector(f"#row-{run_id} .badge.cancelled")
        assert not is_stale(page)
