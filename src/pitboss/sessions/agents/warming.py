"""Loads what agents that ask models need, and has it build all that it builds at its first use.

In the process that those of sessions are forked from: else each decision, which has a process of its own, would do it.
"""

from __future__ import annotations

from importlib.util import find_spec


def warm_up() -> None:
    """Decide once, by a model that is none; where the libraries are not installed nothing is done."""
    if find_spec("pydantic_ai") is None:
        return
    from pitboss.sessions.agents.llm import rehearse

    for provider in ("openai", "anthropic"):
        rehearse(provider)
