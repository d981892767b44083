"""Secrets: they are written, and never shown again."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.web.pages import Desk

router = APIRouter()


@router.post("/settings/secrets")
async def change(visit: Desk) -> Response:
    """Keep a secret, or remove one."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    name, vault = form.get("name", ""), visit.platform.vault
    if form.get("do") == "remove":
        await run_in_threadpool(vault.remove, visit.me, name)
        return visit.go("/settings", f"{name} is removed")
    await run_in_threadpool(vault.put, visit.me, name, form.get("value", ""))
    return visit.go("/settings", f"{name} is kept; it is not shown again")
