"""The documentation of the API, and what is meant for programs, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from support.server import Server


def opened(page: Page, server: Server, path: str) -> Page:
    answer = page.goto(f"http://127.0.0.1:{server.port}{path}")
    assert answer is not None
    assert answer.status == 200
    return page


def test_the_documentation_shows_every_operation_and_can_be_tried(page, server):
    opened(page, server, "/docs")
    expect(page.get_by_role("heading", name="pitboss")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("Unable to render")).to_have_count(0)
    shown = page.locator(".opblock")
    document = server.http.get(f"http://127.0.0.1:{server.port}/openapi.json").json()
    expect(shown).to_have_count(sum(len(methods) for methods in document["paths"].values()))
    page.locator("#operations-system-system_healthz, [id$=healthz]").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table").get_by_text('"ok"')).to_be_visible(timeout=10_000)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/v1/queue", "/metrics"])
def test_what_is_meant_for_programs_opens_in_a_browser_too(page, server, path):
    opened(page, server, path)
    assert page.locator("body").inner_text().strip()
