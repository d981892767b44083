"""What a kind of run is: one declaration, from which every face is made.

A kind is an object in a package's entry-point group `pitboss.kinds`, pitboss's own among them:

    [project.entry-points."pitboss.kinds"]
    monte_carlo = "pitboss_montecarlo:KIND"

It gets a command, HTTP with a schema, progress, cancel, resume and a report. `examples/plugin` is one, of a page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from sys import stderr
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.runs.model import DEFAULT_RESOURCE, Run
from pitboss.runs.report import Report, Value, plain_report
from pitboss.runs.submission import Submission

T = TypeVar("T")
GROUP = "pitboss.kinds"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_ENTRY = re.compile(r"[\w.]+:\w+")


class Family(StrEnum):
    """The libraries that are loaded before a run's process is made: one fork server for each family in use."""

    BARE = "bare"
    NUMERIC = "numeric"
    LEARNING = "learning"
    AGENTS = "agents"


class Params(BaseModel):
    """What a run is asked to do. Give fields titles, units, bounds and examples: forms and schemas are made of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Secrets(Protocol):
    """Which secrets there are."""

    def missing(self, names: Collection[str]) -> list[Problem]: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request made ready to be queued.

    `subject` is what its runs are numbered within; `snapshot` fixes what the result will come from; `identity` names
    what decides the result, with digests or versions: only a checkpoint of the same identity is gone on from. `work` is
    how much is asked, each count by its name: the time it takes is estimated from their product. `cautions` say what a
    person should think about before it starts.
    """

    subject: str
    snapshot: dict[str, Any] = field(default_factory=dict)
    identity: dict[str, str] | None = None
    work: dict[str, float] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()


def prepare_plainly(params: Any, _sources: Any) -> Prepared:
    """Prepare a run whose result depends on nothing but its params and the kind's code."""
    return Prepared(type(params).__module__.partition(".")[0])


def _as_given(params: Mapping[str, Any], _snapshot: Mapping[str, Any]) -> dict[str, Any]:
    return dict(params)


def _plain_form(model: type[Params], _given: Mapping[str, Any], _sources: Any) -> dict[str, Any]:
    return model.model_json_schema()


def plain_item(item: Mapping[str, Any]) -> dict[str, Value]:
    """Answer what of a finished item is shown where its kind does not say: its single values."""
    return {name: value for name, value in item.items() if isinstance(value, int | float | str | bool)}


def _nothing_to_say(_run: Run) -> str:
    return ""


def alone(_run: Run) -> Sequence[Submission]:
    """Queue nothing with a run."""
    return ()


