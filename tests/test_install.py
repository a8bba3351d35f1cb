"""What an installation holds, and that a clone beside the working directory does not hide it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = {
    "py.typed", "cli/example.yaml", "data/embedded/ATTRIBUTION.md", "data/embedded/digits.csv.gz",
    "figures/lossscape.mplstyle",
    *(f"configs/{file.relative_to(ROOT / 'configs')}" for file in (ROOT / "configs").rglob("*.*")),
    *(f"report/{file.name}" for file in (ROOT / "lossscape/report").iterdir() if file.suffix in {".j2", ".js", ".css"}),
}  # fmt: skip
"""Files of the package beside its modules."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what is needed to build, in a folder that is called as the package is."""
    folder = tmp_path / "lossscape"
    shutil.copytree(ROOT / "lossscape", folder / "lossscape", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "configs", folder / "configs")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def build(clone: Path, kind: str) -> zipfile.ZipFile:
    """Build a wheel, `wheel` or `editable`, as pip does."""
    code = f"from hatchling import build; print(build.build_{kind}('../wheels'))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=clone, capture_output=True, text=True, check=True)
    return zipfile.ZipFile(clone.parent / "wheels" / answer.stdout.split()[-1])


def test_a_wheel_holds_the_package_its_data_and_the_licence(clone: Path) -> None:
    names = set(build(clone, "wheel").namelist())
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "lossscape").rglob("*.py")}
    package = {name for name in names if name.startswith("lossscape/")}
    assert package == modules | {f"lossscape/{name}" for name in DATA}
    licences = {name.partition("/licenses/")[2] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "lossscape/data/embedded/ATTRIBUTION.md"}


def test_an_editable_installation_is_not_hidden_by_the_clone(clone: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build(clone, "editable").extractall(site)
    code = (  # nothing but the standard library, the working directory as `python -c` has it, and the installation
        f"import sys, site; sys.path.insert(0, ''); site.addsitedir({str(site)!r})\n"
        "import lossscape; print(lossscape.__file__)"
    )
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == str(clone / "lossscape" / "__init__.py")
