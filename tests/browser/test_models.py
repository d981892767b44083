"""Trainings and models in the desk: curves that move, a cancel that keeps the best, and what is promoted is asked."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from browser.conftest import address, watched
from browser.test_pages import AXE, NARROW, WIDE, WIDER
from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.frames import to_frame
from pitboss.market.store import BarStore, Nature
from support.engine import until
from support.learning import SMALL, swinging
from support.server import Server


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    store = BarStore(LocalFiles(folder))
    store.store(to_frame(swinging(4000)), "SWING", parse_timeframe("5m"), Nature("made up", session="24x7"))
    with Server(folder) as server:
        yield server


def trained(server, rounds=30):
    text = SMALL.replace("rounds: 30", f"rounds: {rounds}")
    params = {"strategy": text, "symbols": ["SWING"], "twin": False}
    return server.http.post("/runs", json={"kind": "training", "params": params}).json()["id"]


def test_a_training_is_watched_and_cancelled_and_its_best_is_promoted_and_asked(browser, desk):
    with watched(browser) as context:
        page = context.new_page()
        page.goto(address(desk, "/models"))
        expect(page.locator(".empty")).to_contain_text("No model yet")
        run = trained(desk, rounds=50_000)
        page.goto(address(desk, f"/runs/{run}"))
        expect(page.locator("#run-curve .uplot")).to_be_attached(timeout=20_000)
        expect(page.locator("#run-curve .u-legend")).to_contain_text("train loss")
        losses = "document.querySelector('#run-curve .canvas').lines.plot.data"
        before = page.evaluate(losses)
        until(lambda: page.evaluate(f"{losses}[0].at(-1)") > before[0][-1], 10, "it moves on")
        until(lambda: page.evaluate(f"{losses}[1].at(-1)") < before[1][-1], 10, "it moves down")
        assert all(value is not None for value in page.evaluate(f"{losses}.slice(1).map((each) => each.at(-1))"))
        expect(page.locator("#run-head")).to_contain_text("fold 1 of 3")
        page.get_by_role("link", name="Cancel").click()
        page.locator("#dialog").get_by_role("button", name="keep").first.click()
        expect(page.locator("#run-head")).to_contain_text("cancelled", timeout=10_000)

        page.goto(address(desk, "/models"))
        kept = page.locator('tr[data-version="small@1"]')
        expect(kept).to_contain_text("partial")
        kept.get_by_role("button", name="Promote").click()
        expect(page.locator(".said")).to_contain_text("small is version 1 from now on")
        expect(page.locator('tr[data-version="small@1"]')).to_contain_text("champion")

        desk.wait(trained(desk))
        page.goto(address(desk, "/models"))
        page.locator('tr[data-version="small@2"]').get_by_role("button", name="Promote").click()
        expect(page.locator('tr[data-version="small@2"]')).to_contain_text("champion")
        page.get_by_role("link", name="Backtest small@2").click()
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#run")).to_have_attribute("data-kind", "backtest")
        traded = desk.wait(page.locator("#run").get_attribute("data-run"))
        assert (traded["state"], traded["result"]["trades"] > 0) == ("completed", True), traded["error"]
        assert "small@2" in traded["params"]["strategy"]
        page.goto(address(desk, "/models"))
        for box in page.get_by_role("checkbox").all():
            box.check()
        page.get_by_role("button", name="Compare those chosen").click()
        expect(page.locator("main")).to_contain_text("Skill")


def test_a_training_shows_its_curves_folds_and_features(browser, desk):
    run = trained(desk, rounds=300)
    assert desk.wait(run)["state"] == "completed"
    with watched(browser) as context:
        page = context.new_page()
        page.goto(address(desk, f"/runs/{run}"))
        expect(page.locator("main")).to_contain_text("Skill")
        expect(page.locator("main")).to_contain_text("Told and come true")
        charts = page.locator("h2, h3, figcaption").all_inner_texts()
        assert any("Losses of fold 3" in each for each in charts), charts


def test_a_twin_whose_files_are_gone_leaves_the_equity_of_its_training(desk):
    params = {"strategy": SMALL, "symbols": ["SWING"]}
    run = desk.http.post("/runs", json={"kind": "training", "params": params}).json()["id"]
    desk.wait(run)
    (twin,) = desk.http.get(f"/operations/{run}/children").json()["data"]
    desk.wait(twin["operation_id"])
    chart = address(desk, f"/runs/{run}/charts/0")
    whole = desk.http.get(chart).json()["beside"]
    assert [len(curve["x"]) > 0 for curve in whole] == [True, True]
    (desk.data_dir / "artifacts" / twin["operation_id"] / "equity.parquet").unlink()
    left = desk.http.get(chart)
    assert left.status_code == 200, left.text
    assert [len(curve["x"]) > 0 for curve in left.json()["beside"]] == [True, False]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_models_has_no_serious_fault_for_those_who_cannot_see_it(browser, desk, scheme):
    desk.wait(trained(desk))
    for size in (NARROW, WIDE):
        with watched(browser, viewport=size, color_scheme=scheme) as context:
            page = context.new_page()
            page.goto(address(desk, "/models"))
            page.wait_for_load_state("networkidle")
            page.evaluate(AXE.read_text())
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, page.evaluate(WIDER)


def test_a_document_that_asks_a_model_is_previewed_with_it(browser, desk):
    desk.wait(trained(desk))
    text = (
        SMALL
        + "\nindicators: {rise: \"model('small').probability\"}\nentry: {long: rise > 0.5}\nexit: {long: rise < 0.5}\n"
    )
    asked = {"text": text, "symbol": "SWING"}
    told = desk.http.post(address(desk, "/strategies/preview"), data=asked).json()
    assert [line["name"] for line in told["lines"]] == ["rise"]
    assert len(told["trades"]["pnl"]) > 0
    unknown = {**asked, "text": text.replace("'small'", "'smal'")}
    said = desk.http.post(address(desk, "/strategies/preview"), data=unknown).json()
    assert "there is no model 'smal'" in said["message"]
