"""The scripts that are registered: those with a declaration in a folder that the operator has named."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pitboss.core.errors import InvalidInput, NotFound, Problem, suggest
from pitboss.core.principal import Principal
from pitboss.kinds.script.declaration import PLACEHOLDER, Declaration, declarations_in, read_declaration


@dataclass(frozen=True, slots=True)
class Script:
    """A declaration and where it stands."""

    path: Path
    declaration: Declaration

    @property
    def name(self) -> str:
        return self.declaration.name

    @property
    def folder(self) -> Path:
        return self.path.parent

    def own_files(self) -> list[Path]:
        """Answer the files of the command that lie beside the declaration, and the declaration."""
        named = (part for part in self.declaration.command if not PLACEHOLDER.search(part))
        beside = [self.folder / part for part in named if not os.path.isabs(part) and (self.folder / part).is_file()]
        return [self.path, *beside]

    def digest(self) -> str:
        """Answer a digest of the declaration and of the files that it runs (BLAKE2b, 128 bits)."""
        digest = hashlib.blake2b(digest_size=16)
        for path in self.own_files():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def command(self, values: Mapping[str, Any]) -> list[str]:
        """Answer the command line with its files found. Raises InvalidInput for a program that is not there."""
        literal = {part for part in self.declaration.command if not PLACEHOLDER.search(part)}
        program, *rest = self.declaration.arguments(values)
        beside = {part: str(self.folder / part) for part in literal if (self.folder / part).is_file()}
        return [self._program(program), *(beside.get(part, part) for part in rest)]

    def _program(self, name: str) -> str:
        if name in ("python", "python3"):
            return self._interpreter()
        own = self.folder / name
        if own.is_file():
            if not os.access(own, os.X_OK):
                raise InvalidInput(f"{name} cannot be executed", f"chmod +x {own}, or name its interpreter", "command")
            return str(own)
        found = shutil.which(name)
        if found is None:
            raise InvalidInput(
                f"there is no program '{name}'", f"it is no file in {self.folder}, nor on PATH", "command"
            )
        return found

    def _interpreter(self) -> str:
        named = self.declaration.python
        if not named:
            return sys.executable
        path = self.folder / Path(named).expanduser()
        if not os.access(path, os.X_OK) or path.is_dir():
            raise InvalidInput(f"python: {path} is no interpreter", "name one such as .venv/bin/python", "python")
        return str(path)


@dataclass(frozen=True, slots=True)
class Scripts:
    """The scripts of the registered folders, as somebody may use them."""

    folders: Sequence[Path]
    who: Principal

    def all(self) -> tuple[list[Script], list[Problem]]:
        """Answer every script by name, and what is wrong with those that cannot be used."""
        found: dict[str, Script] = {}
        problems: list[Problem] = []
        for folder in self.folders:
            if not folder.is_dir():
                problems.append(
                    Problem(f"{folder} is no folder", "mend script_folders in the settings", where=str(folder))
                )
            for path in declarations_in(folder):
                try:
                    script = Script(path, read_declaration(path))
                except InvalidInput as error:
                    first = error.problems[0]
                    problems.append(
                        Problem(first.message, first.remedy, first.line, first.column, first.text, str(path))
                    )
                    continue
                if script.name in found:
                    what = f"'{script.name}' is declared twice: in {found[script.name].path} too"
                    problems.append(Problem(what, "give one of them another name", where=str(path)))
                else:
                    found[script.name] = script
        return sorted(found.values(), key=lambda script: script.name), problems

    def get(self, name: str) -> Script:
        """Answer a script. Raises NotFound, which says what is wrong with one that cannot be used."""
        found, problems = self.all()
        script = next((each for each in found if each.name == name), None)
        if script is None:
            if not self.folders:
                raise NotFound("no scripts are registered", "name their folders in script_folders in the settings")
            broken = next((problem for problem in problems if Path(problem.where).name.startswith(f"{name}.")), None)
            why = f": {broken}" if broken else ""
            raise NotFound(f"there is no script '{name[:60]}'{why}", suggest(name, [each.name for each in found]))
        return script

    def located(self, script: Script, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """Answer the params with files and folders as whole paths, and a problem for every one that is not there, or
        that only an operator may name: others keep to the registered folders."""
        located, problems = dict(values), []
        for name, spec in script.declaration.params.items():
            if spec.type not in ("file", "folder") or values[name] is None:
                continue
            path = (script.folder / Path(values[name]).expanduser()).resolve()
            is_inside = any(path.is_relative_to(folder.resolve()) for folder in self.folders)
            if not self.who.is_operator and not is_inside:
                problems.append(Problem(f"'{name}' lies outside the registered folders", "name another", where=name))
            elif not (path.is_dir() if spec.type == "folder" else path.is_file()):
                problems.append(Problem(f"there is no {spec.type} {path}", f"'{name}' is a {spec.type}", where=name))
            located[name] = str(path)
        return located, problems
