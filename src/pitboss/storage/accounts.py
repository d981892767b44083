"""Accounts, tokens, sessions and guesses over SQL. Every change stands in the audit, or is not made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.accounts.guessing import FORGOTTEN_SECONDS, Counter, Failures
from pitboss.accounts.model import Account, Role, Scope, Session, Token
from pitboss.accounts.ports import Entry, Known
from pitboss.accounts.service import IDLE_SECONDS
from pitboss.core.errors import Conflict, Duplicate
from pitboss.core.principal import LOCAL
from pitboss.storage.audit import note
from pitboss.storage.database import Database
from pitboss.storage.tables import OWNED, accounts, devices, guesses, sessions, tokens

_ACCOUNT = [column for column in accounts.c if column.name != "removed_at"]
_TOKEN = [column for column in tokens.c if column.name != "digest"]
_SESSION = [column for column in sessions.c if column.name != "digest"]
_THERE = accounts.c.removed_at.is_(None)


class SqlAccountStore:
    """Keeps accounts and what comes in their place."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def count(self) -> int:
        with self.database.reading() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(accounts)).scalar_one())

    def all(self) -> list[Account]:
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(*_ACCOUNT).where(_THERE).order_by(accounts.c.name))
            return [_account(row) for row in rows]

    def get(self, name: str) -> Account | None:
        return self._one(accounts.c.name == name)

    def local(self) -> Account | None:
        able = (accounts.c.role == Role.ADMINISTRATOR, accounts.c.is_enabled)
        return self._one(accounts.c.is_local, accounts.c.is_enabled) or self._one(*able)

    def heir(self) -> str | None:
        """Answer whose is what belonged to the local owner."""
        account = self._one(accounts.c.is_local)
        return account.name if account is not None else None

    def _one(self, *which: sa.ColumnElement[bool]) -> Account | None:
        """Answer the first account of some."""
        statement = sa.select(*_ACCOUNT).where(_THERE, *which).order_by(accounts.c.created_at)
        with self.database.reading() as connection:
            row = connection.execute(statement).first()
        return _account(row) if row is not None else None

    def add(self, name: str, role: Role, password: str, entry: Entry, adopts: bool = False) -> Account:
        """Add an account; one that `adopts` owns from now on what belonged to the local owner. Raises Conflict."""
        try:
            with self.database.writing() as connection:
                self.database.lock(connection, "accounts")
                made = Account(
                    name=name, role=role, is_enabled=True, is_local=adopts, password=password,
                    created_at=self.database.clock(connection),
                )  # fmt: skip
                connection.execute(sa.insert(accounts).values(**asdict(made)))
                if adopts:
                    _refuse_two(connection)
                    for table in OWNED:
                        own = table.c.owner == LOCAL.name
                        connection.execute(sa.update(table).where(own).values(owner=name))
                note(self.database, connection, entry)
        except Duplicate:
            what = f"there is or was an account '{name}'"
            raise Conflict(what, "choose another name: what bears it belongs to that one") from None
        return made

    def change(self, name: str, values: Mapping[str, Any], entry: Entry) -> Account | None:
        """Change an account; answers None where there is none. Raises Conflict where no administrator would be left."""
        with self.database.writing() as connection:
            self.database.lock(connection, "accounts")
            connection.execute(sa.update(accounts).where(accounts.c.name == name, _THERE).values(**values))
            _require_administrator(connection)
            note(self.database, connection, entry)
        return self.get(name)

    def set_password(self, name: str, password: str, *entries: Entry) -> Account | None:
        """Change a password and end the sessions of its account, together."""
        with self.database.writing() as connection:
            connection.execute(sa.update(accounts).where(accounts.c.name == name, _THERE).values(password=password))
            connection.execute(sa.delete(sessions).where(sessions.c.account == name))
            connection.execute(sa.delete(devices).where(devices.c.account == name))
            note(self.database, connection, *entries)
        return self.get(name)

    def remove(self, name: str, entry: Entry) -> bool:
        """Remove an account; what belonged to the local owner falls to the first administrator that is left."""
        with self.database.writing() as connection:
            was_local = connection.execute(sa.select(accounts.c.is_local).where(accounts.c.name == name)).scalar()
            gone = {
                "removed_at": self.database.clock(connection),
                "is_enabled": False,
                "password": "",
                "is_local": False,
            }
            done = connection.execute(sa.update(accounts).where(accounts.c.name == name, _THERE).values(**gone))
            if was_local:
                able = (accounts.c.role == Role.ADMINISTRATOR, accounts.c.is_enabled, _THERE)
                first = sa.select(accounts.c.name).where(*able).order_by(accounts.c.created_at).limit(1)
                heir = accounts.c.name == first.scalar_subquery()
                connection.execute(sa.update(accounts).where(heir).values(is_local=True))
            note(self.database, connection, entry)
        return bool(done.rowcount)

    def forget(self, name: str, keep_tokens: bool, entry: Entry) -> None:
        """End the sessions of an account, and unless they are kept its tokens."""
        with self.database.writing() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.account == name))
            connection.execute(sa.delete(devices).where(devices.c.account == name))
            if not keep_tokens:
                live = (tokens.c.account == name, tokens.c.revoked_at.is_(None))
                now = self.database.clock(connection)
                connection.execute(sa.update(tokens).where(*live).values(revoked_at=now))
            note(self.database, connection, entry)

    def known(self, of_tokens: Collection[str], of_sessions: Collection[str]) -> dict[str, Known]:
        """Answer whose the tokens and sessions with these digests are."""
        found: dict[str, Known] = {}
        with self.database.reading() as connection:
            for table, columns, digests in ((tokens, _TOKEN, of_tokens), (sessions, _SESSION, of_sessions)):
                if not digests:
                    continue
                named = [column.label(f"own_{column.name}") for column in columns]
                joined = table.join(accounts, (accounts.c.name == table.c.account) & _THERE)
                asked = sa.select(self.database.now().label("now"), table.c.digest, *_ACCOUNT, *named)
                for row in connection.execute(asked.select_from(joined).where(table.c.digest.in_(digests))):
                    own = {column.name: row._mapping[f"own_{column.name}"] for column in columns}
                    token = _token(own) if table is tokens else None
                    session = Session(**own) if table is sessions else None
                    found[row.digest] = Known(_account(row), token, session, row.now)
        return found

    def touch(self, used: Mapping[str, str]) -> None:
        """Note that keys were used now, each with the address that it came from."""
        with self.database.writing() as connection:
            now = self.database.clock(connection)
            for digest, address in used.items():
                named = {"used_at": now, "used_from": address[:64]}
                connection.execute(sa.update(tokens).where(tokens.c.digest == digest).values(**named))
                connection.execute(sa.update(sessions).where(sessions.c.digest == digest).values(used_at=now))

    def add_token(self, token: Token, digest: str, lasts: float | None, entry: Entry) -> Token:
        with self.database.writing() as connection:
            now = self.database.clock(connection)
            made = replace(token, created_at=now, expires_at=None if lasts is None else now + lasts)
            connection.execute(sa.insert(tokens).values(digest=digest, **asdict(made)))
            note(self.database, connection, entry)
        return made

    def tokens(self, account: str | None) -> list[Token]:
        """Answer the tokens of an account, or of all, newest first."""
        statement = sa.select(*_TOKEN).order_by(tokens.c.id.desc())
        if account is not None:
            statement = statement.where(tokens.c.account == account)
        with self.database.reading() as connection:
            return [_token(dict(row._mapping)) for row in connection.execute(statement)]

    def revoke(self, token_id: str, entry: Entry) -> bool:
        with self.database.writing() as connection:
            live = (tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
            now = self.database.clock(connection)
            done = connection.execute(sa.update(tokens).where(*live).values(revoked_at=now))
            note(self.database, connection, entry)
        return bool(done.rowcount)

    def add_session(self, session: Session, digest: str, password: str, entry: Entry) -> bool:
        """Add a session, unless the account was disabled, or the password that opened it changed, meanwhile; those
        that have ended go."""
        holds = (accounts.c.name == session.account, accounts.c.password == password, accounts.c.is_enabled, _THERE)
        with self.database.writing() as connection:
            if connection.execute(sa.select(accounts.c.name).where(*holds).with_for_update()).first() is None:
                return False
            now = self.database.clock(connection)
            made = replace(session, created_at=now, used_at=now)
            connection.execute(sa.delete(sessions).where(sessions.c.used_at < now - IDLE_SECONDS))
            connection.execute(sa.insert(sessions).values(digest=digest, **asdict(made)))
            note(self.database, connection, entry)
        return True

    def end_session(self, digest: str, entry: Entry) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.digest == digest))
            note(self.database, connection, entry)

    def add_device(self, digest: str, account: str) -> None:
        with self.database.writing() as connection:
            values = {"digest": digest, "account": account, "created_at": self.database.clock(connection)}
            connection.execute(sa.insert(devices).values(**values))

    def knows_device(self, digest: str, account: str) -> bool:
        which = (devices.c.digest == digest, devices.c.account == account)
        with self.database.reading() as connection:
            return connection.execute(sa.select(devices.c.digest).where(*which)).first() is not None

    def begin_guess(self, counters: Sequence[Counter]) -> float:
        """Count a guess as a wrong one and answer 0, or count nothing and answer for how many seconds none is tried."""
        with self.database.reading() as connection:
            wait = _wait(_failures(connection, counters), self.database.clock(connection))
        if wait > 0:
            return wait
        with self.database.writing() as connection:
            for counter in counters:
                self.database.lock(connection, f"guess {counter.key}")
            now = self.database.clock(connection)
            before = _failures(connection, counters)
            wait = _wait(before, now)  # another may have come first
            if wait <= 0:
                connection.execute(sa.delete(guesses).where(guesses.c.last_at < now - FORGOTTEN_SECONDS))
                for counter in counters:
                    after = before[counter.key].after_another(counter.free, now)
                    connection.execute(sa.delete(guesses).where(guesses.c.key == counter.key))
                    connection.execute(sa.insert(guesses).values(key=counter.key, **asdict(after)))
        return wait

    def forgive(self, counters: Sequence[Counter]) -> None:
        """Take back the guess that was right: the first counter forgets all, the others one."""
        first, *others = counters
        with self.database.writing() as connection:
            connection.execute(sa.delete(guesses).where(guesses.c.key == first.key))
            for counter in others:
                one_less = {"count": guesses.c.count - 1, "until": 0.0}
                connection.execute(sa.update(guesses).where(guesses.c.key == counter.key).values(**one_less))


