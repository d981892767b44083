"""Accounts, tokens and secrets of a server elsewhere; see `cli.desk`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pitboss.accounts.model import Account, Role, Scope, Token, checked_name
from pitboss.accounts.vault import Secret
from pitboss.client.client import Client
from pitboss.core.clock import from_iso
from pitboss.core.duration import duration_of
from pitboss.core.errors import NotFound
from pitboss.core.principal import Principal


class RemoteAccounts:
    """Accounts and tokens of a server; see `cli.desk.Accounts`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def all(self, _who: Principal) -> list[Account]:
        return [_account(told) for told in self._client.call("GET", "/users")]

    def add(self, _who: Principal, name: str, password: str, role: str) -> Account:
        return _account(self._client.call("POST", "/users", {"name": name, "password": password, "role": role}))

    def set_role(self, _who: Principal, name: str, role: str) -> Account:
        return self._change(name, role=role)

    def enable(self, _who: Principal, name: str) -> Account:
        return self._change(name, is_enabled=True)

    def disable(self, _who: Principal, name: str) -> Account:
        return self._change(name, is_enabled=False)

    def set_password(self, _who: Principal, name: str, password: str) -> Account:
        return self._change(name, password=password)

    def _change(self, name: str, **values: Any) -> Account:
        return _account(self._client.call("PATCH", f"/users/{checked_name(name)}", values))

    def remove(self, _who: Principal, name: str) -> None:
        self._client.call("DELETE", f"/users/{checked_name(name)}")

    def acting_for(self, _who: Principal, name: str | None) -> Principal:
        return Principal(name or "")

    def create_token(self, who: Principal, name: str, scope: str, lasts: float | None) -> tuple[Token, str]:
        expires = None if lasts is None else duration_of(lasts)
        asked = {"name": name, "scope": scope, "expires": expires, "account": who.name or None}
        told = self._client.call("POST", "/tokens", asked)
        return _token(told), told["token"]

    def tokens(self, who: Principal) -> list[Token]:
        return [_token(told) for told in self._client.call("GET", "/tokens", params=_of(who))]

    def revoke(self, who: Principal, reference: str) -> Token:
        named = [token for token in self.tokens(who) if reference in (token.id, token.prefix, token.name)]
        live = [token for token in named if token.revoked_at is None]
        if not live:
            raise NotFound(f"there is no token '{reference[:64]}'", "list the tokens to see which there are")
        self._client.call("DELETE", f"/tokens/{live[0].id}", params=_of(who))
        return live[0]

    def entries(self, _who: Principal, after: str, limit: int, of: str | None) -> list[dict[str, Any]]:
        asked = {"after": after, "limit": limit} | ({"of": of} if of else {})
        found: list[dict[str, Any]] = self._client.call("GET", "/audit", params=asked)
        return found


class RemoteSecrets:
    """Secrets of a server; see `cli.desk.Secrets`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, _who: Principal, name: str, value: str) -> Secret:
        return _secret(self._client.call("PUT", f"/secrets/{quote(name, safe='')}", {"value": value}))

    def all(self, _who: Principal) -> list[Secret]:
        return [_secret(told) for told in self._client.call("GET", "/secrets")]

    def remove(self, _who: Principal, name: str) -> None:
        self._client.call("DELETE", f"/secrets/{quote(name, safe='')}")


def _of(who: Principal) -> dict[str, str]:
    return {"account": who.name} if who.name else {}


def _account(told: Mapping[str, Any]) -> Account:
    return Account(
        name=told["name"], role=Role(told["role"]), is_enabled=told["is_enabled"], is_local=False,
        password="…" if told["has_password"] else "", created_at=from_iso(told["created_at"]) or 0.0,
    )  # fmt: skip


def _secret(told: Mapping[str, Any]) -> Secret:
    moments = {name: from_iso(told[name]) or 0.0 for name in ("created_at", "updated_at")}
    return Secret(name=told["name"], **moments)


def _token(told: Mapping[str, Any]) -> Token:
    moments = {name: from_iso(told[name]) for name in ("created_at", "expires_at", "used_at", "revoked_at")}
    plain = {name: told[name] for name in ("id", "account", "name", "prefix", "used_from")}
    return Token(**plain, **moments, scope=Scope(told["scope"]))  # type: ignore[arg-type]
