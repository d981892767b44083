"""Copies, backups and retention over both databases."""

from __future__ import annotations

import json
import tarfile

import pytest
import sqlalchemy as sa

from pitboss.core.errors import Conflict, InvalidInput, StorageUnavailable
from pitboss.core.files import LocalFiles, digest_of, digest_of_file
from pitboss.runs import events as ev
from pitboss.runs.model import Artifact, Checkpoint, Limits, NewRun, Serves
from pitboss.runs.ports import Move, RunWrite
from pitboss.runs.states import State
from pitboss.storage import transfer
from pitboss.storage.database import Database
from pitboss.storage.events import SqlEventLog
from pitboss.storage.inspection import broken_logs, stuck_runs
from pitboss.storage.migrate import bring_up_to_date
from pitboss.storage.pruning import Pruner
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.tables import checkpoints, run_events
from pitboss.storage.transfer import copy_database, damaged_files, restore_backup, write_backup

LIMITS = Limits(100, {}, 100, 60.0)


@pytest.fixture
def files(tmp_path):
    return LocalFiles(tmp_path / "files")


@pytest.fixture
def other(tmp_path, database, request):
    """An empty database of the other kind."""
    if database.is_sqlite:
        from support.postgres import new_postgres_database

        opened = Database(new_postgres_database(request.getfixturevalue("postgres_url")))
    else:
        opened = Database(f"sqlite:///{tmp_path / 'other.db'}")
    yield opened
    opened.close()


def progress(done, stage="s"):
    return ev.Progressed(stage=stage, done=done, total=100, updated_at="now", metrics={"x": 0.1 + 0.2})


def put(files, name, text):
    return files.put(name, lambda path: path.write_text(text))


def completed(database, files, number=1, progresses=5):
    """A completed run with an artifact and a few events."""
    store = SqlRunStore(database)
    run_id = f"run-{number}"
    store.submit(
        NewRun(
            id=run_id,
            kind="backtest",
            subject="strategy/ä",
            owner="local",
            params={"x": 1.5},
            snapshot={"s": [1, None]},
        ),
        1000,
    )
    (claim,) = store.claim("w", 60.0, LIMITS, Serves(("backtest",)))
    stored = put(files, f"artifacts/{run_id}/trades.parquet", f"trades of {number}")
    writes = [
        RunWrite(run_id, claim.token, 1, move=Move(State.RUNNING, pid=1)),
        RunWrite(run_id, claim.token, 2, [progress(i) for i in range(progresses)] + [progress(7, "t")],
                 artifacts=[Artifact("trades.parquet", stored.name, stored.size, stored.digest)]),
        RunWrite(run_id, claim.token, 3, move=Move(State.COMPLETING)),
        RunWrite(run_id, claim.token, 4, move=Move(State.COMPLETED, result={"sharpe": 1 / 3})),
    ]  # fmt: skip
    store.write(writes)
    return run_id


def test_a_copy_into_the_other_kind_of_database_is_equal_row_by_row(database, other, files):
    run_id = completed(database, files)
    counts = {count.table: count.rows for count in copy_database(database, other)}
    assert counts["runs"] == 1
    assert SqlRunStore(other).get(run_id) == SqlRunStore(database).get(run_id)
    assert SqlEventLog(other).read(run_id) == SqlEventLog(database).read(run_id)
    assert (
        SqlRunStore(other)
        .submit(NewRun(id="n", kind="backtest", subject="strategy/ä", owner="local", params={}, snapshot={}), 10)
        .number
        == 2
    )


def test_a_copy_into_a_database_that_is_not_empty_is_refused(database, other, files):
    completed(database, files)
    copy_database(database, other)
    with pytest.raises(Conflict, match="holds"):
        copy_database(database, other)


def test_a_copy_is_refused_while_runs_are_active(database, other):
    store = SqlRunStore(database)
    store.submit(NewRun(id="r", kind="backtest", subject="s", owner="local", params={}, snapshot={}), 10)
    store.claim("w", 60.0, LIMITS, Serves(("backtest",)))
    with pytest.raises(Conflict, match="drain"):
        copy_database(database, other)
    bring_up_to_date(other)
    assert SqlRunStore(other).get("r") is None


def test_a_backup_holds_everything_and_is_restored_into_the_other_kind(database, other, files, tmp_path):
    run_id = completed(database, files)
    put(files, "bars/X/5m.parquet", "bars")
    done = write_backup(database, files, tmp_path / "backup.tar")
    assert (done.files, done.missing) == (2, [])
    elsewhere = LocalFiles(tmp_path / "elsewhere")
    restored = restore_backup(tmp_path / "backup.tar", other, elsewhere)
    assert restored.missing == []
    assert restored.counts == done.counts
    assert SqlRunStore(other).get(run_id) == SqlRunStore(database).get(run_id)
    assert elsewhere.names("bars") == ["bars/X/5m.parquet"]
    assert elsewhere.fetch(f"artifacts/{run_id}/trades.parquet").read_text() == "trades of 1"


def test_a_backup_says_what_is_missing_and_what_is_damaged(database, other, files, tmp_path):
    one, two = completed(database, files, 1), completed(database, files, 2)
    files.remove(f"artifacts/{one}/trades.parquet")
    assert write_backup(database, files, tmp_path / "b.tar").missing == [f"artifacts/{one}/trades.parquet"]
    files.fetch(f"artifacts/{two}/trades.parquet").write_text("changed")
    assert damaged_files(database, files) == [f"artifacts/{n}/trades.parquet" for n in (one, two)]


