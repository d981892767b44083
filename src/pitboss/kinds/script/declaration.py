"""A script's declaration, `ANY.pitboss.yaml` beside it: how its command line is made, and what it prints and leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.core.yamltext import compose, load

ENDING = ".pitboss.yaml"
MOST_BYTES = 64 * 1024
PLACEHOLDER = re.compile(r"{([A-Za-z_]\w*)}")
GROUPS = ("done", "total", "item", "percent", "stage", "message")
# what scripts print anyway: tqdm's bars, [3/300] AAPL, 12.5 %
USUAL_PROGRESS = (
    r"(?:(?P<stage>[^\r\n:|]{1,60}): +)?(?P<percent>\d{1,3})%\|[^|]*\| *(?P<done>\d+)/(?P<total>\d+) ",
    r"\[ *(?P<done>\d+) */ *(?P<total>\d+) *\](?:\s+(?P<item>\S+))?",
    r"(?<![\d.])(?P<percent>\d{1,3}(?:\.\d+)?) ?%",
)
_TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "file": str,
    "folder": str,
    "list": list,
}


def _pattern(text: str) -> str:
    try:
        compiled = re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    unknown = set(compiled.groupindex) - set(GROUPS)
    if unknown:
        raise ValueError(f"unknown group '{min(unknown)}': name groups {', '.join(GROUPS)}")
    if not compiled.groups:
        raise ValueError("nothing is captured: name groups such as (?P<done>\\d+) and (?P<total>\\d+)")
    return text


def _glob(text: str) -> str:
    if text.startswith("/") or ".." in Path(text).parts or not text.strip():
        raise ValueError("artifacts lie in the script's working folder: write a pattern such as *.csv")
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParamSpec(_Part):
    """One param of a script. A file or a folder is a path: as it is, or from the declaration's folder."""

    type: Literal["string", "integer", "number", "boolean", "file", "folder", "list"] = "string"
    title: str = ""
    description: str = ""
    unit: str = ""
    required: bool = False
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    choices: list[Any] = []

    @model_validator(mode="after")
    def _default_fits(self) -> ParamSpec:
        if self.default is not None and (wrong := self.mistake(self.default)):
            raise ValueError(f"the default {wrong}")
        if self.required and self.default is not None:
            raise ValueError("what is required has no default")
        return self

    def mistake(self, value: Any) -> str:
        """Answer what is wrong with a value, in words that follow its name; empty when nothing is."""
        is_wrong_bool = isinstance(value, bool) and self.type in ("integer", "number")
        if not isinstance(value, _TYPES[self.type]) or is_wrong_bool:  # type: ignore[arg-type]
            return f"{str(value)[:40]!r} is no {self.type}"
        if self.type in ("integer", "number"):
            if self.minimum is not None and value < self.minimum:
                return f"is {value}, and at least {self.minimum:g}"
            if self.maximum is not None and value > self.maximum:
                return f"is {value}, and at most {self.maximum:g}"
        if self.choices and value not in self.choices:
            return f"is {str(value)[:40]!r}, and one of {', '.join(map(str, self.choices))}"
        texts = value if isinstance(value, list) else [value]
        return "holds a NUL character" if any("\x00" in str(text) for text in texts) else ""


