"""The training: a model that learns from the bars what a strategy document says, fold by fold."""

from pitboss.kinds.documents.form import document_form
from pitboss.kinds.documents.prepare import pinned
from pitboss.kinds.documents.report import about_of
from pitboss.kinds.training.params import TrainingParams
from pitboss.kinds.training.prepare import companions, prepare
from pitboss.kinds.training.report import held_against, item_of, outcome_of, report_of
from pitboss.runs.kinds import Family, Kind

KIND = Kind(
    name="training",
    title="Training",
    params=TrainingParams,
    entry="pitboss.kinds.training.job:run",
    preload=Family.LEARNING,
    is_resumable=True,
    stages={"data": 0.02, "features": 0.04, "fold": 0.74, "refit": 0.1, "importance": 0.1},
    resources={"bars": "pitboss.kinds.documents.bars:bars_of"},
    prepare=prepare,
    companions=companions,
    held_against=held_against,
    report=report_of,
    about=about_of,
    outcome=outcome_of,
    item=item_of,
    pinned=pinned,
    form=document_form,
)
