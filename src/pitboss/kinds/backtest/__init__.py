"""The backtest: one strategy document over stored bars."""

from pitboss.kinds.backtest.params import BacktestParams
from pitboss.kinds.backtest.report import outcome_of, report_of
from pitboss.kinds.documents.form import document_form
from pitboss.kinds.documents.prepare import pinned, prepare_document
from pitboss.kinds.documents.report import about_of
from pitboss.runs.kinds import Family, Kind

KIND = Kind(
    name="backtest",
    title="Backtest",
    params=BacktestParams,
    entry="pitboss.kinds.backtest.job:run",
    preload=Family.NUMERIC,
    is_resumable=True,
    stages={"loading bars": 0.2, "simulating": 0.8},
    resources={"bars": "pitboss.kinds.documents.bars:bars_of"},
    prepare=prepare_document,
    report=report_of,
    about=about_of,
    outcome=outcome_of,
    pinned=pinned,
    form=document_form,
)
