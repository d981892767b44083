"""Reading the `train:` section of a document."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from pitboss.core.errors import suggest
from pitboss.strategy.binding import fold
from pitboss.strategy.check import Checker
from pitboss.strategy.expression import Call, Node, walk
from pitboss.strategy.sections import Sections
from pitboss.strategy.training import (
    CLASS_WEIGHTS,
    LABELS,
    MODELS,
    MOST_FEATURES,
    SAMPLE_WEIGHTS,
    VALIDATIONS,
    Choice,
    Chosen,
    Label,
    Setting,
    Training,
    faults_of,
)

PARTS = ("features", "label", "model", "validation", "class_weights", "sample_weights", "seed")
MOST_SEED = 2**31 - 1


class TrainSection(Sections):
    """Reads what is trained."""

    def training(self, node: yaml.Node | None) -> Training | None:
        """Read the section; None where there is none, or it lacks what it needs."""
        if node is None:
            return None
        parts = self.mapping(node, "train", PARTS)
        for missing in [part for part in ("features", "label") if part not in parts]:
            self.wrong(node, f"train has no '{missing}'", f"write {_EXAMPLES[missing]}", f"train.{missing}")
        nothing = yaml.MappingNode("", [])
        features = self.expressions(parts.get("features", nothing), "train.features")
        if "features" in parts and not 1 <= len(features) <= MOST_FEATURES:
            what = f"{len(features):,} features"
            self.wrong(parts["features"], what, f"name 1 to {MOST_FEATURES:,}", "train.features")
        label = self.label(parts.get("label"))
        model = self.chosen(parts.get("model"), "train.model", MODELS, "lightgbm")
        validation = self.chosen(parts.get("validation"), "train.validation", VALIDATIONS, "walk_forward")
        words = {
            name: self.word(parts.get(name), f"train.{name}", known)
            for name, known in (("class_weights", CLASS_WEIGHTS), ("sample_weights", SAMPLE_WEIGHTS))
        }
        seed = self.number(parts["seed"], "train.seed", Setting(0, 0, MOST_SEED)) if "seed" in parts else None
        if label is None or not features:
            return None
        return Training(
            features=features, label=label, model=model, validation=validation, **words,
            seed=None if seed is None else int(seed),
        )  # fmt: skip

    def label(self, node: yaml.Node | None) -> Label | None:
        if node is None:
            return None
        parts = self.mapping(node, "train.label")
        kind = self.kind(parts, node, "train.label", LABELS, "")
        if kind is None:
            return None
        choice, place = LABELS[kind], "train.label"
        numbers, _ = self.numbers(parts, place, choice)
        nodes: dict[str, Node] = {}
        for name in choice.expressions:
            if name not in parts:
                self.wrong(node, f"a label of type {kind} has no '{name}'", f"write {_EXAMPLES[kind]}", place)
            elif (read := self.expression(parts[name], f"{place}.{name}")) is not None:
                nodes[name] = read
        for name in ("horizon", "threshold"):
            if name in choice.settings and name not in parts:
                self.wrong(node, f"a label of type {kind} has no '{name}'", f"write {_EXAMPLES[kind]}", place)
        return Label(type=kind, numbers=numbers, nodes=nodes) if len(nodes) == len(choice.expressions) else None

    def check_label(self, checker: Checker, node: Node) -> None:
        """Report a label that does not look forward, or not by its own bars."""
        folded = fold(node, checker.parameters)
        for what, remedy in faults_of(folded):
            checker.wrong(node, what, remedy)

    def check_models(self, checker: Checker, node: Node) -> None:
        """Report a model that is asked by what another is trained on."""
        for call in walk(node):
            if isinstance(call, Call) and call.name == "model":
                checker.wrong(call, "a model cannot learn from another", "write what it is made of", len(call.name))

    def chosen(self, node: yaml.Node | None, place: str, known: Mapping[str, Choice], usual: str) -> Chosen:
        """Read which of `known` kinds is chosen, and its numbers; the usual one where nothing is said."""
        parts = self.mapping(node, place) if node is not None else {}
        kind = self.kind(parts, node, place, known, usual) or usual
        numbers, flags = self.numbers(parts, place, known[kind])
        return Chosen(type=kind, numbers=numbers, flags=flags)

    def kind(
        self, parts: Mapping[str, yaml.Node], node: yaml.Node | None, place: str, known: Mapping[str, Choice],
        usual: str,
    ) -> str | None:  # fmt: skip
        kind = self.scalar(parts.get("type"), f"{place}.type") or usual
        if kind in known:
            return kind
        if node is not None:
            what = f"unknown type '{kind[:40]}'" if kind else f"'{place}' has no type"
            self.wrong(parts.get("type", node), what, suggest(kind, known), f"{place}.type")
        return None

    def numbers(
        self, parts: Mapping[str, yaml.Node], place: str, choice: Choice
    ) -> tuple[dict[str, float], dict[str, bool]]:
        """Read the numbers and the flags of a choice; report what it does not take."""
        numbers = {name: setting.default for name, setting in choice.settings.items()}
        flags = dict(choice.flags)
        known = ("type", *choice.settings, *choice.expressions, *choice.flags)
        for name, value in parts.items():
            where = f"{place}.{name}"
            if name not in known:
                self.wrong(value, f"unknown key '{name[:40]}'", suggest(name, known), where)
            elif name in choice.settings:
                read = self.number(value, where, choice.settings[name])
                numbers[name] = numbers[name] if read is None else read
            elif name in choice.flags:
                flags[name] = self.word(value, where, ("true", "false")) == "true"
        return numbers, flags

    def number(self, node: yaml.Node, where: str, setting: Setting) -> float | None:
        read = self.plain_number(node, where)
        if read is None:
            return None
        is_fitting = setting.low <= read.value <= setting.high
        if not is_fitting or (setting.is_whole and read.value != int(read.value)):
            remedy = f"write a {'whole ' * setting.is_whole}number from {setting.low:g} to {setting.high:g}"
            self.wrong(node, f"{where} is {read.value:g}", remedy, where)
            return None
        return read.value

    def word(self, node: yaml.Node | None, where: str, known: tuple[str, ...]) -> str:
        """Read one of the known words, the first where none is given."""
        text = self.scalar(node, where).lower()
        if node is None or text in known:
            return text or known[0]
        self.wrong(node, f"unknown {where.rpartition('.')[2]} '{text[:40]}'", suggest(text, known), where)
        return known[0]


_EXAMPLES = {
    "features": 'features: {strength: "rsi(close, 14)"}',
    "label": "label: {type: direction, horizon: 12}",
    "return": "label: {type: return, horizon: 12}",
    "direction": "label: {type: direction, horizon: 12}",
    "triple_barrier": "label: {type: triple_barrier, horizon: 48, up: 1.5 * atr(14), down: 1.5 * atr(14)}",
    "zigzag": "label: {type: zigzag, horizon: 200, threshold: 1%}",
    "expression": 'label: {type: expression, expression: "close[-12] / close - 1"}',
}
