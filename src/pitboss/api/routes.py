"""Every route of the API, for a host to put where it wants."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from pitboss.api import (
    accounts,
    backtests,
    chains,
    channels,
    data,
    events,
    executions,
    kinds,
    models,
    operations,
    presets,
    runs,
    schedules,
    screens,
    scripts,
    secrets,
    sessions,
    shares,
    strategies,
    system,
    traders,
    trading,
)
from pitboss.api.access import ACCESS
from pitboss.http.access import admitting


def api_router(responses: dict[int | str, dict[str, Any]]) -> APIRouter:
    """Answer the routes of the API, probes included; `responses` describes the errors that any of them may answer."""
    router = APIRouter(responses=responses, dependencies=[Depends(admitting(ACCESS))])
    for module in (
        runs,
        events,
        executions,
        kinds,
        presets,
        schedules,
        chains,
        channels,
        scripts,
        operations,
        models,
        backtests,
        strategies,
        screens,
        data,
        traders,
        trading,
        sessions,
        shares,
        accounts,
        secrets,
        system,
    ):
        router.include_router(module.router)
    router.include_router(system.probes)
    return router
