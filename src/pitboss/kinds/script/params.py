"""What a script is asked to do: its name, and the params that its declaration names."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from pitboss.runs.kinds import Params


class ScriptParams(Params):
    """A registered script, and its own params beside the name; `pitboss scripts show NAME` lists them."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"examples": [{"script": "nightly-screen", "min_score": 80}]}
    )

    script: str = Field(
        title="Script", description="the name in a script's declaration", examples=["nightly-screen"], max_length=64
    )

    @property
    def own(self) -> dict[str, Any]:
        """The params of the script itself."""
        return dict(self.model_extra or {})
