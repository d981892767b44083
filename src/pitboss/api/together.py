"""What is asked most, by the programs that look after runs, answered together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import Response

from pitboss.bootstrap import Platform
from pitboss.core.errors import PitbossError
from pitboss.core.principal import Principal
from pitboss.http.together import Together
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.states import State

Answer = bytes | PitbossError
ANOTHERS = "another's run"


class Questions:
    """What is asked most, by the programs and pages that look after runs."""

    def __init__(self, platform: Platform) -> None:
        self._service = platform.service
        self._runs_asked: Together[tuple[Principal, str], bytes] = Together(self._runs)
        self._lists_asked: Together[tuple[Principal, RunQuery], bytes] = Together(self._lists)
        self._queues_asked: Together[Principal, bytes] = Together(self._queues)

    async def run(self, who: Principal, run_id: str) -> Response:
        """Answer a run. Raises NotFound."""
        return _as_response(await self._runs_asked.ask((who, run_id)))

    async def list(self, who: Principal, query: RunQuery) -> Response:
        """Answer a page of runs."""
        return _as_response(await self._lists_asked.ask((who, query)))

    async def queue(self, who: Principal) -> Response:
        """Answer the queue, as somebody may see it."""
        return _as_response(await self._queues_asked.ask(who))

    def _runs(self, asked: Sequence[tuple[Principal, str]]) -> dict[tuple[Principal, str], Answer]:
        answers: dict[tuple[Principal, str], Answer] = {}
        for who in {who for who, _ in asked}:
            found = self._service.several(who, [run_id for asking, run_id in asked if asking == who])
            places = self._places(run for run in found.values() if isinstance(run, Run))
            for run_id, run in found.items():
                said = encoded(run.as_dict(places.get(run_id))) if isinstance(run, Run) else run
                answers[who, run_id] = said
        return answers

    def _lists(self, asked: Sequence[tuple[Principal, RunQuery]]) -> dict[tuple[Principal, RunQuery], Answer]:
        return {key: self._said(partial(self._list, *key)) for key in asked}

    def _list(self, who: Principal, query: RunQuery) -> dict[str, Any]:
        found = self._service.find(who, query)
        places = self._places(found)
        items = [run.as_dict(places.get(run.id)) for run in found]
        return {"items": items, "next_cursor": found[-1].id if len(found) == query.limit else None}

    def _queues(self, asked: Sequence[Principal]) -> dict[Principal, Answer]:
        return {who: self._said(partial(self._queue, who)) for who in asked}

    def _queue(self, who: Principal) -> dict[str, Any]:
        queued = self._service.queued(who)
        return {
            "active": [run.as_dict() for run in self._service.active(who)],
            "queued": [run.as_dict(place) for run, place in queued if run is not None],
            "others": [{"position": place.position, "run": ANOTHERS} for run, place in queued if run is None],
        }

    def _places(self, runs: Any) -> Mapping[str, Any]:
        """Answer the places in the queue, where one of the runs has any."""
        return self._service.places() if any(run.state is State.QUEUED for run in runs) else {}

    def _said(self, answer: Callable[[], Any]) -> Answer:
        try:
            return encoded(answer())
        except PitbossError as error:
            return error


def _as_response(said: bytes) -> Response:
    return Response(said, media_type="application/json")


def encoded(value: Any) -> bytes:
    """Answer JSON as every endpoint of this server writes it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
