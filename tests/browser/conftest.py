"""A real Chromium, Debian's own, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from support.server import STRATEGY, Server, pitboss

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # not for the session: while it is open no other test of this process can have an event loop of its own
    program = shutil.which("chromium")
    if program is None and not os.environ.get("CI"):
        pytest.skip("chromium is not installed: apt-get install chromium libatomic1")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with bars and a strategy."""
    folder = tmp_path_factory.mktemp("desk")
    for symbol in ("SYN", "OTHER"):
        pitboss("data", "synth", "-s", symbol, "-t", "5m", "--days", 400, data_dir=folder)
    with Server(folder) as server:
        assert server.http.post("/strategies", json={"text": STRATEGY}).status_code == 201
        yield server


def address(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


@contextmanager
def watched(browser: Browser, **options) -> Iterator[BrowserContext]:
    """A browser whose pages fail the test when one complains, or asks anything of another host."""
    context = browser.new_context(**{"viewport": WIDE, "timezone_id": "America/New_York", **options})
    context.set_default_timeout(15_000)
    complaints: list[str] = []

    def listen(page: Page) -> None:
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))

    def asked(request) -> None:
        host = urlsplit(request.url).hostname
        if host not in ("127.0.0.1", None) and not request.url.startswith(("data:", "blob:")):
            complaints.append(request.url)

    context.on("page", listen)
    context.on("request", asked)
    context.complaints = complaints
    yield context
    context.close()
    assert not complaints


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    with watched(browser, color_scheme=request.param, viewport=NARROW) as context:
        yield context.new_page()
