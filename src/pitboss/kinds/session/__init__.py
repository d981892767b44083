"""The session: a trader trades a replayed day minute by minute, or a range of days, in an account of its own."""

from pitboss.kinds.session.form import session_form
from pitboss.kinds.session.params import SessionParams
from pitboss.kinds.session.prepare import pinned, prepare
from pitboss.kinds.session.report import CANCELLED, IN_PROGRESS, about_of, item_of, news_of, outcome_of, report_of
from pitboss.runs.kinds import Family, Kind

KIND = Kind(
    name="session",
    title="Trading session",
    params=SessionParams,
    entry="pitboss.kinds.session.job:run",
    resource="session",
    preload=Family.AGENTS,
    is_resumable=True,
    words={"running": IN_PROGRESS, "cancelled": CANCELLED, "cancel": "Cancel Trading"},
    stages={"loading": 0.03, "trading": 0.94, "results": 0.03},
    resources={"bars": "pitboss.kinds.documents.bars:bars_of", "trading": "pitboss.storage.trading:trading_of"},
    prepare=prepare,
    report=report_of,
    about=about_of,
    outcome=outcome_of,
    news=news_of,
    item=item_of,
    pinned=pinned,
    form=session_form,
)