def _as_it_is(report: Report, _companions: Sequence[Run]) -> Report:
    return report


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of run.

    `entry` is `module:function`, called in the run's own process as `run(params, context) -> result`, a dict that JSON
    can say. After a cancel it answers what there is so far when `context.keeps_partial`, or raises RunCancelled.
    `resources` names what `context.resource(…)` hands out, each by the `module:function` that makes it in that process
    of a `runs.context.World`. `prepare(params, sources)` checks what the model cannot, and raises InvalidInput with
    every mistake; where the model found mistakes already it is shown the params with None in their place, so that all
    are told at once. `report(run)` is data for people; `about(run)` says in a few words what a run was asked for,
    `outcome(run)` what came of it, `news(run)` what it found that somebody may want to be told of. `pinned` answers the
    params that do again exactly what a snapshot says.

    `yields` names what a run has for one that follows it in a chain, each by the function that makes it of the run.
    `companions` answers what is queued with a run, to be held against it: they name it as their parent, and are
    cancelled with it. `held_against(report, companions)` answers the report of a run with what they came to.

    `stages` names the stages of a run in their order, each with its share of the time: how far the run is as a whole
    is told by them. `item(payload)` answers what of an item is shown while the run goes on, by the names of its
    columns.

    `words` are what is said of a run in a state, by the state's name, and of its cancel, under `cancel`, in place of
    the usual.

    `form(model, given, sources)` answers the JSON Schema of the params as a form asks for them, after `given` was
    chosen: a property's `choices` are what it may be (`value`, `label`, `about`, and for what covers a time `from` and
    `to`, microseconds), `suggestions` what it might be; where it `refines` the form, that is asked anew once it is
    chosen.
    """

    name: str
    title: str
    params: type[Params]
    entry: str
    resource: str = DEFAULT_RESOURCE
    preload: Family = Family.BARE
    is_resumable: bool = False
    stages: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Any, Any], Prepared] = prepare_plainly
    report: Callable[[Run], Report] = plain_report
    about: Callable[[Run], str] = _nothing_to_say
    outcome: Callable[[Run], str] = _nothing_to_say
    news: Callable[[Run], str] = _nothing_to_say
    yields: Mapping[str, Callable[[Run], Any]] = field(default_factory=dict)
    companions: Callable[[Run], Sequence[Submission]] = alone
    held_against: Callable[[Report, Sequence[Run]], Report] = _as_it_is
    pinned: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]] = _as_given
    item: Callable[[Mapping[str, Any]], Mapping[str, Value]] = plain_item
    form: Callable[[type[Params], Mapping[str, Any], Any], dict[str, Any]] = _plain_form
    address: str = ""  # `module:attribute` where a run's process finds this declaration
    source: str = ""  # the package that it comes from, and its version

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"'{self.name}' is no name of a kind: write a-z, 0-9, _ and -")
        if not isinstance(self.params, type) or not issubclass(self.params, Params):
            raise ValueError("params is no subclass of pitboss.runs.kinds.Params")
        for place in (self.entry, *self.resources.values()):
            if not _ENTRY.fullmatch(place):
                raise ValueError(f"'{place}' is no module:function")
        Family(self.preload)

    def read(self, given: Mapping[str, Any]) -> tuple[Any, list[Problem]]:
        """Answer the params as the model has them, and the mistakes in them; a field with a mistake is None."""
        return read_params(self.params, given)

    def asked(self, given: Mapping[str, Any], sources: Any) -> dict[str, Any]:
        """Answer the schema of a form; see `form`."""
        return self.form(self.params, given, sources)

    def ready(self, given: Mapping[str, Any], sources: Any) -> Prepared:
        """Check params and fix what the run will come from. Raises InvalidInput with every mistake."""
        params, problems = self.read(given)
        return with_all_mistakes(problems, lambda: self.prepare(params, sources))


def with_all_mistakes(problems: Sequence[Problem], check: Callable[[], T]) -> T:
    """Answer what `check` answers. Raises InvalidInput with `problems` and all that it finds; where there are problems
    it has been given params with holes, and what it stumbles over then is nobody's business."""
    try:
        answer = check()
    except InvalidInput as error:
        raise InvalidInput(list(dict.fromkeys([*problems, *error.problems]))) from None
    except Exception:
        if not problems:
            raise
    if problems:
        raise InvalidInput(problems)
    return answer


def read_params(model: type[Params], given: Mapping[str, Any]) -> tuple[Any, list[Problem]]:
    """Answer params as a model has them, and the mistakes in them; a field with a mistake is None."""
    try:
        return model.model_validate(given), []
    except ValidationError as error:
        found = error.errors()
    wrong = {item["loc"][0] for item in found if item["loc"]}
    draft = model.model_construct()
    for name in model.model_fields:
        if name in wrong or (name not in given and not hasattr(draft, name)):
            object.__setattr__(draft, name, None)
        elif name in given:
            partial = model.__pydantic_validator__.validate_assignment(model.model_construct(), name, given[name])
            object.__setattr__(draft, name, getattr(partial, name))
    return draft, list(dict.fromkeys(_problem(item, model) for item in found))


def mistake(message: str, remedy: str = "") -> PydanticCustomError:
    """Answer what a params model's validator raises: what is wrong, and what to do about it."""
    return PydanticCustomError("mistake", "{message}", {"message": message, "remedy": remedy})


def _problem(item: ErrorDetails, model: type[Params]) -> Problem:
    where = ".".join(str(part) for part in item["loc"]) or "params"
    name = str(item["loc"][0]) if item["loc"] else ""
    limits = item.get("ctx", {})
    if item["type"] == "mistake":
        return Problem(limits["message"], limits["remedy"], where=where)
    if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
        return Problem(f"unknown parameter '{name[:40]}'", suggest(name, model.model_fields), where="params")
    described = model.model_fields.get(name)
    examples = (described.examples if described else None) or []
    remedy = f"write {examples[0]!r}" if examples else (described.description if described else None) or ""
    if item["type"] == "missing":
        return Problem(f"'{where}' is missing", remedy, where=where)
    bound = next((f"{words} {limits[key]}" for key, words in _BOUNDS.items() if key in limits), "")
    return Problem(
        f"{str(item['input'])[:40]!r}: {item['msg'][0].lower()}{item['msg'][1:]}", bound or remedy, where=where
    )


