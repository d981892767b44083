"""Takes the pictures of the README: runs the demonstration in a folder of its own, and looks at four of its pages."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from pitboss.cli.demo import LARGE_GRID, STRATEGY, SYMBOLS  # noqa: E402
from support.server import Server, pitboss  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 800}
MISTAKEN = STRATEGY.replace("ema(close, fast_period)", "emma(close, fast_period)")


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        done = pitboss("demo", "--no-serve", data_dir=Path(folder))
        assert done.returncode == 0, done.stderr
        with Server(Path(folder)) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            context = browser.new_context(viewport=SIZE, color_scheme="light")
            page = context.new_page()
            for name, take in (("report", report), ("compare", compare), ("editor", editor), ("board", board)):
                take(page, server)
                page.screenshot(path=IMAGES / f"{name}.png")
            browser.close()


def address(server, path):
    return f"http://127.0.0.1:{server.port}{path}"


def completed(server, kind):
    return [run["id"] for run in server.http.get(f"/runs?kind={kind}&state=completed").json()["items"]]


def report(page, server):
    page.goto(address(server, f"/runs/{completed(server, 'backtest')[-1]}"))
    page.locator("#chart-0[data-ready]").wait_for()
    page.locator("#report-title").evaluate("each => scrollTo(0, each.getBoundingClientRect().top + scrollY - 60)")
    page.wait_for_load_state("networkidle")


def compare(page, server):
    runs = "&".join(f"run={run}" for run in completed(server, "backtest")[::-1])
    page.goto(address(server, f"/compare?{runs}"))
    page.locator("[data-ready]").wait_for()
    page.locator("#luck-title").evaluate("each => scrollTo(0, each.getBoundingClientRect().top + scrollY - 420)")


def editor(page, server):
    page.goto(address(server, "/strategies/_new"))
    text = page.locator(".editor-host").locator(".cm-content")
    page.locator("[data-ready]").wait_for()
    text.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(MISTAKEN)
    page.locator("#problems .error").wait_for()
    page.locator(".editor-host").locator(".cm-lintRange-error").hover()
    page.locator(".editor-host").locator(".cm-tooltip-lint").wait_for()


def board(page, server):
    grid = {"grid": LARGE_GRID, "strategy": STRATEGY}
    first = server.submit("sweep", symbols=list(SYMBOLS), **grid)["id"]
    server.submit("sweep", symbols=[SYMBOLS[1]], **grid)
    server.submit("backtest", symbols=[SYMBOLS[2]], strategy=STRATEGY)
    page.goto(address(server, "/"))
    page.locator(f"#card-{first} progress[value]").wait_for()
    page.wait_for_timeout(4_000)  # so that something is done, and time left is known


main()
