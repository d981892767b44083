"""The session: a trader trades a replayed day minute by minute, or a range of days, in an account of its own."""

from pitboss.kinds.session.audit import AuditParams, prepare_audit
from pitboss.kinds.session.audit import about_of as about_of_audit
from pitboss.kinds.session.audit import report_of as report_of_audit
from pitboss.kinds.session.form import session_form
from pitboss.kinds.session.params import SessionParams
from pitboss.kinds.session.prepare import pinned, prepare
from pitboss.kinds.session.report import CANCELLED, IN_PROGRESS, about_of, item_of, news_of, outcome_of, report_of
from pitboss.runs.kinds import Family, Kind

AUDIT = Kind(
    name="audit",
    title="Contamination audit",
    params=AuditParams,
    entry="pitboss.kinds.session.auditjob:run",
    resource="session",
    preload=Family.AGENTS,
    stages={"sessions": 0.9, "memory": 0.1},
    resources={"bars": "pitboss.kinds.documents.bars:bars_of"},
    prepare=prepare_audit,
    report=report_of_audit,
    about=about_of_audit,
)
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
