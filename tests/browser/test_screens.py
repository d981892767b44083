"""Screens in the desk: written with help and seen on today's bars; each ticker with its criteria; one day to the next."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from browser.conftest import address, watched
from support.bars import store_days
from support.server import Server

TICKERS = [f"T{at}" for at in range(8)]
MISTAKEN = "name: rising\ncriteria:\n  - {name: up, when: 'close > smaa(close, 20)', points: 50}\npass_mark: 50\n"


@pytest.fixture(scope="module")
def screening(tmp_path_factory):
    folder = tmp_path_factory.mktemp("screens")
    store_days(folder, TICKERS, 400)
    with Server(folder) as server:
        yield server


def dates_of(server: Server) -> list[str]:
    """Answer two days of those that there are bars of."""
    bars = server.http.get("/data/T0/1d/bars?limit=1000").json()
    return [bars[at]["ts"][:10] for at in (300, 350)]


def test_a_screen_is_written_run_and_compared_from_day_to_day(browser, screening):
    with watched(browser) as context:
        page = context.new_page()
        page.goto(address(screening, "/screens"))
        expect(page.locator("table.list")).to_contain_text("bullish-breakout")
        page.get_by_role("link", name="New screen").click()
        page.locator(".editor-host").locator(".cm-content").click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(MISTAKEN)
        expect(page.locator("#problems")).to_contain_text("line 3, column 31: unknown indicator 'smaa'")
        marked = page.locator(".editor-host").locator(".cm-lintRange-error")
        expect(marked).to_have_text("smaa")
        marked.dblclick()
        page.keyboard.insert_text("sma")
        expect(page.locator("#preview-said")).to_contain_text("of 8 pass")
        expect(page.locator("#preview-rows tbody tr")).to_have_count(8)
        expect(page.locator("#preview .legend")).to_contain_text("of 50")
        page.locator("#preview-rows tbody tr button").last.click()
        expect(page.locator("#preview-symbol")).to_have_value(re.compile(r"T\d"))
        page.get_by_role("button", name="Keep").click()
        expect(page.locator("h1")).to_contain_text("version 1")

        runs = []
        for date in dates_of(screening):
            asked = {"kind": "screen", "params": {"screen": "rising", "date": date}}
            run = screening.http.post("/runs", json=asked).json()["id"]
            assert screening.wait(run)["state"] == "completed"
            runs.append(run)
        page.goto(address(screening, f"/runs/{runs[1]}"))
        page.locator("details", has_text="All 8 rows").locator("summary").click()
        rows = page.locator("#rows-rows tbody tr")
        expect(rows).to_have_count(8)
        expect(rows.first.locator("svg.spark")).to_be_visible()
        rows.first.get_by_role("link").click()
        expect(page.locator("#chart-0[data-ready]")).to_be_visible()
        expect(page.locator("#chart-0 .legend")).to_contain_text("score")

        page.goto(address(screening, "/screens/rising"))
        expect(page.get_by_text("the share that passed")).to_be_visible()
        for run in runs:
            page.locator(f"#row-{run} input").check()
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("heading", name=re.compile("came, .* went"))).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
