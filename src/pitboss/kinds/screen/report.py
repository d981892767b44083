"""A screen's report: what passed, and what became of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.runs.model import Run
from pitboss.runs.report import Column, Download, Figure, Note, Report, Table, Unit

COMPARED = "passed less universe"
NEWS = 10  # tickers that are named
SHOWN = 6  # metrics of an item while the screen runs


def report_of(run: Run) -> Report:
    """Answer the report of a screen that has ended, or of what a cancelled one has kept."""
    result = run.result
    if result is None:
        return Report(title=title_of(run), notes=_source_notes(run))
    classes = [
        Figure(name=f"class {name}", label=name, value=count, unit=Unit.COUNT, meaning=f"tickers of the class {name}")
        for name, count in result["classes"].items()
        if name
    ]
    return Report(
        title=title_of(run),
        figures=[
            Figure(
                name="passed", label="Passed", value=result["passed"], unit=Unit.COUNT,
                meaning="tickers that reach the pass mark, and that no filter rejects",
            ),
            Figure(name="tickers", label="Screened", value=result["tickers"], unit=Unit.COUNT),
            *classes,
        ],
        notes=[*_source_notes(run), *_doubts(result)],
        tables=[*_worth(result), _passed(result), *_all(result), *_failed(result)],
        downloads=[
            *(Download(artifact=name, title=name.removesuffix(".parquet")) for name in result["artifacts"]),
            *([Download(artifact="passed.txt", title="passed, as text")] if result["rows"] else []),
            Download(artifact="results.sqlite", title="SQLite"),
        ],
    )  # fmt: skip


def title_of(run: Run) -> str:
    """Answer what a report is called: `bullish-breakout, 2018-06-29`."""
    name, date = run.snapshot["screen"]["name"], run.snapshot["date"] or (run.result or {}).get("date")
    return f"{name}, {date if run.snapshot['date'] is not None and date else about_of(run)}"


def about_of(run: Run) -> str:
    """Answer how many tickers, and of when."""
    count, date = run.snapshot["universe"]["tickers"].count(" ") + 1, run.snapshot["date"]
    when = date or "the last session"
    if date is None:
        when = f"{run.params.get('start') or 'the first'} to {run.params.get('end') or 'the last'}"
    return f"{count:,} tickers, {when}"


def outcome_of(run: Run) -> str:
    """Answer how many passed."""
    result = run.result or {}
    return f"{result['passed']} of {result['tickers']} passed" if "passed" in result else ""


def news_of(run: Run) -> str:
    """Answer which tickers passed, the best of them."""
    best = (run.result or {}).get("best", [])
    shown = ", ".join(f"{item['ticker']} {item['score']:g}" for item in best[:NEWS])
    return f"passed: {shown}" + (f" and {len(best) - NEWS} more" if len(best) > NEWS else "") if best else ""


def passed_of(run: Run) -> list[str]:
    """Answer the tickers that passed, the best first."""
    return str((run.result or {}).get("passed_tickers", "")).split()


def item_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """Answer what of a ticker is shown while the screen goes on."""
    metrics = {name: value for name, value in item.get("metrics", {}).items() if isinstance(value, int | float | str)}
    shown = dict(list(metrics.items())[:SHOWN])
    reasons = "; ".join(item.get("reasons", ()))
    return {"score": item.get("score"), "class": item.get("class", ""), **shown, "reasons": reasons}


def _source_notes(run: Run) -> list[Note]:
    notes = []
    if run.snapshot.get("is_synthetic"):
        notes.append(Note(message="on synthetic bars: it says nothing about a market", is_warning=True))
    universe = run.snapshot["universe"]
    if (
        not universe["is_dated"]
        and universe["source"] != "list"
        and (universe["source"] != "catalog" or run.snapshot["date"] is None)
    ):
        of_whom = "what is stored" if universe["source"] == "catalog" else f"the members of {universe['source']}"
        what = f"survivorship: the universe is {of_whom} today; those that left before are missing from earlier dates"
        notes.append(Note(message=what, is_warning=True))
    return notes


def _doubts(result: Mapping[str, Any]) -> list[Note]:
    return [*_verdict(result), *_unknown(result), *_changed(result)]


def _changed(result: Mapping[str, Any]) -> list[Note]:
    if not result.get("has_other_bars"):
        return []
    what = "some bars were changed between its submit and its start: it judged them as they were then"
    return [Note(message=what, is_warning=True)]


def _verdict(result: Mapping[str, Any]) -> list[Note]:
    """Answer whether what passed did better than the universe, horizon by horizon."""
    found = []
    for line in result.get("worth", ()):
        if line["group"] != COMPARED or line["mean"] is None:
            continue
        later = f"{line['horizon']} bar{'' if line['horizon'] == 1 else 's'} after"
        what = f"{later}, what passed did {100 * line['mean']:+.2f} % against the universe"
        if line["low"] is None:
            found.append(f"{what}: too few dates to tell whether that is more than luck")
        elif line["low"] <= 0 <= line["high"]:
            found.append(f"{what}, which may be luck")
        else:
            found.append(f"{what}, which is more than luck")
    return [Note(message=message) for message in found]


def _unknown(result: Mapping[str, Any]) -> list[Note]:
    if not result["unknown"]:
        return []
    what = f"{result['unknown']:,} of {result['tickers']:,} tickers could not be judged: see their reasons"
    return [Note(message=what, is_warning=True)]


def _worth(result: Mapping[str, Any]) -> list[Table]:
    """Answer what became of those that passed, against the others: of a screen over a range of dates."""
    if not result.get("worth"):
        return []
    columns = [
        Column(name="group", label="group", unit=Unit.TEXT),
        Column(name="horizon", label="bars after", unit=Unit.COUNT),
        Column(name="dates", label="dates", unit=Unit.COUNT),
        *(Column(name=name, label=name, unit=Unit.PERCENT) for name in ("mean", "low", "high")),
    ]
    rows = [[line[column.name] for column in columns] for line in result["worth"]]
    variants = f", for {result['tried']:,} variants tried" if result["tried"] > 1 else ""
    return [Table(name="worth", title=f"Does it work? Mean returns with intervals of 95 %{variants}", columns=columns,
                  rows=rows, shown=20)]  # fmt: skip


def _passed(result: Mapping[str, Any]) -> Table:
    best = result["best"]
    numbers = [name for name, value in (best[0]["metrics"] if best else {}).items() if not isinstance(value, str)]
    columns = [
        Column(name="ticker", label="ticker", unit=Unit.SYMBOL), *_scores(), Column(name="class", label="class"),
        *(Column(name=name, label=name.replace("_", " "), unit=Unit.NUMBER) for name in numbers),
        Column(name="reasons", label="reasons", unit=Unit.TEXT),
    ]  # fmt: skip
    rows = [
        [item["ticker"], item["score"], item["base"], item["class"], *(item["metrics"].get(name) for name in numbers),
         "; ".join(item["reasons"])]
        for item in best
    ]  # fmt: skip
    return Table(
        name="passed",
        title=f"{result['passed']:,} passed on {result['date']}, best first",
        columns=columns,
        rows=rows,
        shown=20,
    )


def _scores() -> tuple[Column, ...]:
    return tuple(Column(name=name, label=name, unit=Unit.NUMBER, digits=1) for name in ("score", "base"))


def _all(result: Mapping[str, Any]) -> list[Table]:
    if "rows.parquet" not in result["artifacts"]:
        return []
    columns = [
        Column(name="ticker", label="ticker", unit=Unit.SYMBOL), Column(name="date", label="date", unit=Unit.MOMENT),
        *_scores(), Column(name="class", label="class"),
    ]  # fmt: skip
    title = f"All {result['rows']:,} rows"
    return [Table(name="rows", title=title, columns=columns, artifact="rows.parquet", sort="-score", shown=0)]


def _failed(result: Mapping[str, Any]) -> list[Table]:
    if not result["failed"]:
        return []
    columns = [
        Column(name="ticker", label="ticker", unit=Unit.TEXT),
        Column(name="reason", label="reason", unit=Unit.TEXT),
    ]
    rows = [[item["ticker"], "; ".join(item["reasons"])] for item in result["failed"]]
    return [Table(name="failed", title="Not judged", columns=columns, rows=rows, shown=20)]
