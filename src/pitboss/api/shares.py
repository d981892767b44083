"""Letting others read: runs and saved backtests with named accounts, a report by a link."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field, StrictStr, model_validator

from pitboss.api.backtests import BacktestId
from pitboss.api.schemas import RunModel, Strict
from pitboss.core.duration import seconds_of
from pitboss.http.deps import RunId, Who, Wired
from pitboss.runs.access import BACKTEST, RUN
from pitboss.runs.model import Run
from pitboss.runs.report import Report
from pitboss.runs.sharing import Shared

router = APIRouter(tags=["shares"])
AccountName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]
ShareId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A share's id.")]
LinkKey = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="What the link ends with.")]


class ShareRequest(Strict):
    """With which account a run is shared, or that a link is made; `expires` such as 7d, which a link must have."""

    account: AccountName | None = None
    link: bool = False
    expires: StrictStr | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> ShareRequest:
        if self.link == (self.account is not None):
            raise ValueError("name an account, or ask for a link")
        if self.link and self.expires is None:
            raise ValueError("a link must expire: write 7d")
        return self


class BacktestShareRequest(Strict):
    """With which account a saved backtest is shared; `expires` such as 7d, never without."""

    account: AccountName
    expires: StrictStr | None = None


class ShareModel(BaseModel):
    """That something may be read, and until when."""

    id: str
    account: str | None
    is_link: bool
    created_at: str
    expires_at: str | None


class NewShare(ShareModel):
    """A share that was just made; `path` is where a link leads, told this once."""

    path: str | None


@router.post("/runs/{run_id}/shares", status_code=201, response_model=NewShare)
def share(request: Request, run_id: RunId, platform: Wired, who: Who, given: ShareRequest) -> Any:
    """Let an account read a run, or make a link that shows its report alone."""
    own = platform.service.own(who, run_id)
    what = Shared(RUN, own.id, own.owner)
    lasts = seconds_of(given.expires, "expires") if given.expires is not None else None
    if given.account is not None:
        return platform.sharing.share(who, what, given.account, lasts).as_dict() | {"path": None}
    assert lasts is not None
    made, key = platform.sharing.link(who, what, lasts)
    return made.as_dict() | {"path": f"{request.scope.get('root_path', '')}/api/v1/shared/{key}"}


@router.get("/runs/{run_id}/shares", response_model=list[ShareModel])
def list_shares(run_id: RunId, platform: Wired, who: Who) -> Any:
    """List with whom a run of one's own is shared."""
    return [made.as_dict() for made in platform.sharing.of(RUN, platform.service.own(who, run_id).id)]


@router.delete("/runs/{run_id}/shares/{share_id}", status_code=204)
def unshare(run_id: RunId, share_id: ShareId, platform: Wired, who: Who) -> None:
    """Take a share back at once."""
    platform.sharing.unshare(who, RUN, platform.service.own(who, run_id).id, share_id)


@router.post("/backtests/{backtest_id}/shares", status_code=201, response_model=ShareModel)
def share_backtest(backtest_id: BacktestId, platform: Wired, who: Who, given: BacktestShareRequest) -> Any:
    """Let an account read a saved backtest and the runs that it makes."""
    own = platform.backtests.own(who, backtest_id)
    lasts = seconds_of(given.expires, "expires") if given.expires is not None else None
    return platform.sharing.share(who, Shared(BACKTEST, own.id, own.owner), given.account, lasts).as_dict()


@router.get("/backtests/{backtest_id}/shares", response_model=list[ShareModel])
def list_backtest_shares(backtest_id: BacktestId, platform: Wired, who: Who) -> Any:
    """List with whom a saved backtest of one's own is shared."""
    own = platform.backtests.own(who, backtest_id)
    return [made.as_dict() for made in platform.sharing.of(BACKTEST, own.id)]


@router.delete("/backtests/{backtest_id}/shares/{share_id}", status_code=204)
def unshare_backtest(backtest_id: BacktestId, share_id: ShareId, platform: Wired, who: Who) -> None:
    """Take a share back at once."""
    platform.sharing.unshare(who, BACKTEST, platform.backtests.own(who, backtest_id).id, share_id)


@router.get("/shared", response_model=list[RunModel])
def list_shared(platform: Wired, who: Who) -> Any:
    """List the runs that others share with one, by themselves, latest share first."""
    found = platform.service.several(who, list(platform.sharing.shared_with(who, RUN))[:500])
    return [run.as_dict() for run in found.values() if isinstance(run, Run)]


@router.get("/shared/{key}", response_model=Report)
def open_link(key: LinkKey, platform: Wired) -> Any:
    """Answer the report that a link shows; 404 when it has ended."""
    return platform.sharing.report(key)
