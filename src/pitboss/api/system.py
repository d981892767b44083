"""The queue, the workers, health and metrics over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pitboss.api.deps import Wired
from pitboss.api.schemas import QueueModel, WorkerModel
from pitboss.bootstrap import Platform
from pitboss.runs.model import worker_document

router = APIRouter(tags=["system"])
probes = APIRouter(tags=["system"])


@router.get("/queue", response_model=QueueModel)
def queue(platform: Wired) -> Any:
    """Answer what waits, in claiming order with the reason, and what is active."""
    return {
        "queued": [run.as_dict(place) for run, place in platform.service.queued()],
        "active": [run.as_dict() for run in platform.service.store.queue().active],
    }


@router.get("/workers", response_model=list[WorkerModel])
def workers(platform: Wired) -> Any:
    """List the workers and what they run."""
    snapshot = platform.service.store.queue()
    return [worker_document(worker, snapshot) for worker in snapshot.workers]


@probes.get("/healthz")
def healthz() -> dict[str, str]:
    """Answer that the server is alive."""
    return {"status": "ok"}


@probes.get("/readyz")
def readyz(platform: Wired) -> dict[str, Any]:
    """Answer that the database can be used; 503 when it cannot."""
    platform.check_schema()
    snapshot = platform.service.store.queue()
    live = [w for w in snapshot.workers if w.silent_seconds <= platform.settings.lease_seconds]
    return {"status": "ok", "workers": len(live), "queued": len(snapshot.queued)}


@probes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(platform: Wired) -> Response:
    """Answer figures for Prometheus."""
    registry = CollectorRegistry()
    registry.register(PlatformCollector(platform))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class PlatformCollector(Collector):
    """Reads the figures from the database when they are asked for, so that any server tells the same."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def collect(self) -> Iterator[GaugeMetricFamily]:
        snapshot = self.platform.service.store.queue()
        counts = self.platform.service.store.statistics()["by_state"]
        runs = GaugeMetricFamily("pitboss_runs", "Runs by state.", labels=["state"])
        for state, count in counts.items():
            runs.add_metric([state], count)
        yield runs
        active = GaugeMetricFamily("pitboss_active_runs", "Active runs by kind.", labels=["kind"])
        for kind, count in Counter(run.kind for run in snapshot.active).items():
            active.add_metric([kind], count)
        yield active
        yield GaugeMetricFamily("pitboss_queue_depth", "Queued runs.", value=len(snapshot.queued))
        waits = [snapshot.now - run.queued_at for run in snapshot.queued]
        yield GaugeMetricFamily(
            "pitboss_queue_oldest_seconds", "Wait of the oldest queued run.", value=max(waits, default=0)
        )
        yield GaugeMetricFamily("pitboss_workers", "Workers signed on.", value=len(snapshot.workers))
        slots = sum(worker.slots for worker in snapshot.workers)
        yield GaugeMetricFamily("pitboss_slots", "Slots of all workers.", value=slots)