def test_bars_that_are_imported_anew_during_a_backup_do_not_spoil_it(database, other, files, tmp_path, monkeypatch):
    completed(database, files)
    put(files, "bars/X/5m.parquet", "bars")

    def digested(file):
        digest = digest_of(file)
        put(files, "bars/X/5m.parquet", "other bars")
        return digest

    monkeypatch.setattr(transfer, "digest_of", digested)
    write_backup(database, files, tmp_path / "b.tar")
    elsewhere = LocalFiles(tmp_path / "elsewhere")
    restore_backup(tmp_path / "b.tar", other, elsewhere)
    assert elsewhere.fetch("bars/X/5m.parquet").read_text() in ("bars", "other bars")


def test_a_checkpoint_that_is_replaced_during_a_check_is_no_damage(database, files):
    store = SqlRunStore(database)
    stored = put(files, "checkpoints/run/1.1", "state")
    saved = Checkpoint(1, 1, stored.name, stored.size, stored.digest, {})
    store.submit(
        NewRun(id="run", kind="backtest", subject="s", owner="local", params={}, snapshot={}, checkpoints=(saved,)), 10
    )

    class Meanwhile(LocalFiles):
        def fetch(self, name):
            files.remove(name)
            with database.writing() as connection:
                connection.execute(sa.delete(checkpoints))
            return super().fetch(name)

    assert damaged_files(database, Meanwhile(files.root)) == []


def test_a_damaged_backup_is_refused_and_changes_nothing(database, other, files, tmp_path):
    completed(database, files)
    put(files, "bars/X/5m.parquet", "bars")
    write_backup(database, files, tmp_path / "b.tar")
    content = bytearray((tmp_path / "b.tar").read_bytes())
    at = content.index(b"trades of 1")
    content[at] ^= 1
    (tmp_path / "b.tar").write_bytes(content)
    elsewhere = LocalFiles(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match=r"damaged: artifacts/run-1/trades\.parquet"):
        restore_backup(tmp_path / "b.tar", other, elsewhere)
    assert elsewhere.names("bars") == []
    assert SqlRunStore(other).get("run-1") is None


def test_a_name_that_leads_outside_is_refused(files):
    for name in ("/etc/passwd", "../x", "artifacts/../../x", ""):
        with pytest.raises(InvalidInput):
            files.fetch(name)


def test_what_is_no_backup_is_refused_and_changes_nothing(other, tmp_path):
    elsewhere = LocalFiles(tmp_path / "elsewhere")
    bring_up_to_date(other)
    (tmp_path / "text").write_text("no tar")
    digest = digest_of_file(tmp_path / "text")
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {"pitboss.db": digest, "bars/../../evil": digest}}))
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.add(tmp_path / "text", "pitboss.db")
        archive.add(tmp_path / "text", "bars/../../evil")
        archive.add(tmp_path / "manifest.json", "manifest.json")
    for name in ("text", "absent", "evil.tar"):
        with pytest.raises((InvalidInput, StorageUnavailable)):
            restore_backup(tmp_path / name, other, elsewhere)
    assert not (tmp_path / "evil").exists()


def test_pruning_thins_progress_and_removes_files_but_keeps_runs(database, files):
    old, log = completed(database, files, progresses=400), SqlEventLog(database)
    put(files, "artifacts/nobody/x.parquet", "left by somebody who died")
    assert Pruner(database, files, age_seconds=3600.0).prune().events == 0
    assert SqlRunStore(database).artifacts(old)
    put(files, "artifacts/nobody/x.parquet", "left by somebody who died")
    pruned = Pruner(database, files, age_seconds=0.0).prune()
    assert (pruned.runs, pruned.events, pruned.files) == (1, 399, 2)
    kept = log.read(old)
    assert [event.type for event in kept] == ["queued", "claimed", "started", "progress", "progress", "completed"]
    assert SqlRunStore(database).get(old).result == {"sharpe": 1 / 3}
    assert files.names("artifacts") == []
    assert broken_logs(database, 3600.0) == stuck_runs(database, 15.0) == []


def test_pruning_keeps_a_checkpoint_that_another_run_goes_on_from(database, files):
    store = SqlRunStore(database)
    stored = put(files, "checkpoints/old/1.1", "state")
    saved = Checkpoint(1, 1, stored.name, stored.size, stored.digest, {})
    store.submit(
        NewRun(id="old", kind="backtest", subject="s", owner="local", params={}, snapshot={}, checkpoints=(saved,)), 10
    )
    store.request_cancel("old", True, "")
    store.submit(
        NewRun(id="new", kind="backtest", subject="s", owner="local", params={}, snapshot={}, checkpoints=(saved,)), 10
    )
    Pruner(database, files, age_seconds=0.0).prune()
    assert store.checkpoints("old") == []
    assert store.checkpoints("new") == [saved]
    assert files.fetch(saved.path).read_text() == "state"


def test_damage_is_found_and_named(database, files):
    run_id = completed(database, files)
    with database.writing() as connection:
        connection.execute(sa.delete(run_events).where(run_events.c.seq == 4))
    store = SqlRunStore(database)
    store.submit(NewRun(id="stuck", kind="backtest", subject="s", owner="local", params={}, snapshot={}), 10)
    store.claim("w", -100.0, LIMITS, Serves(("backtest",)))
    assert [damage.what for damage in broken_logs(database, 3600.0)] == [f"the log of run {run_id} has 9 of 10 events"]
    assert [damage.what for damage in stuck_runs(database, 15.0)] == ["run stuck is starting, but nobody holds it"]
