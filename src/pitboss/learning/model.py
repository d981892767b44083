"""A model as a version of it is kept: a manifest, and the file of each fold's model and of the last one.

The manifest says from when on each of them existed: whoever asks at a bar is answered by the one that existed then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pitboss.core.errors import InvalidInput
from pitboss.learning.learner import Fitted, Task, learner_of
from pitboss.learning.lineage import compiled_features
from pitboss.learning.samples import F64, features_of
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.expression import Node
from pitboss.strategy.reader import read_document
from pitboss.strategy.training import Chosen

FORMAT = 1
MANIFEST = "model.json"
Fetch = Callable[[str], bytes]


def digest_of(content: bytes) -> str:
    """Answer what tells a file from another (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def encoded(manifest: Mapping[str, Any]) -> bytes:
    """Answer the file of a manifest: the same one gives the same bytes."""
    return (json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


@dataclass(frozen=True)
class Piece:
    """One model of a version, and from when on it existed: microseconds since 1970."""

    since: int
    fitted: Fitted
    number: int  # of its fold, 0 for the one that was made of everything


@dataclass(frozen=True)
class Model:
    """A version of a model, as expressions ask it. `pieces` are in order of when they came to exist."""

    name: str
    manifest: Mapping[str, Any]
    features: Mapping[str, Node]
    pieces: Sequence[Piece]

    @property
    def is_class(self) -> bool:
        return bool(self.manifest["is_class"])

    def line(self, scope: Scope, line: str) -> F64:
        """Answer one of MODEL_LINES at each bar of a scope; NaN before the first of its models existed. Raises
        InvalidInput for bars of another length, and for a probability of what is a number."""
        if str(scope.timeframe) != self.manifest["timeframe"]:
            what = f"the model '{self.name}' is of {self.manifest['timeframe']} bars, and is asked on {scope.timeframe}"
            raise InvalidInput(what, f'write on("{self.manifest["timeframe"]}", model(…).{line})', "strategy")
        if line == "probability" and not self.is_class:
            what = f"the model '{self.name}' predicts a number: it has no probability"
            raise InvalidInput(what, "write .prediction", "strategy")
        x = features_of(self.features, scope)
        if line == "uncertainty":
            return self._disagreement(x, scope)
        found = self.predict(x, scope.ends)
        return np.where(np.isnan(found), np.nan, found >= 0.5) if line == "prediction" and self.is_class else found

    def predict(self, x: F64, at: Any) -> F64:
        """Answer what the version said of each row of one symbol when it was known.

        x: (N, F) features; at: (N,) when they are known, microseconds since 1970, ascending.
        """
        out = np.full(len(x), np.nan)
        borders = [*(int(np.searchsorted(at, piece.since)) for piece in self.pieces), len(x)]
        for piece, first, last in zip(self.pieces, borders[:-1], borders[1:], strict=True):
            if last > first:
                out[first:last] = _said(piece.fitted, x, first, last)
        return out

    def _disagreement(self, x: F64, scope: Scope) -> F64:
        """Answer the standard deviation of what all models say that existed at a bar; NaN where fewer than two did."""
        said = np.full((len(self.pieces), len(x)), np.nan)
        for row, piece in enumerate(self.pieces):
            first = int(np.searchsorted(scope.ends, piece.since))
            said[row, first:] = _said(piece.fitted, x, first, len(x))
        counts = (~np.isnan(said)).sum(axis=0)
        spread = np.full(len(x), np.nan)
        spread[counts > 1] = np.nanstd(said[:, counts > 1], axis=0)
        return spread


def _said(fitted: Fitted, x: F64, first: int, last: int) -> F64:
    if first >= last:
        return np.empty(0)
    begin = max(0, first - fitted.window + 1)
    return fitted.predict(x[begin:last], np.zeros(last - begin, np.int64))[first - begin :]


def task_of(manifest: Mapping[str, Any], threads: int = 1) -> Task:
    """Answer what the learner of a manifest was made for."""
    return Task(
        chosen=Chosen(**manifest["model"]), names=tuple(manifest["features"]), is_class=manifest["is_class"],
        seed=manifest["seed"], threads=threads,
    )  # fmt: skip


def load_model(name: str, content: bytes, fetch: Fetch, is_final: bool = False) -> Model:
    """Answer a version by its manifest; `fetch` answers its other files by their names, whole.

    `is_final` asks the one that was made of everything alone. Raises InvalidInput for files that are damaged, of
    another version of pitboss, or of a library that is not there.
    """
    manifest = json.loads(content)
    if manifest.get("format") != FORMAT:
        what = f"the model '{name}' is of format {manifest.get('format')}, this pitboss reads {FORMAT}"
        raise InvalidInput(what, "train it again")
    document = read_document(manifest["text"])
    features = compiled_features(document, manifest["parameters"])
    learner = learner_of(task_of(manifest))
    kept = [each for each in manifest["models"] if each["number"] == 0] if is_final else manifest["models"]
    pieces = []
    for each in kept:
        found = fetch(each["file"])
        if digest_of(found) != each["digest"]:
            what = f"{each['file']} of the model '{name}' is damaged"
            raise InvalidInput(what, "train it again, or put the file back")
        pieces.append(Piece(each["since"], learner.read(found), each["number"]))
    pieces.sort(key=lambda piece: piece.since)
    return Model(name, manifest, features, pieces)
