"""An environment of its own with pitboss from this checkout and packages from wheels, as a user would have them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Environment:
    """A virtual environment that sees the libraries of this one, and has pitboss and plug-ins of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        self.python = folder / "venv" / "bin" / "python"
        (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        own = next(path for path in sys.path if path.endswith("site-packages"))
        # the libraries, but not the editable pitboss: that one comes as a wheel
        libraries = folder / "libraries"
        libraries.mkdir()
        for entry in Path(own).iterdir():
            if "pitboss" not in entry.name and "editable" not in entry.name and entry.suffix != ".pth":
                (libraries / entry.name).symlink_to(entry)
        (packages / "libraries.pth").write_text(f"{libraries}\n")
        self.packages = packages

    def build(self, source: Path) -> Path:
        """Build a wheel from a copy of `source`, without a network; answer it."""
        copy = self.folder / f"build-{source.name}"
        copy.mkdir()
        shutil.copytree(source / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "script/assets"):
            if (source / name).exists():
                (copy / name).parent.mkdir(exist_ok=True)
                shutil.copy(source / name, copy / name)
        before = set(self.wheels.glob("*.whl"))
        self.wheels.mkdir(exist_ok=True)
        code = f"import os, hatchling.build as b; os.chdir({str(copy)!r}); b.build_wheel({str(self.wheels)!r})"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        (wheel,) = set(self.wheels.glob("*.whl")) - before
        return wheel

    def install(self, wheel: Path) -> None:
        uv = Path(sys.executable).with_name("uv")
        command = [uv, "--quiet", "--offline", "pip", "install", "--no-deps", "--python", self.python, wheel]
        subprocess.run(command, check=True, capture_output=True)

    def pitboss(self, *arguments: object, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run a command of this environment's pitboss."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PITBOSS_", "PYTHON"))}
        done = subprocess.run(
            [self.python, "-m", "pitboss.cli.main", *map(str, arguments)], env=clean | environment, cwd=self.folder,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0 or not check, done.stderr
        return done
