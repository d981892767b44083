"""What a trader does from the first file to the second run, in a browser, wide and narrow, and without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import NARROW, WIDE, address, watched
from support.bars import random_bars
from support.engine import until
from support.kinds import python_with_slow_kind
from support.server import Server

MISTAKEN = """\
name: journey
timeframe: 1m
indicators:
  fast: emma(close, fast_period)
  slow: ema(close, 48)
entry:
  long: crosses_above(fast, slow)
exit:
  long: crosses_below(fast, slow)
risk: {stop_loss: 2 * atr(14)}
sizing: {type: percent_equity, value: 5%}
costs: {commission: 0.01%}
parameters:
  fast_period: {default: 12, low: 2, high: 100}
"""


class SlowServer(Server):
    """One that has a kind whose runs can be watched."""


@pytest.fixture(scope="module", autouse=True)
def slow_python(tmp_path_factory):
    SlowServer.python = python_with_slow_kind(tmp_path_factory.mktemp("python") / "venv")


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    """A month of 1-minute bars of which one has its low above its high, and one stands twice."""
    bars = random_bars(40_000, seed=5)
    lines = ["ts,open,high,low,close,volume"]
    for at in range(len(bars.ts)):
        low, high = (bars.high[at], bars.low[at]) if at == 7 else (bars.low[at], bars.high[at])
        ts = 1_640_995_200 + 60 * at
        lines.append(f"{ts},{bars.open[at]:.5f},{high:.5f},{low:.5f},{bars.close[at]:.5f},{bars.volume[at]:.0f}")
    lines.insert(100, lines[99])
    path = tmp_path_factory.mktemp("file") / "WAVY_1m.csv"
    path.write_text("\n".join(lines))
    return path


def current_run(page: Page) -> str:
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
    return page.url.partition("/runs/")[2].partition("?")[0]


def started(page: Page) -> str:
    """Press Run in the form that is open, and answer the run."""
    expect(page.locator("#check .ok")).to_contain_text("It can run")
    page.get_by_role("button", name="Run", exact=True).click()
    return current_run(page)


def cancelled(page: Page, answer: str) -> str:
    """Start a run, watch it move, and cancel it by the answer to the question; say what the page says then."""
    started(page)
    watch_it_move(page)
    page.keyboard.press("c")
    question = page.locator("#dialog")
    expect(question).to_contain_text("Partial results will be discarded.")
    expect(question.get_by_text("Continue running")).to_be_visible()
    question.get_by_role("button", name=answer).click()
    expect(page.locator(".verdict")).to_contain_text("Cancelled by you", timeout=4_000)
    return page.locator(".verdict").inner_text()


def watch_it_move(page: Page) -> None:
    """See per cent, date and trade count change without a reload."""
    head = page.locator("#run-head")
    expect(head.locator("progress")).to_be_visible()
    fact = {name: head.locator(".facts div", has=page.get_by_text(name, exact=True)).locator("dd")
            for name in ("now at", "trades")}  # fmt: skip
    expect(fact["now at"]).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d"), timeout=20_000)
    moving = {"per cent": head.locator(".percent"), **fact}
    seen = {name: at.inner_text() for name, at in moving.items()}
    for name, at in moving.items():
        expect(at).not_to_have_text(seen[name])


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_from_a_file_with_a_defect_to_the_second_run(browser, tmp_path, csv, size):
    with SlowServer(tmp_path) as server, watched(browser, viewport=size) as context:
        page = context.new_page()
        page.goto(address(server, "/"))
        expect(page.get_by_text("First it needs bars")).to_be_visible()
        page.get_by_role("link", name="drop a CSV or Parquet file").click()

        page.set_input_files("#file", csv)
        panel = page.locator("#preview-panel")
        expect(panel).to_contain_text("1 high below low")
        expect(panel).to_contain_text("1 duplicates")
        expect(panel).to_contain_text("The bars as they would be stored")
        assert server.http.get("/data").json() == [], "nothing is written before it is asked for"
        page.get_by_role("button", name="Import").click()
        expect(panel).to_contain_text("bars are stored")
        assert "WAVY" in server.http.get("/data").text

        page.goto(address(server, "/strategies/_new"))
        editor = page.locator(".editor-host").locator(".cm-content")
        editor.click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(MISTAKEN)
        expect(page.locator("#problems")).to_contain_text("line 4, column 9: unknown indicator 'emma'")
        marked = page.locator(".editor-host").locator(".cm-lintRange-error")
        expect(marked).to_have_text("emma")
        marked.dblclick()
        page.keyboard.insert_text("ema")
        expect(page.locator("#problems")).to_contain_text("No mistakes.")
        expect(page.locator("#preview-said")).to_contain_text("trades on the last")
        page.get_by_role("button", name="Keep").click()
        expect(page.locator("h1")).to_contain_text("version 1")

        page.goto(address(server, "/new/slow"))
        page.get_by_role("checkbox", name="WAVY").check()
        said = cancelled(page, "Cancel slow")
        assert "discarded" in said
        expect(page.locator("#run-form")).to_be_visible()  # it returns to the configuration

        page.locator('[name="parameters.fast_period"]').fill("20")
        said = cancelled(page, "Cancel and keep partial results")
        assert "partial results kept" in said
        expect(page.locator(".badge").first).to_contain_text("partial")
        kept = current_run(page)

        counts = server.http.get("/runs/statistics?subject=strategy/journey").json()
        assert counts["completed"] == 0, "what was cancelled is in no statistics"

        page.goto(address(server, f"/new/backtest?from={kept}"))
        whole = started(page)
        expect(page.locator(".verdict")).to_contain_text("Run succeeded", timeout=20_000)
        expect(page.locator(".figures")).to_contain_text("Total return")
        page.locator("#chart-0").scroll_into_view_if_needed()
        expect(page.locator("#chart-0[data-ready]")).to_be_visible()
        rows = page.locator("#rows-trades tbody tr")
        page.locator("#rows-trades").scroll_into_view_if_needed()
        expect(rows.first).to_contain_text("WAVY")

        page.goto(address(server, f"/compare?run={whole}&run={kept}"))
        expect(page.get_by_role("heading", name="Skill or luck")).to_be_visible()
        expect(page.get_by_text("with partial results")).to_be_visible()
        expect(page.locator("table.compare")).to_contain_text("Sharpe")

        page.goto(address(server, f"/runs/{whole}"))
        page.get_by_role("button", name="Run again").click()
        again = current_run(page)
        assert again != whole
        expect(page.locator(".verdict")).to_contain_text("Run succeeded", timeout=20_000)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

        page.goto(address(server, "/"))
        table = page.locator("#board table").last
        expect(table.locator("tbody tr")).to_have_count(4)
        expect(table.locator(".badge.cancelled")).to_have_count(2)
        statistics = server.http.get("/runs/statistics?subject=strategy/journey").json()
        assert (statistics["completed"], statistics["by_state"]["cancelled"]) == (2, 2)


def test_starting_and_cancelling_take_no_scripts(browser, desk):
    with watched(browser, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(address(desk, "/new/sweep"))
        page.get_by_role("button", name="Use this one").click()
        page.locator('[name="symbols"][value="SYN"]').check()
        for name, value in (("low", "2"), ("high", "99"), ("step", "1")):
            page.locator(f'[name="grid.fast_period.{name}"]').fill(value)
        for name, value in (("low", "100"), ("high", "399"), ("step", "1")):
            page.locator(f'[name="grid.slow_period.{name}"]').fill(value)
        page.get_by_role("button", name="Run", exact=True).click()
        run_id = current_run(page)
        until(lambda: desk.get(run_id)["state"] == "running", 20, "it runs")
        page.reload()
        expect(page.locator(".badge").first).to_have_text("running")
        page.get_by_role("link", name="Cancel").click()
        page.get_by_role("button", name="Cancel sweep").click()
        expect(page.locator(".verdict")).to_contain_text("Cancelled by you")
        assert desk.get(run_id)["state"] == "cancelled"


def test_a_strategy_without_an_entry_is_refused_before_anything_is_queued(browser, desk):
    text = "name: idle\ntimeframe: 5m\nexit: {long: 'close > 1'}\n"
    before = len(desk.http.get("/runs?limit=500").json()["items"])
    with watched(browser) as context:
        page = context.new_page()
        assert desk.http.post("/strategies", json={"text": text}).status_code == 201
        page.goto(address(desk, "/new/backtest?strategy=idle&symbols=SYN"))
        expect(page.locator("#check")).to_contain_text("strategy 'idle' has no entry condition")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator(".field .error")).to_contain_text("add entry.long or entry.short")
        expect(page.locator('[name="strategy"]')).to_have_value("idle")
        context.complaints[:] = [said for said in context.complaints if "422" not in said]  # which Chromium notes
    assert len(desk.http.get("/runs?limit=500").json()["items"]) == before
