"""The screens that there are: those that come with pitboss, and the operator's own beside the bars."""

from __future__ import annotations

from pitboss.core.files import Files
from pitboss.screening.builtin import builtin_screens

FOLDER = "screens"


def screens_of(files: Files) -> dict[str, str]:
    """Answer the texts by name; a file `screens/NAME.yaml` in the data folder takes the place of a built-in one."""
    own = {}
    for name in files.names(FOLDER):
        path = files.fetch(name)
        if path is not None and path.suffix == ".yaml":
            own[path.stem.replace("_", "-")] = path.read_text(encoding="utf-8", errors="replace")
    return builtin_screens() | own
