"""The screen: which of many symbols pass by a screen document's criteria, on a date or on each of a range."""

from pitboss.kinds.screen.form import screen_form
from pitboss.kinds.screen.params import ScreenParams
from pitboss.kinds.screen.prepare import pinned, prepare
from pitboss.kinds.screen.report import about_of, item_of, news_of, outcome_of, passed_of, report_of
from pitboss.runs.kinds import Family, Kind

KIND = Kind(
    name="screen",
    title="Stock screen",
    params=ScreenParams,
    entry="pitboss.kinds.screen.job:run",
    preload=Family.NUMERIC,
    is_resumable=True,
    stages={"data": 0.05, "analysis": 0.9, "ranking": 0.05},
    resources={"bars": "pitboss.kinds.documents.bars:bars_of"},
    prepare=prepare,
    report=report_of,
    about=about_of,
    outcome=outcome_of,
    news=news_of,
    yields={"passed": passed_of},
    item=item_of,
    pinned=pinned,
    form=screen_form,
)