_BOUNDS = {
    "ge": "write at least", "gt": "write more than", "le": "write at most", "lt": "write less than",
    "expected": "write", "max_length": "at most", "min_length": "at least",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind that is left out, or whose report fails: its name, the package that it comes from, and why."""

    name: str
    source: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class Kinds(Mapping[str, Kind]):
    """The kinds that are installed, by name. One that cannot be used is a fault, and nobody else's trouble.

    Reports are made here: a kind whose report fails gets the plain one, and is among the faults from then on.
    """

    def __init__(self, kinds: Collection[Kind] | None = None) -> None:
        self._given = kinds
        self._failed: dict[str, Fault] = {}

    @cached_property
    def _found(self) -> tuple[dict[str, Kind], list[Fault]]:
        if self._given is not None:
            return {kind.name: kind for kind in self._given}, []
        return installed_kinds()

    def __getitem__(self, name: str) -> Kind:
        return self._found[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found[0])

    def __len__(self) -> int:
        return len(self._found[0])

    @property
    def faults(self) -> list[Fault]:
        """Answer what is wrong with kinds, as far as it has shown."""
        return [*self._found[1], *self._failed.values()]

    def report(self, run: Run, companions: Sequence[Run] = ()) -> Report:
        """Answer a run's report, held against its `companions`; a plain one where its kind is not installed, or fails
        to make one."""
        kind = self.get(run.kind)
        if kind is None:
            return plain_report(run).with_warning(
                f"the kind '{run.kind}' is not installed here: this is all that is known"
            )
        try:
            report = Report.model_validate(kind.report(run))
            return kind.held_against(report, companions) if companions else report
        except Exception as error:
            reason = self._note(kind, "report", error)
            return plain_report(run).with_warning(f"{reason}; tell whoever made {kind.source or 'it'}")

    def about(self, run: Run) -> str:
        """Answer what a run was asked for in a few words, nothing where its kind cannot say."""
        return self._said(run, "about")

    def outcome(self, run: Run) -> str:
        """Answer what came of a run in a few words, nothing where its kind cannot say."""
        return self._said(run, "outcome")

    def yielded(self, run: Run) -> dict[str, Any]:
        """Answer what a run that completed has for one that follows it, by name."""
        kind = self.get(run.kind)
        return {name: made(run) for name, made in kind.yields.items()} if kind is not None else {}

    def news(self, run: Run) -> str:
        """Answer what a run found that somebody may want to be told of, nothing where it found nothing."""
        return self._said(run, "news")

    def item(self, run: Run, item: Mapping[str, Any]) -> Mapping[str, Value]:
        """Answer what of a finished item is shown while its run goes on."""
        kind = self.get(run.kind)
        try:
            return plain_item(item) if kind is None else kind.item(item)
        except Exception as error:
            assert kind is not None
            self._note(kind, "item", error)
            return plain_item(item)

    def _said(self, run: Run, what: Literal["about", "outcome", "news"]) -> str:
        kind = self.get(run.kind)
        if kind is None:
            return ""
        try:
            return str(getattr(kind, what)(run))
        except Exception as error:
            self._note(kind, what, error)
            return ""

    def _note(self, kind: Kind, what: str, error: Exception) -> str:
        """Have it known that a kind fails; answer how."""
        reason = f"its {what} fails: {type(error).__name__}: {error}"[:300]
        self._failed[kind.name] = Fault(kind.name, kind.source, reason)
        return reason


def installed_kinds() -> tuple[dict[str, Kind], list[Fault]]:
    """Load what packages have in the group `pitboss.kinds`: kinds by name, and what cannot be used.

    Of two kinds of one name pitboss's own stays, else the one whose package comes first in the alphabet.
    """
    found: dict[str, Kind] = {}
    faults: list[Fault] = []
    points = {(point.name, point.value): point for point in entry_points(group=GROUP)}  # a path may be listed twice
    for point in sorted(points.values(), key=lambda p: (not p.value.startswith("pitboss.kinds."), _package(p), p.name)):
        try:
            with redirect_stdout(stderr):  # a package that chats must not get into anybody's JSON
                kind = point.load()
            if not isinstance(kind, Kind):
                raise TypeError(f"{point.value} is a {type(kind).__name__}, no pitboss.runs.kinds.Kind")
            if kind.name in found:
                raise ValueError(f"there is a kind '{kind.name}' already, of {found[kind.name].source}")
        except (Exception, SystemExit) as error:
            faults.append(Fault(point.name, _package(point), f"{type(error).__name__}: {error}"[:300]))
            continue
        found[kind.name] = replace(kind, address=point.value, source=_package(point))
    return found, faults


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else ""
