"""Models that a document asks: which versions they are, and how a run's process has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pitboss.core.errors import InvalidInput, NotFound, Problem
from pitboss.core.files import Files
from pitboss.learning.lineage import changes_of, check_range
from pitboss.learning.registry import FINAL, ModelVersion
from pitboss.strategy.document import Document

if TYPE_CHECKING:
    from pitboss.strategy.evaluate import Forecaster

_KEPT = ("since", "until", "timeframe", "features")


class Models(Protocol):
    """Somebody's models."""

    def find(self, reference: str) -> ModelVersion:
        """Answer the version that a name means. Raises NotFound."""


def fix_models(
    references: Collection[str], models: Models, seen: Mapping[str, Any], low: int | None, high: int | None
) -> dict[str, Any]:  # fmt: skip
    """Answer what a snapshot says of the models that expressions ask between two moments, microseconds: those that the
    run which is done again has `seen`; nothing where they ask none.

    Raises InvalidInput for each that is not there, has nothing to say then, or knows already what it is asked.
    """
    found, problems = {}, list[Problem]()
    for reference in sorted(references):
        try:
            described = seen.get("models", {}).get(reference) or _described(models.find(reference))
            check_range(reference.removesuffix(FINAL), described, low, high, reference.endswith(FINAL))
            found[reference] = described
        except NotFound as error:
            problems.append(Problem(error.message, error.remedy, where="strategy"))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return {"models": found} if found else {}


def _described(version: ModelVersion) -> dict[str, Any]:
    kept = {name: version.described[name] for name in _KEPT}
    return {"name": version.name, "version": version.version, "run": version.run, "digest": version.digest, **kept}


def check_features(document: Document, models: Models) -> None:
    """Raise InvalidInput where a document asks a model of its own name that has learned from other features than it
    says now."""
    if document.train is None:
        return
    for reference in sorted(document.models):
        if reference.removesuffix(FINAL).partition("@")[0] != document.name:
            continue
        try:
            version = models.find(reference)
        except NotFound:
            continue  # that is told where it is asked
        if changed := changes_of(document, version.described):
            what = f"{version.label} was trained on other features: {', '.join(changed)}"
            raise InvalidInput(what, "train it again, or name another version", "train.features")


def models_in(snapshot: Mapping[str, Any], files: Files) -> dict[str, Forecaster]:
    """Answer the models of a snapshot, by the names that expressions ask them by. Raises InvalidInput where a file is
    missing, damaged, or of another version."""
    from pitboss.learning.model import MANIFEST, digest_of, load_model  # with its libraries

    found: dict[str, Forecaster] = {}
    for reference, described in snapshot.get("models", {}).items():
        label = f"{described['name']}@{described['version']}"

        def fetch(name: str, run: str = described["run"], label: str = label) -> bytes:
            path = files.fetch(f"artifacts/{run}/{name}")
            if path is None:
                raise InvalidInput(f"{name} of the model {label} is gone", "train it again")
            return path.read_bytes()

        manifest = fetch(MANIFEST)
        if digest_of(manifest) != described["digest"]:
            raise InvalidInput(f"{MANIFEST} of the model {label} is damaged", "train it again, or put the file back")
        found[reference] = load_model(label, manifest, fetch, reference.endswith(FINAL))
    return found