def _refuse_two(connection: Connection) -> None:
    if connection.execute(sa.select(sa.func.count()).where(accounts.c.is_local)).scalar_one() > 1:
        raise Conflict("somebody works on this machine already", "an administrator adds accounts: pitboss users add")


def _require_administrator(connection: Connection) -> None:
    able = (accounts.c.role == Role.ADMINISTRATOR, accounts.c.is_enabled, _THERE)
    if not connection.execute(sa.select(sa.func.count()).select_from(accounts).where(*able)).scalar_one():
        raise Conflict(
            "that is the last administrator", "make another one first: pitboss users role NAME administrator"
        )


def _failures(connection: Connection, counters: Sequence[Counter]) -> dict[str, Failures]:
    keys = [counter.key for counter in counters]
    rows = connection.execute(sa.select(guesses).where(guesses.c.key.in_(keys)))
    found = {row.key: Failures(row._mapping["count"], row.last_at, row.until) for row in rows}
    return {key: found.get(key, Failures()) for key in keys}


def _wait(failures: Mapping[str, Failures], now: float) -> float:
    return max(0.0, *(failure.until - now for failure in failures.values()))


def _account(row: Any) -> Account:
    named = {column.name: getattr(row, column.name) for column in _ACCOUNT}
    return Account(**named | {"role": Role(row.role)})


def _token(named: Mapping[str, Any]) -> Token:
    return Token(**dict(named) | {"scope": Scope(named["scope"])})
