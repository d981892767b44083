"""Databases on the PostgreSQL server of the tests."""

from __future__ import annotations

import uuid


def new_postgres_database(server: str) -> str:
    """Make an empty database on the server and answer its address."""
    import psycopg

    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    address, _, query = server.partition("?")
    return f"{address.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
