"""Two accounts: whatever one sends, guessed or known, nothing of the other's comes back and nothing of it changes."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pitboss.api.access import ACCESS
from pitboss.bootstrap import Platform, open_platform
from pitboss.core.ids import new_id
from pitboss.core.principal import Principal, Rights
from pitboss.core.settings import load_settings
from pitboss.runs.model import Artifact, Limits, NewRun, RunQuery, Serves
from pitboss.runs.ports import Move, RunWrite
from pitboss.runs.sharing import Shared
from pitboss.runs.states import State
from pitboss.runs.submission import Submission
from pitboss.serving.app import create_app
from pitboss.storage.runs import SqlRunStore
from support.server import pitboss

PASSWORD = "correct horse battery"
MARK = "anns-own-words"  # stands within all that is Ann's
TEXT = f"name: trend\ntimeframe: 1h\ndescription: {MARK}\nentry: {{long: 'close > 1'}}\n"
ANN, EVE = Principal("ann", Rights.RUN), Principal("eve", Rights.RUN)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers")
    platform = open_platform(load_settings(data_dir=folder, min_free_disk_mb=0, max_queue_size=10_000))
    platform.accounts.begin("root", PASSWORD)
    for name in ("ann", "eve"):
        platform.accounts.add(platform.accounts.local(), name, PASSWORD, "trader")
    made = pitboss("data", "synth", "-s", "HERS", "-t", "1h", "--days", 5, data_dir=folder)
    assert made.returncode == 0, made.stderr
    (folder / "private").mkdir()
    (folder / "bars").rename(folder / "private" / "ann")
    key = platform.accounts.create_token(EVE, "eve's", "run", None)[1]
    app = create_app(platform, frozenset({"testserver"}))
    with TestClient(app) as http:
        yield platform, app, http, key, known_of(platform)
    platform.close()


def known_of(platform):
    """Make Ann's things; answer every name and number by which they could be asked for."""
    platform.strategies.add("ann", "trend", TEXT)
    params = {"strategy": "trend", "symbols": ["HERS"], "timeframe": "1h"}
    saved = platform.backtests.create(ANN, "hers", params)
    keyed = Submission(kind="backtest", params=params, tags=(MARK,), idempotency_key="hers")
    runs = [platform.service.submit(ANN, keyed), platform.backtests.run(ANN, saved.id), ended(platform)]
    token, key = platform.accounts.create_token(ANN, MARK, "run", None)
    platform.vault.put(ANN, "HER_KEY", MARK)
    share = platform.sharing.share(ANN, Shared("run", runs[0].id, "ann"), "zoe")
    cursors = [f"{run.last_seq}" for run in runs] + [".".join("0" for _ in runs)]
    return [*(run.id for run in runs), *(run.id[-12:] for run in runs), saved.id, "trend", "trend#1", "latest", "hers",
            "HERS", "1h", "HER_KEY", token.id, token.prefix, key[:20], share.id, "trades.parquet", "trades", MARK, "ann",
            "*", ",".join(run.id for run in runs), *cursors]  # fmt: skip


def ended(platform):
    """Answer a run with a result and an artifact."""
    store = SqlRunStore(platform.database)
    new = NewRun(id=new_id(), kind="sweep", subject="strategy/trend", owner="ann", params={"note": MARK}, snapshot={})
    store.submit(new, 1000)
    (claimed,) = store.claim("w", 60.0, Limits(9, {}, 9, 60.0), Serves(("sweep",), {"default": 1}))
    stored = platform.files.put(f"artifacts/{new.id}/trades.parquet", lambda path: path.write_text(MARK))
    saved = Artifact("trades.parquet", stored.name, stored.size, stored.digest)
    for number, to in enumerate((State.RUNNING, State.COMPLETING, State.COMPLETED), 1):
        is_last = to is State.COMPLETED
        move = Move(to, result={"note": MARK} if is_last else None)
        store.write([RunWrite(new.id, claimed.token, number, artifacts=[saved] if is_last else [], move=move)])
    return store.get(new.id)


def labels():
    document = create_app(Platform(None, None)).openapi()
    return [
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, described in methods.items()
        if ACCESS[described["operationId"]] is not None
    ]


def standing(platform):
    """Answer how Ann's things stand."""
    return (
        platform.service.find(ANN, RunQuery(limit=1000)),
        platform.strategies.all("ann"), platform.backtests.all(ANN), platform.accounts.tokens(ANN),
        platform.vault.all(ANN), [series.as_dict() for series in platform.catalog_of(ANN).all()],
    )  # fmt: skip


@pytest.mark.parametrize("label", labels())
def test_nothing_of_anothers_comes_back_and_nothing_changes(world, label):
    platform, app, http, key, known = world
    schema = schemathesis.openapi.from_dict(app.openapi())
    operation = next(found.ok() for found in schema.get_all_operations() if found.ok().label == label)
    before = standing(platform)

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(operation.as_strategy(), st.data())
    def check(case, data):
        chosen = st.sampled_from(known)
        places = {name: data.draw(chosen) for name in case.path_parameters or {}}
        path = case.path.format(**{name: str(value).replace("/", "%2F") for name, value in places.items()})
        asked = {name: data.draw(st.one_of(st.just(value), chosen)) for name, value in (case.query or {}).items()}
        for name in ("owner", "cursor", "after", "runs", "subject", "tag"):
            if data.draw(st.booleans()) and any(own.name == name for own in operation.query):
                asked[name] = data.draw(chosen)
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        if operation.method == "post":
            headers["Idempotency-Key"] = data.draw(st.sampled_from(["hers", "another"]))
        body = case.body if isinstance(case.body, dict) else {}
        sent = {"json": {**body, **({"with": "eve"} if "shares" in path else {})}} if operation.method != "get" else {}
        answer = http.request(operation.method, path, params=asked, headers=headers, **sent)
        assert answer.status_code < 500, answer.text
        told = answer.text
        for echoed in (*places.values(), *map(str, asked.values())):  # what Eve knows already
            told = told.replace(echoed, "")
        assert MARK not in told, (path, asked, answer.text)
        assert not answer.content.startswith(MARK.encode())

    check()
    assert standing(platform) == before
