"""Every page, as people see it and as those see it who cannot: light and dark, wide and narrow, and with content that
means harm."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import NARROW, WIDE, address, watched
from support.engine import until
from support.kinds import python_with
from support.server import STRATEGY, Server

ROOT = Path(__file__).parents[2]
AXE = ROOT / "src/pitboss/web/assets/node_modules/axe-core/axe.min.js"
WIDER = """() => [...document.querySelectorAll('body *')].filter(each => each.getBoundingClientRect().right > innerWidth &&
    !each.closest('.scroll')).map(each => `${each.tagName}.${each.className} ${each.textContent.slice(0, 40)}`)"""
HOSTILE = (
    '<script>window.harmed = true</script><img src=x onerror="window.harmed=true">',
    "\u202eevitagen\u202c \u05e2\u05d1\u05e8\u05d9\u05ea",
    "\x1b[31mred\x1b[0m\x1b]8;;http://evil\x07link\x1b]8;;\x07",
    "x" * 10_000,
    "{{ 7 * 7 }}{% for x in y %}",
    "'\"--></title></textarea></script>",
)


def opened(page: Page, server: Server, path: str) -> Page:
    answer = page.goto(address(server, path))
    assert answer is not None
    assert answer.status == 200
    return page


def test_the_documentation_shows_every_operation_and_can_be_tried(page, server):
    opened(page, server, "/docs")
    expect(page.get_by_role("heading", name="pitboss")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("Unable to render")).to_have_count(0)
    shown = page.locator(".opblock")
    document = server.http.get(address(server, "/openapi.json")).json()
    expect(shown).to_have_count(sum(len(methods) for methods in document["paths"].values()))
    page.locator("#operations-system-system_healthz, [id$=healthz]").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute", exact=True).click()
    expect(page.locator(".live-responses-table").get_by_text('"ok"')).to_be_visible(timeout=10_000)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/v1/queue", "/metrics"])
def test_what_is_meant_for_programs_opens_in_a_browser_too(page, server, path):
    opened(page, server, path)
    assert page.locator("body").inner_text().strip()


@pytest.fixture(scope="module")
def ended(desk):
    """Runs of each end: completed, kept and failed."""
    runs = {"backtest": desk.submit("backtest")["id"], "again": desk.submit("backtest", cash=5000)["id"]}
    runs["sweep"] = desk.submit("sweep", grid={"fast_period": [5, 10, 20], "slow_period": [50, 100]})["id"]
    for run_id in runs.values():
        assert desk.wait(run_id)["state"] == "completed"
    grid = {"fast_period": {"low": 2, "high": 99, "step": 1}, "slow_period": {"low": 100, "high": 399, "step": 1}}
    runs["cancelled"] = desk.submit("sweep", grid=grid)["id"]
    until(lambda: (desk.get(runs["cancelled"])["progress"] or {}).get("done"), 30, "some are done")
    desk.http.post(f"/runs/{runs['cancelled']}/cancel", json={"keep_partial": True})
    desk.wait(runs["cancelled"])
    runs["saved"] = desk.http.post(
        "/backtests", json={"name": "kept", "params": {"strategy": "ema-cross", "symbols": ["SYN"]}}
    ).json()["id"]
    return runs


def pages_of(ended: dict[str, str]) -> list[str]:
    run = ended["backtest"]
    return [
        "/", "/new", "/new/backtest", "/new/sweep", "/new/script", "/new/screen", "/new/fetch",
        f"/new/backtest?from={run}", "/library", "/schedules",
        f"/library/{ended['saved']}", "/strategies", "/strategies/_new", "/strategies/ema-cross", "/screens", "/screens/_new", "/data", "/data/import",
        "/data/series/5m/SYN", "/queue", "/settings", "/runs", f"/runs/{run}", f"/runs/{ended['sweep']}",
        f"/runs/{ended['cancelled']}", f"/runs/{run}/tables/trades", f"/runs/{run}/log", f"/runs/{run}/at?seq=3",
        f"/runs/{run}/cancel", "/compare", f"/compare?run={run}&run={ended['again']}", "/stop", "/find?q=syn",
    ]  # fmt: skip


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)], ids=["light-wide", "dark-narrow"])
def test_no_page_has_a_serious_fault_for_those_who_cannot_see_it(browser, desk, ended, scheme, size):
    with watched(browser, color_scheme=scheme, viewport=size) as context:
        page = context.new_page()
        found = {}
        for path in pages_of(ended):
            opened(page, desk, path)
            page.evaluate("() => document.querySelectorAll('main details').forEach(each => each.open = true)")
            page.mouse.wheel(0, 20_000)
            page.wait_for_load_state("networkidle")
            page.evaluate(AXE.read_text())
            said = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
            grave = [
                (each["id"], node["html"][:160], node.get("failureSummary", "")[:200])
                for each in said
                if each["impact"] in ("serious", "critical")
                for node in each["nodes"][:3]
            ]
            if grave:
                found[path] = grave
            width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            wide = page.evaluate(WIDER) if width > 0 else []
            assert width <= 0, f"{path} is {width} pixels wider than the screen: {wide}"
    assert not found, json.dumps(found, indent=1)


def test_the_policy_of_the_pages_has_no_exception(desk, ended):
    for path in pages_of(ended):
        policy = desk.http.get(address(desk, path), headers={"Accept": "text/html"}).headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "nonce" not in policy
        assert "sha256" not in policy


def test_hostile_content_does_no_harm_and_leaves_the_pages_usable(browser, desk, ended):
    run, saved = ended["backtest"], ended["saved"]
    text = "\n".join(HOSTILE)
    assert desk.http.put(f"/runs/{run}/notes", json={"text": text[:20_000]}).status_code == 200
    tags = [each[:64] for each in HOSTILE]
    assert desk.http.patch(f"/backtests/{saved}", json={"tags": tags, "notes": text}).status_code == 200
    tagged = desk.http.post("/runs", json={"kind": "backtest", "tags": tags, "params": {
        "strategy": STRATEGY, "symbols": ["SYN"], "timeframe": "5m"}}).json()["id"]  # fmt: skip
    log = desk.data_dir / "logs" / "runs" / f"{run}.log"
    with log.open("a") as file:
        for number in range(200_000):
            file.write(f"{number} {HOSTILE[number % 3]}\n")
        file.write(HOSTILE[3] * 20 + "\n" + "the needle <b>in</b> the stack\n")
    with watched(browser, viewport=NARROW) as context:
        page = context.new_page()
        for path in (
            f"/runs/{run}",
            f"/runs/{tagged}",
            f"/library/{saved}",
            "/library",
            f"/runs?tag={quote(tags[0])}",
            "/",
        ):
            opened(page, desk, path)
            page.evaluate("() => document.querySelectorAll('main details').forEach(each => each.open = true)")
            page.wait_for_load_state("networkidle")
            assert page.evaluate("window.harmed") is None, path
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
            assert page.locator("main script, main img[src=x]").count() == 0
        opened(page, desk, f"/runs/{run}")
        page.get_by_text("Log", exact=False).locator("xpath=ancestor-or-self::summary").first.click()
        page.get_by_role("searchbox", name="Search the whole log").fill("needle")
        expect(page.locator("#output")).to_contain_text("1 lines hold “needle”")
        expect(page.locator("#output pre")).to_have_text("the needle <b>in</b> the stack")
        for word in ("/nothing", "/runs/nothing", "/strategies/%3Cscript%3E", "/new/%22%3E%3Cscript%3E"):
            page.goto(address(desk, word))
            expect(page.locator("h1")).to_have_text("There is nothing here")
            assert page.evaluate("window.harmed") is None
        context.complaints[:] = [said for said in context.complaints if "404" not in said]  # which Chromium notes


def test_the_keyboard_leads_everywhere(browser, desk, ended):
    with watched(browser) as context:
        page = context.new_page()
        opened(page, desk, "/runs")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        chosen = page.locator("tr.chosen")
        expect(chosen).to_have_count(1)
        page.keyboard.press("x")
        expect(page.locator("#selection")).to_contain_text("1 chosen")
        run_id = chosen.get_attribute("data-run")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/runs/{run_id}")
        page.keyboard.press("Control+k")
        page.keyboard.type("bars other")
        expect(page.locator("#found a").first).to_contain_text("OTHER")
        page.keyboard.press("Enter")
        page.wait_for_url("**/data/series/5m/OTHER")
        page.keyboard.press("g")
        page.keyboard.press("d")
        page.wait_for_url("**/data")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.type") == "search"
        page.keyboard.press("Escape")
        page.locator("h1").click()
        page.keyboard.press("?")
        expect(page.get_by_role("heading", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("n")
        page.wait_for_url("**/new")


def test_a_mark_leads_to_its_row_and_a_row_to_its_place(browser, desk, ended):
    with watched(browser, reduced_motion="reduce") as context:
        page = context.new_page()
        opened(page, desk, f"/runs/{ended['backtest']}")
        candles = page.locator("figure.candles")
        candles.scroll_into_view_if_needed()
        expect(page.locator("figure.candles[data-ready]")).to_be_visible()
        page.locator("#rows-trades").scroll_into_view_if_needed()
        row = page.locator("#rows-trades tbody tr").nth(3)
        number = row.get_attribute("data-row")
        row.locator("td").first.click()
        expect(candles.locator(".readout")).to_contain_text("trades here")
        page.locator("#rows-trades").get_by_role("link", name="Further").click()  # where it is not
        expect(page.locator(f"#trades-{number}")).to_have_count(0)
        candles.scroll_into_view_if_needed()
        page.wait_for_load_state("networkidle")  # what lies around is there, no finer than it is seen
        box = candles.locator("canvas").first.bounding_box()
        placed = candles.evaluate("(each, row) => each.chart.marks.placed.find(([it]) => it === row)", int(number))
        assert box is not None
        page.mouse.move(box["x"] + placed[1], box["y"] + placed[2])
        page.mouse.click(box["x"] + placed[1], box["y"] + placed[2])
        expect(page.locator(f"#trades-{number}.chosen")).to_be_visible()


def test_the_report_of_a_kind_of_others_needs_no_line_here(browser, tmp_path_factory):
    """The example plug-in's kind: in the form, on the board, on its page and compared."""
    source = (ROOT / "examples" / "plugin" / "src" / "pitboss_montecarlo.py").read_text()
    folder = tmp_path_factory.mktemp("plugin") / "venv"

    class PluginServer(Server):
        python = python_with(folder, {"pitboss_montecarlo": source}, {"montecarlo": "pitboss_montecarlo:KIND"})

    with PluginServer(tmp_path_factory.mktemp("plugin-data")) as server, watched(browser) as context:
        page = context.new_page()
        opened(page, server, "/new")
        page.get_by_role("listitem").filter(has_text="Monte Carlo of a trade list").click()
        page.get_by_label("Profits").fill("30, -10, 12.5, -20")
        page.get_by_label("Paths").fill("3000000")
        page.get_by_role("button", name="Run", exact=True).click()
        page.wait_for_url("**/runs/*")
        expect(page.locator("#run-head progress")).to_be_visible()
        board = context.new_page()
        opened(board, server, "/")
        expect(board.locator("article.card")).to_contain_text("montecarlo")
        page.bring_to_front()
        page.locator("#cancel").click()
        page.get_by_role("button", name="Cancel and keep partial results").click()
        expect(page.locator(".verdict")).to_contain_text("partial results kept")
        expect(page.locator(".figures")).to_contain_text("Deepest fall")
        first = page.url.rpartition("/")[2]
        opened(page, server, f"/new/montecarlo?from={first}")
        page.get_by_label("Paths").fill("1000")
        page.get_by_role("button", name="Run", exact=True).click()
        page.wait_for_url(lambda url: "/runs/" in url and first not in url)
        expect(page.locator(".verdict")).to_contain_text("Run succeeded, 1,000 paths", timeout=20_000)
        second = page.url.rpartition("/")[2]
        opened(page, server, f"/compare?run={first}&run={second}")
        expect(page.locator("table.compare")).to_contain_text("5 % end below")
        expect(page.locator("table.list").last).to_contain_text("paths")
