"""What many ask at once, answered by one call: one thread and one trip to the database for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from pitboss.core.errors import PitbossError

Key = TypeVar("Key", bound=Hashable)
Said = TypeVar("Said")


class Together(Generic[Key, Said]):
    """Answers questions in turns: whoever asks during one is answered by the next, and so from what was said before.

    `answer` is called in a thread with all the questions of a turn, each once; where something is wrong with one, its
    answer is the error to raise.
    """

    def __init__(self, answer: Callable[[Sequence[Key]], Mapping[Key, Said | PitbossError]]) -> None:
        self._answer = answer
        self._asked: dict[Key, asyncio.Future[Said | PitbossError]] = {}
        self._turns: asyncio.Task[None] | None = None

    async def ask(self, key: Key) -> Said:
        """Answer one question. Raises what its answer is, or what kept all of them from being answered."""
        if key not in self._asked:
            self._asked[key] = asyncio.get_running_loop().create_future()
        answer = self._asked[key]
        if self._turns is None:
            self._turns = asyncio.create_task(self._take_turns())
        found = await asyncio.shield(answer)
        if isinstance(found, PitbossError):
            raise found
        return found

    async def _take_turns(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                try:
                    found = await asyncio.to_thread(self._answer, list(asked))
                except PitbossError as error:
                    found = dict.fromkeys(asked, error)
                except Exception as error:
                    for answer in asked.values():
                        answer.set_exception(error)
                    continue
                for key, answer in asked.items():
                    answer.set_result(found[key])
        finally:
            self._turns = None
