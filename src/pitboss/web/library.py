"""The library: configurations that are kept under a name, and run again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.bootstrap import Platform
from pitboss.core.errors import Conflict, InvalidInput, NotFound, PitbossError
from pitboss.core.principal import Principal
from pitboss.runs.model import Run
from pitboss.runs.remarks import Remarks
from pitboss.runs.report import Figure
from pitboss.web.live import Message
from pitboss.web.pages import Desk, Visit, fragment
from pitboss.web.shown import told

router = APIRouter()
SAVABLE = ("backtest",)
LATEST = 20  # runs of a configuration that its card looks at
FIGURES = 4
LONGEST_NAME = 64
MOST_CHOSEN = 200


@dataclass(frozen=True)
class Card:
    """A configuration with what became of its last runs."""

    saved: Any
    remarks: Remarks
    about: str
    active: Run | None
    last: Run | None
    verdict: str
    figures: Sequence[Figure]
    spark: Sequence[float]


def proposed_name(values: Mapping[str, Any]) -> str:
    """Answer a name for a configuration: what it trades, of which strategy."""
    strategy = str(values.get("strategy") or "")
    if "\n" in strategy or ":" in strategy:
        first = strategy.strip().splitlines()[0] if strategy.strip() else ""
        strategy = first.removeprefix("name:").strip()
    symbols = values.get("symbols") or []
    parts = [strategy, " ".join(symbols[:2]) if isinstance(symbols, list) else str(symbols), values.get("timeframe")]
    text = " ".join(str(part) for part in parts if part)
    return "".join(each if each.isalnum() or each in " .,()+-_" else "-" for each in text)[:LONGEST_NAME]


def save_as(platform: Platform, who: Principal, name: str, values: Mapping[str, Any]) -> Any:
    """Keep a configuration under a name; where there is one of that name it is changed to this."""
    try:
        return platform.backtests.create(who, name, values)
    except Conflict:
        known = next(saved for saved in platform.backtests.all(who) if saved.name == name)
        return platform.backtests.change(who, known.id, name, dict.fromkeys(known.params) | dict(values))


class Cards:
    """The cards of somebody's library; one is made anew when it, or one of its runs, has changed."""

    def __init__(self, platform: Platform, who: Principal) -> None:
        self._platform = platform
        self._who = who
        self._made: dict[str, tuple[object, Card]] = {}

    def all(self) -> list[Card]:
        """Answer those that run first, then by name."""
        backtests, before = self._platform.backtests, self._made
        found = backtests.all(self._who)
        remarks, positions = backtests.remarks(found), backtests.positions(self._who, found)
        self._made = {}
        for saved in found:
            of = (saved.updated_at, remarks[saved.id], positions[saved.id])
            known, card = before.get(saved.id, (None, None))
            if card is None or known != of:
                card = _card(self._platform, self._who, saved, remarks[saved.id])
            self._made[saved.id] = of, card
        cards = [card for _, card in self._made.values()]
        return sorted(cards, key=lambda card: (card.active is None, card.saved.name.casefold()))


def _card(platform: Platform, who: Principal, saved: Any, remarks: Remarks) -> Card:
    kinds = platform.service.kinds
    runs = platform.backtests.runs(who, saved.id, LATEST)
    active = next((run for run in runs if not run.state.is_terminal), None)
    last = next((run for run in runs if run.state.is_terminal), None)
    completed = [run for run in runs if run.state == "completed"]
    report = kinds.report(completed[0]) if completed else None
    good = [figure for figure in report.figures if figure.good and figure.value is not None] if report else []
    name = good[0].name if good else ""
    past = [(run.result or {}).get("metrics", {}).get(name) for run in reversed(completed)]
    return Card(
        saved, remarks, str(saved.params.get("strategy", ""))[:60].partition("\n")[0], active, last,
        told(last, kinds, who).title if last else "", good[:FIGURES],
        [float(value) for value in past if isinstance(value, int | float)],
    )  # fmt: skip


def _fits(card: Card, words: str, tag: str) -> bool:
    text = " ".join([card.saved.name, card.about, *card.remarks.tags, card.remarks.notes]).casefold()
    return all(word in text for word in words.casefold().split()) and (not tag or tag in card.remarks.tags)


def library_body(cards: Sequence[Card], root: str, csrf: str = "") -> str:
    return fragment("library_body.html", cards=cards, root=root, csrf=csrf)


