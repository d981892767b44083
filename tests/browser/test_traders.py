"""Traders in the desk: made, started, watched minute by minute, cancelled, and compared."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from browser.conftest import address, watched
from browser.test_pages import AXE, NARROW, WIDE, WIDER
from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.store import BarStore, Nature
from pitboss.sessions.clock import minutes_of
from support import provider as behaving
from support.provider import Provider
from support.server import Server
from support.sessions import DAY, walk


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traders")
    minutes = [tick.at for tick in minutes_of("XNYS", DAY)]
    BarStore(LocalFiles(folder)).store(walk(minutes, 7), "SYN", parse_timeframe("1m"), Nature("made", session="XNYS"))
    with Server(folder) as server:
        yield server


def started(server, trader, **params):
    asked = {"symbol": "SYN", "date": DAY, "session": "regular", **params}
    return server.http.post(f"/trading/start-intraday/{trader}", json=asked).json()


def test_a_session_is_started_watched_and_cancelled_and_counts_nowhere(browser, bench):
    with watched(browser) as context:
        page = context.new_page()
        page.goto(address(bench, "/traders"))
        expect(page.locator(".empty")).to_contain_text("No trader yet")
        page.get_by_label("Name").fill("dice")
        page.get_by_label("It decides").select_option("random")
        page.get_by_label("Trades at random").fill("90")
        page.get_by_label("of so many steps").fill("3")
        page.get_by_role("button", name="Make it").click()
        expect(page.locator("h1")).to_have_text("dice")

        page.get_by_role("link", name="Start a session").click()
        page.locator('[name="date"]').fill(DAY)
        page.locator('[name="pace"]').fill("40")
        page.get_by_role("button", name=re.compile("^Run")).first.click()
        expect(page.locator("#run-head")).to_contain_text("Trading in progress…", timeout=20_000)
        rows = page.locator("#run-items tbody tr")
        expect(rows.nth(20)).to_be_visible(timeout=20_000)
        before = rows.first.inner_text()
        expect(rows.first).not_to_have_text(before)  # minutes move
        expect(page.locator("#run-items")).to_contain_text(re.compile(r"(buy|short) [\d.]+ SYN at"))
        page.get_by_role("link", name="Cancel Trading").click()
        page.locator("#dialog").get_by_role("button", name=re.compile("keep", re.IGNORECASE)).first.click()
        expect(page.locator("#run-head")).to_contain_text("Run cancelled by user", timeout=10_000)
        page.reload()
        expect(page.locator("main")).to_contain_text("nothing of it was booked")

        page.goto(address(bench, "/traders"))
        row = page.locator('tr[data-row="dice"]')
        expect(row.locator("td").nth(2)).to_have_text("0")
        expect(row).to_contain_text("cancelled")
        done = started(bench, "dice")
        assert bench.wait(done["run_id"])["state"] == "completed"
        page.reload()
        expect(row.locator("td").nth(2)).to_have_text("1")
        page.goto(address(bench, f"/runs/{done['run_id']}"))
        expect(page.locator("#run-head")).to_contain_text(re.compile(r"Run succeeded, \d+ trades executed"))


def test_each_minute_tells_what_was_shown_said_decided_and_done(browser, bench):
    with Provider(behaving.trade) as provider, watched(browser) as context:
        agent = {"type": "llm", "model": "local", "endpoint": provider.url, "instructions": "be brave"}
        bench.http.post("/traders", json={"name": "model", "cash": 10_000, "agent": agent})
        run = started(bench, "model", timeframe="30m")["run_id"]
        assert bench.wait(run)["state"] == "completed"
        page = context.new_page()
        page.goto(address(bench, f"/runs/{run}"))
        page.get_by_role("link", name="Minute by minute").click()
        expect(page.locator("h1")).to_contain_text("Minute 1")
        expect(page.locator("main")).to_contain_text("be brave")
        page.get_by_role("link", name="Minute 2").click()
        for text in ("bought one", "buy 1 SYN", "calls buy", "Step 2 of 13", "history"):
            expect(page.locator("main")).to_contain_text(text)


def test_an_order_by_hand_is_filled_or_refused_with_figures(browser, bench):
    bench.http.post("/traders", json={"name": "hand", "cash": 1000, "agent": {"type": "random"}})
    with watched(browser) as context:
        page = context.new_page()
        page.goto(address(bench, "/traders/hand"))
        for quantity, said in (("2", "filled: buy 2 SYN at"), ("2000", "refused: cash ")):
            page.get_by_label("Quantity").fill(quantity)
            page.get_by_label("Symbol").fill("SYN")
            page.get_by_label("Minute, UTC").fill(f"{DAY}T15:00")
            page.get_by_role("button", name="Order").click()
            expect(page.locator(".said")).to_contain_text(said)
        expect(page.locator("main")).to_contain_text("needed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_traders_have_no_serious_fault_for_those_who_cannot_see_them(browser, bench, scheme):
    bench.http.post("/traders", json={"name": f"x{scheme}", "cash": 1000, "agent": {"type": "random"}})
    run = started(bench, f"x{scheme}", timeframe="30m")["run_id"]
    assert bench.wait(run)["state"] == "completed"
    for size in (WIDE, NARROW):
        with watched(browser, color_scheme=scheme, viewport=size) as context:
            page = context.new_page()
            for path in ("/traders", f"/traders/x{scheme}", f"/sessions/{run}/2", "/new/session", f"/runs/{run}"):
                page.goto(address(bench, path))
                page.wait_for_load_state("networkidle")
                page.evaluate(AXE.read_text())
                found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
                assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == [], path
                assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, page.evaluate(WIDER)
