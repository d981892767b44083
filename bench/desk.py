"""The desk in a real Chromium: first paint, weight, frames while a large chart moves, and two hundred who look on."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from playwright.sync_api import sync_playwright
from table import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from pitboss.bootstrap import open_platform
from pitboss.core.files import open_files
from pitboss.core.ids import new_id
from pitboss.core.settings import load_settings
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.store import BarStore, Nature
from pitboss.market.synth import synthesize
from pitboss.storage.tables import runs
from support.server import STRATEGY, Server

JSON = {"Accept": "application/json"}
VIEWERS, HISTORY, TABS, TIMES = 200, 100_000, 20, 7
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
WEIGHT = """performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .reduce((sum, each) => sum + (each.decodedBodySize || 0), 0)"""
FRAMES = """async canvas => {
    const box = canvas.getBoundingClientRect();
    const [left, y] = [box.left + 600, box.top + 100];
    const mouse = (type, x) => canvas.dispatchEvent(new MouseEvent(type, {bubbles: true, clientX: x, clientY: y}));
    const where = {bubbles: true, cancelable: true, clientX: left, clientY: y};
    const wheel = deltaY => canvas.dispatchEvent(new WheelEvent('wheel', {...where, deltaY}));
    const times = [];
    const end = performance.now() + 6000;
    mouse('mousedown', left);
    for (let step = 1; performance.now() < end; step += 1) {
        times.push(await new Promise(requestAnimationFrame));
        wheel(step % 120 < 60 ? -40 : 40);
        mouse('mousemove', left + 200 * Math.sin(step / 15));
    }
    mouse('mouseup', left);
    return times.slice(1).map((time, index) => time - times[index]);
}"""
FLAGS = ["--no-sandbox", "--disable-gpu"]
SCREEN = 59  # frames that a screen of 60 Hz shows in a second, as it is measured
GRID = {"fast_period": {"low": 5, "high": 99, "step": 1}, "slow_period": {"low": 100, "high": 400, "step": 1}}


def rows():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        data = Path(folder)
        timeframe = parse_timeframe("1m")
        frame = synthesize(timeframe, datetime(2022, 1, 1, tzinfo=UTC), 500, 1)
        BarStore(open_files(data, "")).store(frame, "SYN", timeframe, Nature("synthetic", is_synthetic=True))
        with Server(data) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
            )
            yield from painted(browser, server)
            yield from moved(browser, server)
            yield from looked_on(server)
            fill(data)
            yield Row(f"board over {HISTORY:,} runs, first paint", paint(browser, server, "/"), "ms", 300, "limit")
            browser.close()


def paint(browser, server, path):
    """Answer the median of first paints, each in a fresh tab of a browser that has the styles."""
    found = []
    with browser.new_context() as context:
        for _ in range(TIMES + 1):
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{server.port}{path}")
            page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
            found.append(page.evaluate(PAINT))
            page.close()
    return statistics.median(found[1:])


def painted(browser, server):
    run = server.submit("backtest", timeframe="1m")["id"]
    server.wait(run)
    for path, what in (("/", "board"), ("/new/backtest", "form"), (f"/runs/{run}", "run")):
        yield Row(f"{what}, first paint", paint(browser, server, path), "ms", 200, "limit")
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/", wait_until="networkidle")
        yield Row("board: what it loads, unpacked", page.evaluate(WEIGHT) / 1024, "KB", 120, "limit")
        for _ in range(TABS):
            context.new_page().goto(f"http://127.0.0.1:{server.port}/")
        page.bring_to_front()
        took = []
        for path in ("/library", "/strategies", "/data", "/queue", "/settings", "/runs", "/"):
            page.goto(f"http://127.0.0.1:{server.port}{path}")
            page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
            took.append(page.evaluate(PAINT))
        yield Row(f"to another page, {TABS} tabs open", statistics.median(took), "ms", 200, "limit")


def moved(browser, server):
    """Frames while a chart of half a million bars and fifty thousand trades is panned and zoomed at once."""
    text = (
        STRATEGY.replace("timeframe: 5m", "timeframe: 1m")
        .replace("default: 12", "default: 2")
        .replace("default: 48", "default: 5")
    )
    run = server.submit("backtest", strategy=text, timeframe="1m")["id"]
    trades = server.wait(run)["result"]["trades"]
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/runs/{run}")
        page.locator("figure.candles").scroll_into_view_if_needed()
        page.wait_for_selector("figure.candles[data-ready]", timeout=30_000)
        bars = page.evaluate("document.querySelector('figure.candles').chart.data.rows")
        took = sorted(page.locator("figure.candles canvas").first.evaluate(FRAMES))
    what = f"chart of {bars:,} bars and {trades:,} trades, panned and zoomed"
    yield Row(
        f"{what}: frames a second, median", 1000 / statistics.median(took), "/s", 60, "limit", more_is_better=True
    )
    yield Row(f"{what}: slowest of 100 frames", took[int(len(took) * 0.99)], "ms", 50, "limit")


def looked_on(server):
    """Two hundred streams of one run: how late its events are, and what the server holds."""
    run = server.submit("sweep", timeframe="1m", grid=GRID)["id"]
    code = f"import desk; desk.look({server.port}, {run!r}, {VIEWERS}, 12.0)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    memory = server.memory() / 2**20
    server.http.post(f"/runs/{run}/cancel", json={"keep_partial": False})
    written = {}
    after = 0
    while page := server.http.get(
        f"/runs/{run}/events?after={after}&limit=1000", headers={"Accept": "application/json"}
    ).json()["events"]:
        written |= {event["seq"]: datetime.fromisoformat(event["ts"]).timestamp() for event in page}
        after = page[-1]["seq"]
    late = sorted(at - written[seq] for seq, at in json.loads(done.stdout) if seq in written)
    yield Row(f"{VIEWERS} look at one run: event to page, p99", 1000 * late[int(len(late) * 0.99)], "ms", 500, "limit")
    yield Row("the same, median", 1000 * statistics.median(late), "ms", 500, "limit")
    yield Row("the same: memory of the server", memory, "MB", 300, "limit")


def look(port, run, viewers, seconds):
    """Read so many streams, and print when each position came."""
    import http.client

    heard, end = [], time.monotonic() + seconds

    def read():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", f"/live?topics=run:{run}@0", headers={"Accept": "text/event-stream"})
        answer, is_first = connection.getresponse(), True
        while time.monotonic() < end:
            line = answer.readline()
            if line.startswith(b"id:"):
                if not is_first:
                    heard.append((int(line.rpartition(b"@")[2]), time.time()))
                is_first = False

    threads = [threading.Thread(target=read, daemon=True) for _ in range(viewers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 5)
    print(json.dumps(heard))


def fill(data):
    """Put many runs that have ended into the history."""
    platform = open_platform(load_settings(data_dir=data))
    with platform.database.writing() as connection:
        row = dict(connection.execute(sa.select(runs).where(runs.c.state == "completed").limit(1)).one()._mapping)
        last = connection.execute(sa.select(sa.func.max(runs.c.serial))).scalar_one()
        for start in range(0, HISTORY, 5_000):
            new = [
                row | {"id": new_id(), "serial": last + 1 + at, "number": 1000 + at}
                for at in range(start, start + 5_000)
            ]
            connection.execute(sa.insert(runs), new)
    platform.close()
