"""What a server runs beside itself: a look each second, that outlives whatever goes wrong once."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from pitboss.core.errors import PitbossError, StorageUnavailable

logger = logging.getLogger("pitboss.routine")

T = TypeVar("T")
LOOK_SECONDS = 1.0
JOIN_SECONDS = 5.0  # what sends may wait for the other side for longer; whatever it was about is found again


class Looking(ABC):
    """Takes a turn every second, in a thread of its own."""

    name: str

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=self.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(JOIN_SECONDS)

    @abstractmethod
    def turn(self) -> object:
        """Look what there is to do, and do it. Raises PitbossError where that has to wait."""

    def each(self, about: str, action: Callable[[], T]) -> T | None:
        """Do something that is one thing's alone: what goes wrong with it is logged, and holds up no other. Raises
        StorageUnavailable, which all have to wait for."""
        try:
            return action()
        except StorageUnavailable:
            raise
        except Exception as error:
            logger.warning(f"the {self.name} leaves something be", extra={"about": about, "error": str(error)[:300]})
            return None

    def _keep(self) -> None:
        is_waiting = False
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.turn()
                is_waiting = False
            except PitbossError as error:
                if not is_waiting:  # told once, for as long as it lasts
                    logger.warning(f"the {self.name} waits", extra={"error": str(error)})
                is_waiting = True
            except Exception as error:
                logger.error(f"the {self.name} failed and goes on", exc_info=error)
