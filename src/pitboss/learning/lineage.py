"""Where a version of a model comes from: what it was trained on, and from when on it may be asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput
from pitboss.strategy.binding import bind
from pitboss.strategy.document import Document
from pitboss.strategy.expression import Node
from pitboss.strategy.reader import read_document
from pitboss.strategy.training import MODELS

_RULES = (("entry", ">"), ("exit", "<"))


def missing(learner: str) -> InvalidInput:
    """Answer the mistake of a learner whose library is not there."""
    library, extra = MODELS[learner].library
    what = f"{learner} needs {library}, which is not installed here"
    return InvalidInput(what, f"pip install 'pitboss[{extra}]'", "train.model.type")


def compiled_features(document: Document, parameters: Mapping[str, Any]) -> dict[str, Node]:
    """Answer the features of a document, bound."""
    assert document.train is not None
    values = document.check(parameters)
    return {name: bind(node, values, document.indicators) for name, node in document.train.features.items()}


def changes_of(document: Document, described: Mapping[str, Any]) -> list[str]:
    """Say in words how the features of a document differ from those that a version of its model was trained on."""
    assert document.train is not None
    now = compiled_features(document, {})
    then = compiled_features(read_document(described["text"]), described["parameters"])
    return [
        *(f"'{name}' was left out" for name in then if name not in now),
        *(f"'{name}' was added" for name in now if name not in then),
        *(f"'{name}' was changed" for name in now if name in then and now[name] != then[name]),
    ]  # fmt: skip


def trading_text(label: str, described: Mapping[str, Any]) -> str:
    """Answer a document that trades a version, `name@3`: by the rules of its own document where that has some, which
    then ask this version, else long while it expects a rise."""
    name, text = label.partition("@")[0], described["text"]
    if read_document(text).has_entry:
        return re.sub(rf"""(\bmodel\(\s*['"]){re.escape(name)}(@[\w-]+)?(?=['"!])""", rf"\g<1>{label}", text)
    line, middle = ("probability", 0.5) if described["is_class"] else ("prediction", 0)
    rules = [f"""{rule}: {{long: "model('{label}').{line} {sign} {middle}"}}""" for rule, sign in _RULES]
    return "\n".join([text.rstrip(), *rules, ""])


def check_range(name: str, described: Mapping[str, Any], first: int | None, last: int | None, is_final: bool) -> None:
    """Raise InvalidInput where a version has nothing to say out of sample between two moments, microseconds: before its
    first model existed, or where its final one is asked within what that was made of."""
    since = described["until"] if is_final else described["since"]
    if is_final and first is not None and first < since:
        what = f"the final model of '{name}' was made of bars up to {micros_to_iso(since)}: it knows what comes"
        raise InvalidInput(what, f"start at {micros_to_iso(since)[:10]}, or ask '{name}' without !final", "start")
    if last is not None and last <= since:
        what = f"the first model of '{name}' existed at {micros_to_iso(since)}: it has nothing to say before"
        raise InvalidInput(what, f"end after {micros_to_iso(since)[:10]}", "end")
