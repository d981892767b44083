"""The sweep: every combination of a grid of parameters of one strategy document over stored bars."""

from pitboss.kinds.documents.form import document_form
from pitboss.kinds.documents.prepare import pinned
from pitboss.kinds.documents.report import about_of
from pitboss.kinds.sweep.params import SweepParams
from pitboss.kinds.sweep.prepare import prepare
from pitboss.kinds.sweep.report import item_of, outcome_of, report_of
from pitboss.runs.kinds import Family, Kind

KIND = Kind(
    name="sweep",
    title="Parameter sweep",
    params=SweepParams,
    entry="pitboss.kinds.sweep.job:run",
    preload=Family.NUMERIC,
    is_resumable=True,
    stages={"loading bars": 0.02, "sweeping": 0.98},
    resources={"bars": "pitboss.kinds.documents.bars:bars_of"},
    prepare=prepare,
    report=report_of,
    about=about_of,
    outcome=outcome_of,
    item=item_of,
    pinned=pinned,
    form=document_form,
)
