"""How people name runs and what they left: by less than an id, by less than a file's name."""

from __future__ import annotations

from collections.abc import Sequence

from pitboss.core.errors import Conflict, NotFound, suggest
from pitboss.runs.model import PARQUET, Artifact, Run

SHORTEST = 4  # characters of an id that name a run


def run_named(recent: Sequence[Run], reference: str) -> Run:
    """Answer the run of the unique start or end of an id, or of a subject and number such as `trend#3`.

    Raises NotFound, Conflict.
    """
    subject, sharp, number = reference.rpartition("#")
    if sharp and number.isdigit():
        named = [run for run in recent if subject in (run.subject, run.subject.rpartition("/")[2])]
        matching = [run for run in named if run.number == int(number)]
    elif len(reference) >= SHORTEST:
        matching = [run for run in recent if run.id.startswith(reference) or run.id.endswith(reference)]
    else:
        matching = []
    if len(matching) > 1:
        raise Conflict(f"'{reference[:64]}' fits {len(matching)} runs", "write more of the id")
    if not matching:
        raise NotFound(f"there is no run '{reference[:64]}'", "list the runs to see which there are")
    return matching[0]


def artifact_named(artifacts: Sequence[Artifact], name: str, run_id: str) -> Artifact:
    """Answer the artifact of a name; a table answers without its ending too. Raises NotFound."""
    if not artifacts:
        raise NotFound(f"run {run_id} has no artifact", "it left no results, or they were pruned")
    tables = {each.name.removesuffix(".parquet"): each for each in artifacts if each.media_type == PARQUET}
    found = tables | {each.name: each for each in artifacts}
    if name not in found:
        raise NotFound(f"run {run_id} has no artifact '{name[:60]}'", suggest(name, found))
    return found[name]
