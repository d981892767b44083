"""What a training is asked to do: checked before it is queued, fixed in a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pitboss.core.errors import InvalidInput
from pitboss.kinds.documents.params import DocumentParams
from pitboss.kinds.documents.prepare import (
    Request,
    Sources,
    bars_of,
    digest_of,
    fix_sources,
    identity_of,
    read_request,
    versions,
)
from pitboss.kinds.training.params import TrainingParams
from pitboss.learning.lineage import missing
from pitboss.runs.kinds import Prepared
from pitboss.runs.model import Run
from pitboss.runs.states import State
from pitboss.runs.submission import Submission
from pitboss.strategy.document import Document
from pitboss.strategy.reference import StrategyRef
from pitboss.strategy.training import MODELS, Chosen, Training, compile_training

TWIN = "twin"  # the tag of a run that is beside another


@dataclass(frozen=True, kw_only=True)
class Taught:
    """A checked request: what is learned, on which bars."""

    request: Request
    training: Training


def read_training(params: TrainingParams, text: str) -> Taught:
    """Check params against the text of a document. Raises InvalidInput with every mistake."""
    traded = DocumentParams.model_construct(
        **{name: getattr(params, name) for name in ("symbols", "timeframe", "start", "end", "parameters")}
    )
    request = read_request(traded, text, _taught, trades=False)
    assert request.document.train is not None
    values = request.program.values
    return Taught(
        request=request, training=compile_training(request.document.train, values, request.document.indicators)
    )


def _taught(document: Document) -> dict[str, float]:
    if document.train is None:
        what = f"strategy '{document.name}' has no 'train' section"
        raise InvalidInput(what, "say what is learned: train: {features: …, label: …}", "strategy")
    return {"features": len(document.train.features), "steps": steps_of(document.train.model)}


def steps_of(model: Chosen) -> float:
    """Answer how many steps a learner takes at the most."""
    named = ("rounds", "iterations", "trees", "epochs")
    return next(model.numbers[name] for name in named if name in model.numbers)


def prepare(params: TrainingParams, sources: Sources) -> Prepared:
    """Check a training and fix its sources. Raises InvalidInput with every mistake."""
    taught = read_training(params, StrategyRef.remote(params.strategy).text(sources.strategies))
    libraries = _libraries(taught.training.model.type)
    request = taught.request
    snapshot = fix_sources(request, sources.bars, sources.seen) | {
        "seed": seed_of(taught), "asked": asked_of(taught, params), "libraries": libraries,
    }  # fmt: skip
    subject = f"strategy/{request.document.name}"
    tried = _tried(sources, subject, snapshot["asked"])
    work = {"bars": bars_of(request, snapshot), **request.work}
    return Prepared(
        subject, snapshot | {"work": work, "tried": tried}, training_identity(snapshot), work, tuple(_cautions(tried))
    )


def training_identity(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """Answer what decides a training: only the folds of one of the same may be gone on from."""
    return {**identity_of(snapshot), **snapshot["libraries"], "what is learned": snapshot["asked"]["all"]}


def _libraries(kind: str) -> dict[str, str]:
    """Answer the version of what a learner is made by. Raises InvalidInput where it is not installed."""
    library, _ = MODELS[kind].library
    try:
        return {library: version(library)}
    except PackageNotFoundError:
        raise missing(kind) from None


def seed_of(taught: Taught) -> int:
    """Answer the seed of a training: its document's, else one that its text decides."""
    if taught.training.seed is not None:
        return taught.training.seed
    return int(digest_of(taught.request.document.text)[:7], 16)


def asked_of(taught: Taught, params: TrainingParams) -> dict[str, str]:
    """Answer digests of what is asked: of the label and the bars, which trainings may be compared by, and of all."""
    request, training = taught.request, taught.training
    bars = repr((sorted(request.symbols), str(request.timeframe), request.start, request.end))
    label = digest_of(repr(training.label) + bars)
    how = repr((training, sorted(request.program.values.items()), params.shuffled))
    return {"label": label, "all": digest_of(label + how)}


def _tried(sources: Sources, subject: str, asked: Mapping[str, str]) -> int:
    """Answer how many other configurations have been trained for this label on these bars before."""
    others = {
        run.snapshot["asked"]["all"]
        for run in sources.earlier(subject)
        if run.kind == "training" and run.snapshot.get("asked", {}).get("label") == asked["label"]
        and run.state is State.COMPLETED and not run.params.get("shuffled")
    }  # fmt: skip
    return len(others - {asked["all"]})


def _cautions(tried: int) -> Iterator[str]:
    if tried:
        yield f"{tried} other configurations were trained for this label: the best of many looks better than it is"


def companions(run: Run) -> list[Submission]:
    """Answer what is queued with a training: the same with its labels shuffled, for whenever there is time."""
    if run.params.get("shuffled") or not run.params.get("twin", True):
        return []
    params = {**run.params, "strategy": run.snapshot["strategy"]["text"], "shuffled": True}
    return [Submission(kind="training", params=params, priority="low", tags=(TWIN,), seen=run.snapshot)]


def all_versions(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """Answer the versions of everything that a model was made by."""
    return dict(versions()) | dict(snapshot["libraries"])
