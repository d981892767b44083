"""`pitboss kinds …` and `pitboss run KIND`: any kind of run, from its declaration."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.cli.desk import desk_of
from pitboss.cli.flags import Launch, grouped
from pitboss.cli.options import AsJson, DataDir, print_json, read_params
from pitboss.cli.platform import platform_of
from pitboss.cli.render import notes, table
from pitboss.cli.watching import follow_submitted
from pitboss.core.errors import InvalidInput, NotFound, suggest
from pitboss.core.places import absolute
from pitboss.core.yamltext import load
from pitboss.runs.documents import kind_document, param_rows
from pitboss.runs.submission import Submission

app = typer.Typer(help="List and describe the kinds of run.", no_args_is_help=True)
MOST_BYTES = 16 << 20  # of a file with params
MOST_DEPTH = 32


@app.command("list")
def list_kinds(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the kinds of run that are installed, and what is wrong with any."""
    with platform_of(data_dir, takes_up=False) as platform:
        kinds, faults = list(platform.kinds.values()), platform.service.kind_faults(platform.who)
    if as_json:
        print_json({"kinds": [kind_document(kind) for kind in kinds], "faults": [fault.as_dict() for fault in faults]})
        return
    rows = [[kind.name, kind.title, kind.resource, "yes" if kind.is_resumable else "no", kind.source] for kind in kinds]
    table(("kind", "title", "slots", "resumable", "from"), rows)
    for fault in faults:
        notes.print(f"{fault.name} of {fault.source or '?'}: {fault.reason}", markup=False, style="yellow")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A kind, such as backtest.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what a kind is asked to do: its params with meanings, units and bounds."""
    with platform_of(data_dir, takes_up=False) as platform:
        kind = platform.kinds.get(name)
        if kind is None:
            raise NotFound(f"there is no kind '{name[:40]}'", suggest(name, platform.kinds))
    described = kind_document(kind)
    if as_json:
        print_json(described)
        return
    print(f"{kind.name}: {kind.title}{', can be resumed' if kind.is_resumable else ''}")
    table(("param", "type", "default", "meaning"), param_rows(kind))
    for example in described["examples"]:
        print(f"\nexample: pitboss run {kind.name} --params FILE, with\n{json.dumps(example, indent=2)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenParams:
    """Params of a run, one by one and in a file."""

    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="A param: cash=5000; repeat.")] = None
    params: Annotated[Path | None, typer.Option("--params", help="A JSON or YAML file with params; - reads.")] = None

    def read(self) -> dict[str, Any]:
        """Answer them by name; one that is given alone wins. Raises InvalidInput."""
        return (read_params_file(self.params) if self.params else {}) | read_params(self.param, "--param")


@grouped
def run(
    kind: Annotated[str, typer.Argument(help="A kind of run; 'pitboss kinds list' names them.")],
    launch: Launch,
    given: GivenParams,
    resource: Annotated[
        str | None, typer.Option(help="Which slots it takes, such as gpu.", show_default="the kind's")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Whose params it begins with; see 'pitboss presets'.")] = None,
) -> None:
    """Run any kind: submit, watch, and show what came of it."""
    with desk_of(launch.data_dir) as desk:
        params = desk.presets.under(desk.who, kind, preset, given.read())
        request = Submission(kind=kind, params=params, **launch.fields_of_submission(resource))
        follow_submitted(desk, desk.service.submit(desk.who, request), launch.as_json, launch.detach)


def read_params_file(path: Path) -> dict[str, Any]:
    """Read a file with params as JSON or YAML; `-` is standard input. Raises InvalidInput."""
    try:
        if str(path) == "-":
            text = sys.stdin.read(MOST_BYTES)
        else:
            with absolute(path, "--params").open(encoding="utf-8") as file:
                text = file.read(MOST_BYTES)
        found = load(text, MOST_DEPTH)  # JSON is YAML
    except (OSError, UnicodeDecodeError) as error:
        what = f"{path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        raise InvalidInput(what, "write params as a JSON or YAML mapping in UTF-8", "--params") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise InvalidInput(f"{path} holds no mapping of params", 'write {"name": value}', "--params")
    return json.loads(json.dumps(found, default=str))  # type: ignore[no-any-return]
