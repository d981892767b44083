"""Documents that are written in the desk, strategies and screens: mistakes told as one types, every version kept."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from pitboss.bootstrap import Platform
from pitboss.core.errors import InvalidInput, PitbossError, Problem
from pitboss.core.principal import Principal
from pitboss.kinds.documents.models import fix_models
from pitboss.runs.model import RunQuery
from pitboss.storage.documents import DocumentShelf
from pitboss.web.pages import Visit

MOST_TEXT = 64 * 1024
RUNS = 60  # of a document that its page shows


@dataclass(frozen=True, kw_only=True)
class Documents:
    """A sort of document: `word` is what one is called, `folder` where its pages are."""

    word: str
    folder: str
    template: str
    shelf: Callable[[Platform], DocumentShelf]
    inspect: Callable[[str], tuple[Any, list[Problem]]]
    read: Callable[[str], Any]

    def page(self, visit: Visit, text: str, **more: Any) -> Mapping[str, Any]:
        """Answer what the editor shows of a text."""
        series = visit.platform.catalog_of(visit.me).all()
        symbols = list(dict.fromkeys(each.symbol for each in series))
        empty: dict[str, Any] = {
            "stored": None, "versions": (), "runs": (), "changes": [], "against": None, "outcomes": {}, "about": {},
        }  # fmt: skip
        return empty | {"text": text, "symbols": symbols, "problems": self.inspect(text)[1], "doc": self, **more}

    def show(self, visit: Visit, name: str, version: int | None, against: int | None) -> Response:
        """Show a document in the editor, or what two versions differ in."""
        shelf, me = self.shelf(visit.platform), visit.me
        versions = shelf.versions(me.name, name)
        stored = shelf.get(me.name, name, version)
        changes = difference(shelf.get(me.name, name, against).text, stored.text) if against else []
        context = self.page(
            visit, stored.text, stored=stored, versions=versions[::-1], changes=changes, against=against,
            **self.runs_of(visit, name),
        )  # fmt: skip
        return visit.render(self.template, **context)

    def runs_of(self, visit: Visit, name: str) -> dict[str, Any]:
        """Answer the runs that were made with a document, the latest first, and what came of them."""
        runs = visit.platform.service.find(visit.me, RunQuery(subject=f"{self.word}/{name}", limit=RUNS))
        return {"runs": runs, "outcomes": {run.id: visit.platform.service.kinds.outcome(run) for run in runs}}

    def latest(self, visit: Visit, names: Sequence[str]) -> dict[str, Any]:
        """Answer the last run of each, where there is one."""
        service = visit.platform.service
        return {name: service.find(visit.me, RunQuery(subject=f"{self.word}/{name}", limit=1)) for name in names}

    async def keep(self, visit: Visit) -> Response:
        """Keep a text as the next version of its name."""
        return await run_in_threadpool(self._kept, visit, await text_of(visit))

    def _kept(self, visit: Visit, text: str) -> Response:
        try:
            document = self.read(text)
        except InvalidInput as error:
            return visit.render(self.template, 422, **self.page(visit, text, problems=error.problems))
        stored = self.shelf(visit.platform).add(visit.me.name, document.name, document.text)
        return visit.go(f"/{self.folder}/{stored.name}", f"Kept as version {stored.version}")


async def text_of(visit: Visit) -> str:
    """Answer the text that was sent, no more of it than a document may have."""
    text: str = (await visit.form()).get("text", [""])[0]
    return text.replace("\r\n", "\n")[: MOST_TEXT + 1]


def checked(name: str | None, problems: Sequence[Problem], hints: Sequence[Problem], unused: Sequence[str]) -> Response:
    """Answer an editor what is wrong with a text: mistakes, what is still missing, and what nothing uses."""
    return JSONResponse({
        "name": name, "problems": [problem.as_dict() for problem in problems],
        "hints": [problem.as_dict() for problem in hints], "unused": list(unused),
    })  # fmt: skip


async def previewed(ask: Callable[[], Any]) -> Response:
    """Answer an editor what a text does on bars, or why nothing can be shown."""
    try:
        return JSONResponse(await run_in_threadpool(ask))
    except PitbossError as error:
        problems = [problem.as_dict() for problem in error.problems] if isinstance(error, InvalidInput) else []
        return JSONResponse({"message": error.message, "problems": problems})


def models_of(platform: Platform, who: Principal, references: Collection[str]) -> dict[str, Any]:
    """Answer the models that a document asks, as a snapshot has them. Raises InvalidInput for what is not there."""
    found: dict[str, Any] = fix_models(references, platform.sources(who).models, {}, None, None).get("models", {})
    return found


def difference(before: str, after: str) -> list[tuple[str, str]]:
    """Answer the lines of two texts that differ, each with `+`, `-` or what it stands by."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3)
    return [(line[:1], line[1:]) for line in lines if not line.startswith(("+++", "---"))]
