"""The queue, the workers, health and metrics over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from pitboss.api.deps import Asked
from pitboss.api.schemas import QueueModel, WorkerModel
from pitboss.bootstrap import Platform
from pitboss.core.errors import NotReady
from pitboss.core.principal import LOCAL
from pitboss.http.deps import Lag, Who, Wired
from pitboss.runs.model import DEFAULT_RESOURCE, worker_document
from pitboss.runs.queue import obstacle

router = APIRouter(tags=["system"])
probes = APIRouter(tags=["system"])


@router.get("/queue", response_model=QueueModel)
async def queue(asked: Asked, who: Who) -> Any:
    """Answer what waits, in claiming order with the reason, and what is active."""
    return await asked.queue(who)


@router.get("/workers", response_model=list[WorkerModel])
def workers(platform: Wired, who: Who) -> Any:
    """List the workers, and which of one's own runs are theirs; an administrator's answer names all runs."""
    snapshot = platform.service.snapshot()
    hidden = set() if who.is_operator else {run.id for run in snapshot.active if not who.owns(run.owner)}
    described = [worker_document(worker, snapshot) for worker in snapshot.workers]
    return [each | {"runs": [run_id for run_id in each["runs"] if run_id not in hidden]} for each in described]


@probes.get("/healthz")
def healthz() -> dict[str, str]:
    """Answer that the server is alive."""
    return {"status": "ok"}


@probes.get("/readyz")
def readyz(request: Request, platform: Wired) -> dict[str, Any]:
    """Answer that runs can be taken and started; 503 with the reason when they cannot. Whom the server does not know
    is told nothing more."""
    platform.check_schema()
    snapshot = platform.service.snapshot()
    hindrance = obstacle(snapshot, platform.settings.lease_seconds)
    is_known = getattr(request.state, "who", LOCAL) is not None
    if hindrance:
        raise NotReady(hindrance if is_known else "no run can be started", "mend that; it is tried again by itself")
    live = [worker for worker in snapshot.workers if worker.has_renewed(platform.settings.lease_seconds)]
    if not is_known:
        return {"status": "ok"}
    return {"status": "ok", "workers": len(live), "queued": len(snapshot.queued)}


@probes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request, platform: Wired) -> Response:
    """Answer figures for Prometheus."""
    registry = CollectorRegistry()
    registry.register(PlatformCollector(platform, request.app.state.tailer.lag))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class PlatformCollector(Collector):
    """Reads the figures when they are asked for: those of runs from the database, so that any server tells the same."""

    def __init__(self, platform: Platform, lag: Lag) -> None:
        self.platform = platform
        self.lag = lag

    def collect(self) -> Iterator[Metric]:
        yield from self._runs()
        yield from self._queue()
        yield SummaryMetricFamily("pitboss_event_lag_seconds", "From the database to this server's streams.",
                                  count_value=self.lag.count, sum_value=self.lag.seconds)  # fmt: skip
        database = SummaryMetricFamily("pitboss_database_seconds", "This server's transactions.", labels=["door"])
        for door, timing in self.platform.database.timings.items():
            database.add_metric([door], timing.count, timing.seconds)
        yield database

    def _runs(self) -> Iterator[Metric]:
        measures = self.platform.service.measures()
        runs = GaugeMetricFamily("pitboss_runs", "Runs by state and kind.", labels=["state", "kind"])
        for (state, kind), count in measures.by_state_and_kind.items():
            runs.add_metric([state, kind], count)
        yield runs
        yield CounterMetricFamily("pitboss_lost_attempts", "Attempts that were interrupted.", measures.lost_attempts)
        yield _quantiles("pitboss_queue_wait_seconds", "From queued to claimed, of recent runs.", measures.waits)
        yield _quantiles("pitboss_cancel_seconds", "From a cancel to the end, of recent runs.", measures.cancels)

    def _queue(self) -> Iterator[Metric]:
        snapshot = self.platform.service.snapshot()
        lease = self.platform.settings.lease_seconds
        active = GaugeMetricFamily("pitboss_active_runs", "Active runs by kind.", labels=["kind"])
        for kind, count in Counter(run.kind for run in snapshot.active).items():
            active.add_metric([kind], count)
        yield active
        depth = GaugeMetricFamily("pitboss_queue_depth", "Queued runs by what they need.", labels=["resource"])
        for resource, count in Counter(run.resource for run in snapshot.queued).items() or [(DEFAULT_RESOURCE, 0)]:
            depth.add_metric([resource], count)
        yield depth
        oldest = max((snapshot.now - run.queued_at for run in snapshot.queued), default=0.0)
        yield GaugeMetricFamily("pitboss_queue_oldest_seconds", "Wait of the oldest queued run.", value=oldest)
        live = [worker for worker in snapshot.workers if worker.has_renewed(lease)]
        silent = len(snapshot.workers) - len(live)
        yield GaugeMetricFamily("pitboss_workers", "Workers that renew.", value=len(live))
        yield GaugeMetricFamily("pitboss_silent_workers", "Workers that do not.", value=silent)
        yield GaugeMetricFamily("pitboss_slots", "Slots of the workers that renew.", value=sum(w.slots for w in live))


def _quantiles(name: str, meaning: str, seconds: list[float]) -> Metric:
    """Answer the median, the 95th and the 99th percentile of sorted durations; none without any."""
    family = GaugeMetricFamily(name, meaning, labels=["quantile"])
    for quantile in (0.5, 0.95, 0.99) if seconds else ():
        family.add_metric([str(quantile)], seconds[min(len(seconds) - 1, int(quantile * len(seconds)))])
    return family
