"""Identifiers: time-sortable, unique without coordination."""

from __future__ import annotations

import secrets

from uuid_utils import uuid7


def new_id() -> str:
    """Answer a new UUIDv7 as text: ids sort by the time they were made."""
    return str(uuid7())


def new_token() -> str:
    """Answer a new lease token: unguessable, never seen before."""
    return secrets.token_hex(16)
