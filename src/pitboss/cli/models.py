"""`pitboss models …`: versions of trained models, and which of them a name means."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.bootstrap import Platform
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.platform import platform_of
from pitboss.cli.render import table
from pitboss.core.clock import micros_to_iso, to_iso
from pitboss.core.errors import DiskFull, InvalidInput, NotFound
from pitboss.core.places import absolute
from pitboss.learning.registry import CHAMPION, ModelVersion

app = typer.Typer(help="List, compare, promote and export trained models.", no_args_is_help=True)
Reference = Annotated[str, typer.Argument(help="A model's name, name@3 or name@alias; a bare name is its champion.")]
COMPARED = ("learner", "timeframe", "symbols", "features", "label", "window", "folds", "scores")


@app.command("list")
def list_models(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the versions of all models."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = platform.models.all(platform.who)
    if as_json:
        print_json([_told(version) for version in found])
    elif found:
        columns = ("model", "aliases", "learner", "symbols", "trained (UTC)", "asked from", "skill", "run")
        table(columns, [_row(version) for version in found])
    else:
        print("There are no models: 'pitboss train STRATEGY --symbol …' makes one.")


def _told(version: ModelVersion) -> dict[str, Any]:
    return version.as_dict() | {"created_at": to_iso(version.created_at)}


def _row(version: ModelVersion) -> list[Any]:
    told = version.described
    skill = told["scores"].get("skill")
    aliases = [*version.aliases, *(["partial"] if version.is_partial else [])]
    return [
        version.label, ", ".join(aliases), told["learner"], ", ".join(told["symbols"][:3]),
        (to_iso(version.created_at) or "")[:16].replace("T", " "), micros_to_iso(told["since"])[:10],
        None if skill is None else f"{skill:+.3f}", version.run[-12:],
    ]  # fmt: skip


@app.command()
def show(reference: Reference, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show where a version comes from, and what it was worth."""
    with platform_of(data_dir, takes_up=False) as platform:
        version = platform.models.find(platform.who, reference)
    if as_json:
        print_json(_told(version))
        return
    told = version.described
    print("  ".join([version.label, *version.aliases, *(["partial"] * version.is_partial), f"run {version.run}"]))
    rows = [
        ["learner", told["learner"]], ["bars", f"{', '.join(told['symbols'])} {told['timeframe']}"],
        ["window", " to ".join(each[:16] for each in told["window"])], ["asked from", micros_to_iso(told["since"])],
        ["the last model from", micros_to_iso(told["until"]) if told["has_final"] else "there is none"],
        ["label", ", ".join(f"{name} {value}" for name, value in told["label"].items())],
        ["features", ", ".join(told["features"])], ["digest", version.digest],
        *([name, _number(value)] for name, value in told["scores"].items() if value is not None),
    ]  # fmt: skip
    table(("", ""), rows)
    columns = ("fold", "best", "loss", "skill", "failure")
    table(columns, [[_number(fold.get(column)) for column in columns] for fold in told["folds"]])


@app.command()
def compare(
    references: Annotated[list[str], typer.Argument(help="Versions: name@1 name@2.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Hold versions against each other: what they are made of, and what they were worth."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = [platform.models.find(platform.who, reference) for reference in references]
    if as_json:
        print_json([_told(version) for version in found])
        return
    table(("", *(version.label for version in found)), list(_compared(found)))


def _compared(found: Sequence[ModelVersion]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for name in COMPARED:
        if name == "scores":
            scores = [version.described["scores"] for version in found]
            named = list(dict.fromkeys(score for each in scores for score in each))
            rows += [[score, *(_number(each.get(score)) for each in scores)] for score in named]
        else:
            rows.append([name, *(_short(version.described[name]) for version in found)])
    return rows


@app.command()
def promote(
    reference: Reference,
    alias: Annotated[str, typer.Option("--as", help="What points at it from now on.")] = CHAMPION,
    data_dir: DataDir = None,
) -> None:
    """Have a name point at a version: as champion it is what the bare name means."""
    with platform_of(data_dir, takes_up=False) as platform:
        version = platform.models.promote(platform.who, reference, alias)
    print(f"{version.name}@{alias} is version {version.version}")


@app.command()
def export(
    reference: Reference,
    to: Annotated[Path, typer.Option(help="A .zip or .onnx to write.")],
    data_dir: DataDir = None,
) -> None:
    """Write the files of a version, each model in its learner's own format, as .zip; or its last model as .onnx."""
    path = absolute(to, "--to")
    if path.suffix not in (".zip", ".onnx"):
        raise InvalidInput(f"'{to}' is neither .zip nor .onnx", "write --to model.zip", "--to")
    with platform_of(data_dir, takes_up=False) as platform:
        version = platform.models.find(platform.who, reference)
        files = _files_of(platform, version)
        last = _as_onnx(platform, version) if path.suffix == ".onnx" else None
    try:
        if last is not None:
            path.write_bytes(last)
        else:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, source in files.items():
                    archive.write(source, name)
    except OSError as error:
        raise DiskFull(f"cannot write {to}: {error.strerror or error}", "check the folder and the space") from None
    print(f"{version.label}: {'its last model' if last is not None else f'{len(files)} files'} → {to}")


def _as_onnx(platform: Platform, version: ModelVersion) -> bytes:
    """Answer the last model of a version. Raises InvalidInput where what writes it is not installed."""
    from pitboss.kinds.documents.models import models_in  # with its libraries

    described = {"name": version.name, "version": version.version, "run": version.run, "digest": version.digest}
    model: Any = models_in({"models": {"it": described}}, platform.files)["it"]
    try:
        from pitboss.learning.onnxfiles import exported
    except ModuleNotFoundError:
        raise InvalidInput("ONNX is not installed here", "pip install 'pitboss[onnx]'", "--to") from None
    return exported(model.pieces[-1].fitted, len(model.features))


def _files_of(platform: Platform, version: ModelVersion) -> dict[str, Path]:
    """Answer the files of a version. Raises NotFound where one is gone."""
    named = ["model.json", *(each["file"] for each in version.described["files"])]
    found = {name: platform.files.fetch(f"artifacts/{version.run}/{name}") for name in named}
    if gone := [name for name, path in found.items() if path is None]:
        raise NotFound(f"{version.label} has lost {', '.join(gone)}", "train it again")
    return {name: path for name, path in found.items() if path is not None}


@app.command()
def remove(reference: Reference, data_dir: DataDir = None) -> None:
    """Forget a version; the champion only when there is no other."""
    with platform_of(data_dir, takes_up=False) as platform:
        version = platform.models.remove(platform.who, reference)
    print(f"removed {version.label}")


def _number(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, list):
        return str(len(value)) if value and isinstance(value[0], dict) else ", ".join(str(each) for each in value)
    return str(value)