class Declaration(_Part):
    """What a declaration says. `command` is never given to a shell."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    title: str = ""
    description: str = ""
    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    python: str = ""
    params: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,63}$")], ParamSpec] = {}
    progress: list[Annotated[str, AfterValidator(_pattern)]] = list(USUAL_PROGRESS)
    artifacts: list[Annotated[str, AfterValidator(_glob)]] = []
    environment: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")], str] = {}
    secrets: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]] = []

    @model_validator(mode="after")
    def _placeholders_are_params(self) -> Declaration:
        for part in self.command:
            for name in PLACEHOLDER.findall(part):
                if name not in self.params:
                    raise ValueError(f"the command names '{{{name}}}': {suggest(name, self.params)}")
        if "script" in self.params:
            raise ValueError("a param cannot be called 'script'")
        return self

    def check(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """Answer the params with their defaults, None in place of what is wrong, and every mistake."""
        problems = [
            Problem(f"unknown parameter '{name[:40]}'", suggest(name, self.params), where="params")
            for name in given
            if name not in self.params
        ]
        values = {}
        for name, spec in self.params.items():
            value = given.get(name, spec.default)
            if value is None and spec.required:
                problems.append(Problem(f"'{name}' is missing", spec.description or spec.title, where=name))
            elif value is not None and (wrong := spec.mistake(value)):
                problems.append(Problem(f"'{name}' {wrong}", spec.description or spec.title, where=name))
                value = None
            values[name] = value
        return values, problems

    def arguments(self, values: Mapping[str, Any]) -> list[str]:
        """Answer the command line. An option whose value is null goes with it; a list stands as several arguments; a
        boolean of its own after an option keeps the option when it is true, and takes it away when it is not."""
        found: list[str] = []
        for part in self.command:
            whole = PLACEHOLDER.fullmatch(part)
            value = values[whole[1]] if whole else None
            names = PLACEHOLDER.findall(part)
            follows_option = bool(found) and found[-1].startswith("-")
            if whole and isinstance(value, bool) and follows_option:
                if not value:
                    found.pop()
            elif whole and isinstance(value, list):
                found += map(str, value)
            elif any(values[name] is None for name in names):
                if whole and follows_option:
                    found.pop()
            else:
                found.append(PLACEHOLDER.sub(lambda match: _as_argument(values[match[1]]), part))
        return found


def _as_argument(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_declaration(path: Path) -> Declaration:
    """Read a declaration. Raises InvalidInput with every mistake and its position."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise InvalidInput(f"{path.name} is larger than {MOST_BYTES:,} bytes", "a declaration is a page", "script")
        root, found = compose(text), load(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InvalidInput(f"cannot read {path.name}: {reason}", "write YAML in UTF-8", str(path)) from None
    if not isinstance(found, dict) or root is None:
        raise InvalidInput(Problem(f"{path.name} is no mapping", "start with 'name: my-script'", 1, 1))
    try:
        return Declaration.model_validate(found)
    except ValidationError as error:
        lines = text.splitlines()
        raise InvalidInput([_placed(item, root, lines) for item in error.errors()]) from None


def _placed(item: Any, root: yaml.Node, lines: list[str]) -> Problem:
    where = ".".join(str(part) for part in item["loc"])
    mark = _mark(root, item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        known = ParamSpec.model_fields if item["loc"][0] == "params" else Declaration.model_fields
        return _problem(f"unknown key '{item['loc'][-1]}'", suggest(str(item["loc"][-1]), known), mark, lines, where)
    if item["type"] == "missing":
        return _problem(f"'{where}' is missing", "", mark, lines, where)
    shown = f"{message[:1].lower()}{message[1:]}"
    return _problem(f"{where}: {shown}" if where else shown, "see docs/how-to/run-scripts.md", mark, lines, where)


def _problem(message: str, remedy: str, mark: Any, lines: list[str], where: str) -> Problem:
    text = lines[mark.line].strip()[:200] if mark.line < len(lines) else ""
    return Problem(message, remedy, mark.line + 1, mark.column + 1, text, where)


def _mark(node: yaml.Node, path: tuple[Any, ...]) -> Any:
    """Answer where in the text the thing at `path` stands, as far as it is there."""
    for part in path:
        if isinstance(node, yaml.MappingNode):
            following = next((value for key, value in node.value if getattr(key, "value", None) == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            following = node.value[part]
        else:
            following = None
        if following is None:
            break
        node = following
    return node.start_mark


def declarations_in(folder: Path) -> Iterator[Path]:
    """Yield the declarations of a folder and those below it; what is hidden, and environments, are passed over."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink() and entry.name not in ("node_modules", "__pycache__"):
            yield from declarations_in(entry)
        elif entry.name.endswith(ENDING):
            yield entry
