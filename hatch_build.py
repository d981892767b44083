"""The build of the wheel: the desk's scripts and styles are built from npm's packages, and go into it."""

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DeskAssets(BuildHookInterface):  # type: ignore[type-arg]
    """Runs script/assets before a wheel is packed; an editable install is served from the checkout as it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        subprocess.run([str(Path(self.root) / "script" / "assets")], check=True)
        build_data["artifacts"].append("src/pitboss/web/static/*")
