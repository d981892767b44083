"""The screens that there are: those that come with pitboss, the operator's beside the bars, and one's own."""

from __future__ import annotations

from collections.abc import Mapping

from pitboss.core.files import Files
from pitboss.screening.builtin import builtin_screens

FOLDER = "screens"


def screens_of(files: Files, own: Mapping[str, str]) -> dict[str, str]:
    """Answer the texts by name; a file `screens/NAME.yaml` in the data folder takes the place of a built-in one, and
    one's own that of either. Names are told with dashes, however they are written."""
    shared = {}
    for name in files.names(FOLDER):
        path = files.fetch(name)
        if path is not None and path.suffix == ".yaml":
            shared[path.stem.replace("_", "-")] = path.read_text(encoding="utf-8", errors="replace")
    return builtin_screens() | shared | {name.replace("_", "-"): text for name, text in own.items()}
