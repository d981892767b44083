"""Strategy versions and saved backtests over every adapter, and the schema against its migrations."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from pitboss.core.errors import Conflict, NotFound, SchemaMismatch
from pitboss.storage import migrate
from pitboss.storage.documents import BacktestShelf, DocumentShelf
from pitboss.storage.tables import metadata, screens, strategies


@pytest.mark.parametrize("table", [strategies, screens])
def test_every_version_of_a_document_is_kept(database, table):
    shelf = DocumentShelf(database, table, "document")
    assert [shelf.add("local", "a", text).version for text in ("one", "one", "two", "one")] == [1, 1, 2, 3]
    assert shelf.get("local", "a").text == "one"
    assert shelf.get("local", "a", 2).text == "two"
    assert [s.version for s in shelf.versions("local", "a")] == [1, 2, 3]
    shelf.add("local", "b", "x")
    assert [(s.name, s.version) for s in shelf.all("local")] == [("a", 3), ("b", 1)]
    for ask in (
        lambda: shelf.get("local", "c"),
        lambda: shelf.get("local", "a", 9),
        lambda: shelf.versions("local", "c"),
    ):
        with pytest.raises(NotFound):
            ask()


def test_saved_backtests_are_created_changed_and_deleted(database):
    shelf = BacktestShelf(database)
    one, two = shelf.create("local", "one", {"a": 1}), shelf.create("local", "two", {})
    with pytest.raises(Conflict):
        shelf.create("local", "one", {})
    with pytest.raises(Conflict):
        shelf.change("local", two.id, "one", {})
    assert shelf.change("local", one.id, "uno", {"a": 2}).params == {"a": 2}
    assert [s.name for s in shelf.all("local")] == ["two", "uno"]
    shelf.delete("local", one.id)
    for ask in (
        lambda: shelf.get("local", one.id),
        lambda: shelf.delete("local", one.id),
        lambda: shelf.change("local", one.id, "x", {}),
    ):
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
