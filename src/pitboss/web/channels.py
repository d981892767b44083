"""Channels: where somebody is told of what has happened. Their addresses are written, and never shown again."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.web.pages import Desk

router = APIRouter()


@router.post("/settings/channels")
async def change(visit: Desk) -> Response:
    """Keep a channel, try it, or remove it."""
    form = await visit.form()
    name = next(iter(form.get("name", [])), "")
    channels = visit.platform.channels
    match next(iter(form.get("do", [])), ""):
        case "remove":
            await run_in_threadpool(channels.remove, visit.me, name)
            return visit.go("/settings", f"{name} is removed")
        case "test":
            await run_in_threadpool(channels.test, visit.me, name)
            return visit.go("/settings", f"{name} took it")
    address = next(iter(form.get("address", [])), "")
    await run_in_threadpool(channels.add, visit.me, name, address, form.get("news", []))
    return visit.go("/settings", f"{name} is kept; its address is not shown again")
