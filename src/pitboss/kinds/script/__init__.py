"""The user's own scripts: any executable or Python file that stands, with a declaration, in a registered folder."""

from pitboss.kinds.script.form import script_form
from pitboss.kinds.script.params import ScriptParams
from pitboss.kinds.script.prepare import prepare
from pitboss.kinds.script.report import outcome_of, report_of
from pitboss.runs.kinds import Kind

KIND = Kind(
    name="script",
    title="Script",
    params=ScriptParams,
    entry="pitboss.kinds.script.job:run",
    prepare=prepare,
    report=report_of,
    outcome=outcome_of,
    form=script_form,
)
