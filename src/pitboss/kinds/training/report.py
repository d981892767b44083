"""A training's report: what the model is worth out of sample, held against chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pitboss.core.clock import micros_to_iso
from pitboss.kinds.documents.report import source_notes, title_of
from pitboss.runs.model import Run
from pitboss.runs.report import Chart, Column, Curve, Download, Figure, Note, Report, Table, Unit, Value

OVERFIT = 0.1  # by how much the loss may be higher on what was not learned from
SCORES = {
    "skill": ("Skill", Unit.NUMBER, "0 is chance and 1 is perfect: 2 AUC - 1 of classes, rank correlation of numbers"),
    "auc": ("AUC", Unit.NUMBER, "the probability that a rise is given the higher probability"),
    "accuracy": ("Accuracy", Unit.PERCENT, "bars whose class was told right"),
    "base_rate": ("Base rate", Unit.PERCENT, "bars of class 1"),
    "log_loss": ("Log loss", Unit.NUMBER, "0.693 is a coin's"),
    "correlation": ("Correlation", Unit.NUMBER, "of prediction and label"),
    "rmse": ("RMSE", Unit.NUMBER, "root of the mean squared error, in units of the label"),
    "rows": ("Bars tested", Unit.COUNT, "out of sample"),
}
FOLDS = (
    ("fold", Unit.COUNT), ("since", Unit.MOMENT), ("trained_on", Unit.COUNT), ("tested_on", Unit.COUNT),
    ("best", Unit.COUNT), ("train_loss", Unit.NUMBER), ("loss", Unit.NUMBER), ("skill", Unit.NUMBER),
    ("seconds", Unit.SECONDS), ("failure", Unit.TEXT),
)  # fmt: skip


def report_of(run: Run) -> Report:
    """Answer the report of a training that has ended, or of what a cancelled one has kept."""
    result = run.result
    if result is None:
        return Report(title=title_of(run), notes=source_notes(run))
    scores = result["scores"]
    return Report(
        title=title_of(run) + (", labels shuffled" if result["shuffled"] else ""),
        figures=[
            Figure(name="equity", label="Equity out of sample", value=result.get("equity"), unit=Unit.RATIO,
                   meaning="of 1 that follows each prediction to the next close, after costs", good="high"),
            *(Figure(name=name, label=label, value=scores[name], unit=unit, meaning=meaning)
              for name, (label, unit, meaning) in SCORES.items() if scores.get(name) is not None),
        ],
        notes=[*source_notes(run), *_notes(result)],
        tables=list(_tables(result)),
        charts=list(_charts(result)),
        downloads=[Download(artifact=name, title=name.removesuffix(".parquet")) for name in result["artifacts"]],
    )  # fmt: skip


def _notes(result: Mapping[str, Any]) -> Iterator[Note]:
    model = result.get("model")
    if model is not None:
        since, until = (micros_to_iso(model[name])[:16].replace("T", " ") for name in ("since", "until"))
        what = f"model '{model['name']}' can be asked from {since} on"
        last = f"; its last one, made of everything, from {until} on" if model["has_final"] else ""
        yield Note(message=what + last)
    if result["tried"]:
        what = f"{result['tried']} other configurations were trained for this label on these bars"
        yield Note(message=f"{what}: the best of many looks better than it is", is_warning=True)
    for row in result["folds"]:
        if row["failure"]:
            yield Note(message=f"fold {row['fold']} failed: {row['failure']}", is_warning=True)
    gaps = [(row["fold"], gap) for row in result["folds"] if (gap := gap_of(row)) is not None and gap > OVERFIT]
    if gaps:
        worst = max(gaps, key=lambda pair: pair[1])
        what = f"fold {worst[0]} over-fits: its loss is {100 * worst[1]:.0f} % higher on what it did not learn from"
        yield Note(message=f"{what}; fewer leaves, more of min_leaf or fewer features help", is_warning=True)
    if len(result["folds"]) < result["planned"]:
        yield Note(message=f"{len(result['folds'])} of {result['planned']} folds were learned", is_warning=True)


def gap_of(row: Mapping[str, Any]) -> float | None:
    """Answer by how much the loss of a fold is higher on other bars, a fraction; None where not known."""
    train, loss = row.get("train_loss"), row.get("loss")
    return None if train is None or loss is None or train <= 0 else loss / train - 1.0


def _tables(result: Mapping[str, Any]) -> Iterator[Table]:
    columns = [Column(name=name, label=name.replace("_", " "), unit=unit) for name, unit in FOLDS]
    rows = [[_value(name, row.get(name)) for name, _ in FOLDS] for row in result["folds"]]
    yield Table(name="folds", title="Folds", columns=columns, rows=rows)
    if "confusion" in result:
        found = result["confusion"]
        yield Table(
            name="confusion", title="Told and come true",
            columns=[Column(name=name, label=name) for name in ("told", "rose", "fell")],
            rows=[["up", found["true_up"], found["false_up"]], ["down", found["false_down"], found["true_down"]]],
        )  # fmt: skip
    if "importance.parquet" in result["artifacts"]:
        named = {"feature": Unit.TEXT, "gain": Unit.PERCENT, "permutation": Unit.NUMBER, "permutation_sd": Unit.NUMBER}
        columns = [Column(name=name, label=name.replace("_", " "), unit=unit) for name, unit in named.items()]
        yield Table(
            name="importance", title="Features", columns=columns, artifact="importance.parquet", sort="-gain", shown=10
        )


def _value(name: str, value: Any) -> Value:
    return micros_to_iso(value) if name == "since" and value is not None else value


def _charts(result: Mapping[str, Any]) -> Iterator[Chart]:
    if "equity.parquet" not in result["artifacts"]:
        return
    yield Chart(
        name="equity", title="Equity out of sample", type="line", artifact="equity.parquet", x="ts", y=["equity"],
        unit=Unit.RATIO, beside=[Curve(artifact="equity.parquet", x="ts", y="buy_and_hold", label="buy and hold")],
    )  # fmt: skip
    for row in result["folds"]:
        if not row["failure"]:
            yield Chart(
                name=f"losses-{row['fold']}", title=f"Losses of fold {row['fold']}", type="line",
                artifact="curves.parquet", x="step", unit=Unit.NUMBER,
                y=["train_loss"] if row.get("loss") is None else ["train_loss", "loss"],
                where={"fold": row["fold"]},
            )  # fmt: skip
    if "calibration.parquet" in result["artifacts"]:
        yield Chart(
            name="calibration", title="What was predicted, and what came of it", type="line",
            artifact="calibration.parquet", x="predicted", y=["happened"], unit=Unit.PERCENT,
        )  # fmt: skip


def held_against(report: Report, companions: Sequence[Run]) -> Report:
    """Answer a report with what the twin came to, which learned from shuffled labels: what scores are by chance."""
    ended = [run for run in companions if run.result is not None and run.result["scores"].get("skill") is not None]
    if not ended:
        return report
    twin = ended[0]
    result, meaning = twin.result or {}, "of the twin, which learned from labels in a random order: chance"
    figures = [
        Figure(name="twin_skill", label="Skill of the twin", value=result["scores"]["skill"], unit=Unit.NUMBER,
               meaning=meaning),
        Figure(name="twin_equity", label="Equity of the twin", value=result["equity"], unit=Unit.RATIO,
               meaning=meaning),
    ]  # fmt: skip
    curve = Curve(artifact="equity.parquet", x="ts", y="equity", label="twin", run=twin.id)
    charts = [
        chart.model_copy(update={"beside": [*chart.beside, curve]}) if chart.name == "equity" else chart
        for chart in report.charts
    ]
    return report.model_copy(update={"figures": [*report.figures, *figures], "charts": charts})


def outcome_of(run: Run) -> str:
    """Answer the skill and the equity out of sample."""
    result = run.result or {}
    skill = result.get("scores", {}).get("skill")
    if skill is None:
        return ""
    return f"skill {skill:+.3f}, equity ×{result['equity']:.3f}" + (", labels shuffled" if result["shuffled"] else "")


def item_of(item: Mapping[str, Any]) -> dict[str, Value]:
    """Answer what of a fold is shown while the training goes on."""
    named = ("fold", "best", "train_loss", "loss", "skill", "failure")
    return {name: item[name] for name in named if item.get(name) not in (None, "")}
