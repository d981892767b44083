"""A script's report: how it ended, and the files that it left."""

from __future__ import annotations

from pitboss.runs.model import Run
from pitboss.runs.report import Download, Figure, Report, Unit


def report_of(run: Run) -> Report:
    """Answer the report of a script."""
    title = run.subject.removeprefix("script/")
    result = run.result
    if result is None:
        return Report(title=title)
    figures = [
        Figure(name="exit_code", label="Exit code", value=result["exit_code"], unit=Unit.COUNT),
        Figure(name="seconds", label="Seconds", value=result["seconds"], unit=Unit.SECONDS, good="low"),
        Figure(name="lines", label="Lines printed", value=result["lines"], unit=Unit.COUNT),
    ]
    return Report(
        title=title, figures=figures, downloads=[Download(artifact=name, title=name) for name in result["artifacts"]]
    )


def outcome_of(run: Run) -> str:
    """Answer how many files a script has left."""
    count = len((run.result or {}).get("artifacts", ()))
    return f"{count} file{'' if count == 1 else 's'}" if run.result else ""
