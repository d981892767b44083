"""Strategy versions and saved backtests over every adapter, and the schema against its migrations."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from pitboss.core.errors import Conflict, NotFound, SchemaMismatch
from pitboss.storage import migrate
from pitboss.storage.documents import BacktestShelf, StrategyShelf
from pitboss.storage.tables import metadata


def test_every_version_of_a_strategy_is_kept(database):
    shelf = StrategyShelf(database)
    assert [shelf.add("a", text, "local").version for text in ("one", "one", "two", "one")] == [1, 1, 2, 3]
    assert shelf.get("a").text == "one"
    assert shelf.get("a", 2).text == "two"
    assert [s.version for s in shelf.versions("a")] == [1, 2, 3]
    shelf.add("b", "x", "local")
    assert [(s.name, s.version) for s in shelf.list()] == [("a", 3), ("b", 1)]
    for ask in (lambda: shelf.get("c"), lambda: shelf.get("a", 9), lambda: shelf.versions("c")):
        with pytest.raises(NotFound):
            ask()


def test_saved_backtests_are_created_changed_and_deleted(database):
    shelf = BacktestShelf(database)
    one, two = shelf.create("one", {"a": 1}, "local"), shelf.create("two", {}, "local")
    with pytest.raises(Conflict):
        shelf.create("one", {}, "local")
    with pytest.raises(Conflict):
        shelf.change(two.id, "one", {})
    assert shelf.change(one.id, "uno", {"a": 2}).params == {"a": 2}
    assert [s.name for s in shelf.list()] == ["two", "uno"]
    shelf.delete(one.id)
    for ask in (lambda: shelf.get(one.id), lambda: shelf.delete(one.id), lambda: shelf.change(one.id, "x", {})):
        with pytest.raises(NotFound):
            ask()


def test_the_migrations_make_exactly_the_schema(database):
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_program_knows_its_migrations():
    scripts = ScriptDirectory(str(migrate.Path(migrate.__file__).parent / "migrations"))
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(revisions)) == migrate.KNOWN
    assert scripts.get_current_head() == migrate.HEAD


def test_a_newer_database_is_refused_and_left_alone(database):
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match="newer"):
        migrate.bring_up_to_date(database)
    assert migrate.schema_version(database) == "9999"
