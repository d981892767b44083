"""What the `train:` section of a document says: features, label, model and validation, checked and typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pitboss.core.errors import InvalidInput, Problem
from pitboss.strategy.binding import bind
from pitboss.strategy.check import LABEL
from pitboss.strategy.expression import Call, Node, Number, Offset

MOST_FEATURES = 1_000
MOST_HORIZON = 100_000  # bars
DEFAULT_SPLIT = 5
CLASSES = ("direction", "triple_barrier", "zigzag")  # labels that are one of two classes, whatever they are made of


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that a section may give: its default, the range it must stay in, and whether it is a whole one."""

    default: float
    low: float
    high: float
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the kinds of a thing: what it is, the numbers and the expressions that it takes, and the library that it
    needs, with the extra that brings it."""

    summary: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    expressions: tuple[str, ...] = ()
    flags: Mapping[str, bool] = field(default_factory=dict)
    library: tuple[str, str] = ("", "")


_LIGHTGBM, _SKLEARN, _TORCH = ("lightgbm", "learning"), ("scikit-learn", "learning"), ("torch", "torch")
_HORIZON = Setting(0, 1, MOST_HORIZON)
_FOLDS = Setting(DEFAULT_SPLIT, 2, 100)
_EARLY = Setting(50, 0, 100_000)
_NET = {
    "epochs": Setting(50, 1, 10_000), "batch": Setting(1024, 1, 1_000_000),
    "learning_rate": Setting(0.001, 1e-7, 1, False), "dropout": Setting(0, 0, 0.95, False),
    "weight_decay": Setting(0, 0, 1, False), "early_stopping": Setting(5, 0, 10_000),
}  # fmt: skip

LABELS: Mapping[str, Choice] = {
    "return": Choice("the return over the next bars", {"horizon": _HORIZON}),
    "direction": Choice(
        "whether the price is higher so many bars later; moves within the dead zone teach nothing",
        {"horizon": _HORIZON, "dead_zone": Setting(0, 0, 1, False)},
    ),
    "triple_barrier": Choice(
        "which is reached first, the upper distance or the lower; at the horizon the sign of the return",
        {"horizon": _HORIZON}, ("up", "down"),
    ),
    "zigzag": Choice(
        "whether the leg that a bar lies in rises; a leg ends where the price has turned by the threshold",
        {"horizon": _HORIZON, "threshold": Setting(0, 1e-6, 0.99, False)},
    ),
    "expression": Choice(
        "an expression, which may look forward: a condition, or a number", {"reach": _HORIZON}, ("expression",)
    ),
}  # fmt: skip
MODELS: Mapping[str, Choice] = {
    "lightgbm": Choice(
        "gradient boosting of trees",
        {
            "rounds": Setting(500, 1, 100_000), "learning_rate": Setting(0.05, 1e-6, 1, False),
            "leaves": Setting(31, 2, 4096), "depth": Setting(0, 0, 64), "min_leaf": Setting(20, 1, 10_000_000),
            "feature_fraction": Setting(1, 0.01, 1, False), "row_fraction": Setting(1, 0.01, 1, False),
            "l1": Setting(0, 0, 1e6, False), "l2": Setting(0, 0, 1e6, False), "early_stopping": _EARLY,
        },
        library=_LIGHTGBM,
    ),
    "logistic": Choice(
        "logistic regression; of a number, ridge regression",
        {"strength": Setting(1, 1e-9, 1e9, False), "iterations": Setting(200, 1, 100_000)},
        library=_SKLEARN,
    ),
    "random_forest": Choice(
        "trees of random samples, averaged",
        {"trees": Setting(200, 1, 10_000), "depth": Setting(12, 1, 64), "min_leaf": Setting(20, 1, 10_000_000)},
        library=_SKLEARN,
    ),
    "mlp": Choice(
        "a net of layers", {"width": Setting(64, 1, 4096), "layers": Setting(2, 1, 16), **_NET}, library=_TORCH,
    ),
    "recurrent": Choice(
        "a recurrent net over the last bars", {"width": Setting(32, 1, 1024), "window": Setting(32, 2, 1024), **_NET},
        library=_TORCH,
    ),
}  # fmt: skip
VALIDATIONS: Mapping[str, Choice] = {
    "walk_forward": Choice(
        "each fold is tested on what follows what it is trained on; anchored: from the beginning, else on as much as "
        "the first", {"folds": _FOLDS}, flags={"anchored": True},
    ),
    "purged_kfold": Choice(
        "each part is tested on once, trained on all others", {"folds": _FOLDS},
    ),
    "combinatorial": Choice(
        "each choice of parts is tested on once", {"folds": Setting(6, 3, 16), "tests": Setting(2, 1, 8)},
    ),
}  # fmt: skip
SAMPLE_WEIGHTS = ("none", "uniqueness")
CLASS_WEIGHTS = ("none", "balanced")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was chosen of such kinds, and its numbers, the usual ones where none are given."""

    type: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    flags: Mapping[str, bool] = field(default_factory=dict)

    def whole(self, name: str) -> int:
        """Answer a number that is a whole one."""
        return int(self.numbers[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Chosen):
    """What is learned. `nodes` are its expressions: `up` and `down` of a barrier, or `expression`.

    `reach` is how many bars after its own it looks at: in learning from a bar all of them are known already, and none
    of them may be tested on.
    """

    nodes: Mapping[str, Node] = field(default_factory=dict)
    reach: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A `train:` section. Expressions are unbound: parameters and indicators still go by name."""

    features: Mapping[str, Node]
    label: Label
    model: Chosen
    validation: Chosen
    class_weights: str = CLASS_WEIGHTS[0]
    sample_weights: str = SAMPLE_WEIGHTS[0]
    seed: int | None = None


def reach_of(node: Node) -> int:
    """Answer how many bars after its own an expression looks at, 0 where it looks back only."""
    if isinstance(node, Offset):
        bars = int(node.bars.value) if isinstance(node.bars, Number) else 0
        return max(0, reach_of(node.base) - bars)
    return max((reach_of(child) for child in node.children()), default=0)


def faults_of(node: Node) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with how a bound label looks forward, and the remedy."""
    if looks_ahead_apart(node):
        yield "the label looks forward within on(…)", "look forward on its own bars"
    elif not reach_of(node):
        yield "the label does not look forward", "write offsets below 0, as in close[-12] / close - 1"


def looks_ahead_apart(node: Node) -> bool:
    """Answer whether an expression looks forward by bars that are not the label's own: those of another timeframe."""
    is_apart = isinstance(node, Call) and node.name == "on"
    return any(bool(is_apart and reach_of(child)) or looks_ahead_apart(child) for child in node.children())


def compile_training(training: Training, values: Mapping[str, Number], indicators: Mapping[str, Node]) -> Training:
    """Put parameters and indicators into a section; its label knows its reach then. Raises InvalidInput."""
    features = {name: bind(node, values, indicators) for name, node in training.features.items()}
    label = training.label
    nodes = {name: bind(node, values, indicators) for name, node in label.nodes.items()}
    reach = label.whole("horizon") if "horizon" in label.numbers else 0
    if label.type == "expression":
        problems = [Problem(what, remedy, where=LABEL) for what, remedy in faults_of(nodes["expression"])]
        reach, said = reach_of(nodes["expression"]), label.whole("reach")
        if said not in (0, reach):
            what = f"the label looks {reach} bars forward, and 'reach' says {said}"
            problems.append(Problem(what, f"write reach: {reach}, or leave it out", where="train.label.reach"))
        if problems:
            raise InvalidInput(problems)
    return replace(training, features=features, label=replace(label, nodes=nodes, reach=reach))
