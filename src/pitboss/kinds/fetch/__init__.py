"""The fetch: bars of symbols brought from a source, as far as they are missing."""

from pitboss.kinds.fetch.params import FetchParams
from pitboss.kinds.fetch.prepare import prepare
from pitboss.kinds.fetch.report import about_of, item_of, outcome_of, report_of
from pitboss.runs.kinds import Family, Kind

KIND = Kind(
    name="fetch",
    title="Market data",
    params=FetchParams,
    entry="pitboss.kinds.fetch.job:run",
    preload=Family.NUMERIC,
    is_resumable=True,
    stages={"fetching": 1.0},
    resources={"bars": "pitboss.kinds.documents.bars:bars_of"},
    prepare=prepare,
    report=report_of,
    about=about_of,
    outcome=outcome_of,
    item=item_of,
)