@router.get("/library")
def library(visit: Desk, q: str = "", tag: str = "") -> Response:
    """Show the library."""
    every = Cards(visit.platform, visit.me).all()
    cards = [card for card in every if _fits(card, q[:200], tag[:64])]
    body = library_body(cards, visit.root, visit.csrf)
    tags = sorted({each for card in every for each in card.remarks.tags})
    topics = "" if q or tag else "library"
    return visit.render("library.html", topics=topics, body=body, total=len(every), q=q, tag=tag, tags=tags)


@router.get("/library/{backtest_id}")
def saved(visit: Desk, backtest_id: str) -> Response:
    """Show a configuration: its params, its notes and its runs."""
    found = visit.platform.backtests.get(visit.me, backtest_id)
    runs = visit.platform.backtests.runs(visit.me, backtest_id, 100)
    remarks = visit.platform.backtests.remarks([found])[found.id]
    kinds = visit.platform.service.kinds
    outcomes = {run.id: kinds.outcome(run) for run in runs}
    is_mine = visit.me.owns(found.owner)
    return visit.render(
        "library_one.html", saved=found, runs=runs, remarks=remarks, outcomes=outcomes, is_mine=is_mine
    )  # fmt: skip


@router.post("/library/{backtest_id}")
async def change(visit: Desk, backtest_id: str) -> Response:
    """Change the name, the tags or the notes of a configuration; run it or remove it."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    return await run_in_threadpool(_changed, visit, backtest_id, form)


def _changed(visit: Visit, backtest_id: str, form: Mapping[str, str]) -> Response:
    backtests, me = visit.platform.backtests, visit.me
    match form.get("do", "keep"):
        case "run":
            return visit.go(f"/runs/{backtests.run(me, backtest_id, form.get('key')).id}")
        case "delete":
            backtests.delete(me, backtest_id)
            return visit.go("/library", "It is removed; its runs stay in the history")
        case "keep":
            tags = [tag.strip() for tag in form.get("tags", "").split(",") if tag.strip()]
            backtests.change(me, backtest_id, form.get("name"), None)
            backtests.remark(me, backtest_id, tags, form.get("notes", "").replace("\r\n", "\n"))
            return visit.go(f"/library/{backtest_id}", "Kept")
    raise NotFound("there is no such thing to do with it", "run, keep or delete")


@router.post("/library")
async def selection(visit: Desk) -> Response:
    """Run or remove several configurations."""
    form = await visit.form()
    chosen, what = form.get("saved", [])[:MOST_CHOSEN], form.get("do", [""])[0]
    return await run_in_threadpool(_each, visit, chosen, what)


def _each(visit: Visit, chosen: Sequence[str], what: str) -> Response:
    if what == "compare":
        runs = [runs[0].id for each in chosen if (runs := visit.platform.backtests.runs(visit.me, each, 1))]
        return visit.go(f"/compare?{urlencode([('run', run_id) for run_id in runs])}")
    if what not in ("run", "delete"):
        raise InvalidInput("nothing is to be done", "run, delete or compare", "do")
    done, refused = 0, ""
    for each in chosen:
        try:
            if what == "run":
                visit.platform.backtests.run(visit.me, each)
            else:
                visit.platform.backtests.delete(visit.me, each)
            done += 1
        except PitbossError as error:
            refused = refused or error.message
    words = {"run": "queued", "delete": "removed"}[what]
    said = f"{done} of {len(chosen)} {words}" + (f"; {refused}" if refused else "")
    return visit.go("/library", said if chosen else "Nothing is chosen: tick some first")


class LibraryWatched:
    """Somebody's library."""

    def __init__(self, platform: Platform, who: Principal, root: str) -> None:
        self._cards = Cards(platform, who)
        self._root = root
        self._told = ""

    def look(self) -> Message | None:
        before, self._told = self._told, self._body()
        return None if before == self._told else {"parts": {"library": self._told}}

    def whole(self, _position: int) -> Message:
        return {"parts": {"library": self._body()}}

    def _body(self) -> str:
        return library_body(self._cards.all(), self._root)


def open_library(platform: Platform, who: Principal, _which: str, root: str) -> LibraryWatched:
    """Answer somebody's library to look at."""
    return LibraryWatched(platform, who, root)
