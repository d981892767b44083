"""Flags that belong together, declared once as a dataclass and taken by a command as one argument."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_origin, get_type_hints

import typer

from pitboss.cli.options import AsJson, DataDir, Detach, options_of

MEANING = "meaning"  # under which a field of a dataclass that knows nothing of commands says what it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a run is queued, and what its command then does."""

    priority: Annotated[str, typer.Option(help="low, normal, high or a number.")] = "normal"
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag; repeat for several.")] = None
    max_seconds: Annotated[float | None, typer.Option("--max-seconds", help="Time limit of the run.")] = None
    max_memory: Annotated[float | None, typer.Option("--max-memory", help="Memory limit of the run, MB.")] = None
    data_dir: DataDir = None
    as_json: AsJson = False
    detach: Detach = False

    def fields_of_submission(self, resource: str | None = None) -> dict[str, Any]:
        """Answer what a submission says beside its kind and its params."""
        options = options_of(self.max_seconds, self.max_memory, resource)
        return {"priority": self.priority, "tags": self.tag or [], "options": options}


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Answer a command that takes one by one, as its flags, what `command` takes together as dataclasses.

    A field is a flag as its annotation says, or one of its own name with the meaning that it bears.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[Parameter] = []
    for own in signature(command).parameters.values():
        hint = hints[own.name]
        one = own.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY)
        parameters += _flags(groups[own.name]) if own.name in groups else [one]

    @wraps(command)
    def called(**given: Any) -> None:
        made = {name: group(**{f.name: given.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        command(**given, **made)

    called.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def _flags(group: Any) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for own in fields(group):
        default = Parameter.empty if own.default is MISSING else own.default
        yield Parameter(own.name, Parameter.KEYWORD_ONLY, default=default, annotation=_as_flag(own, hints[own.name]))


def _as_flag(own: Field[Any], hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        return hint
    names = [f"--{own.name.replace('_', '-')}"] if hint is bool else []  # without its --no-
    return Annotated[hint, typer.Option(*names, help=own.metadata[MEANING])]
