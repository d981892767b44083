"""What strategies and screens have in common over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pitboss.core.clock import to_iso
from pitboss.core.errors import Problem


def described(stored: Any) -> dict[str, Any]:
    """Answer a version of a document."""
    return {
        "name": stored.name,
        "version": stored.version,
        "digest": stored.digest,
        "created_at": to_iso(stored.created_at),
        "text": stored.text,
    }


def validated(document: Any, problems: Sequence[Problem]) -> dict[str, Any]:
    """Answer what is wrong with a document."""
    return {
        "valid": not problems,
        "name": document.name if document else None,
        "errors": [problem.as_dict() for problem in problems],
    }
