"""Ask the command line of this process for the golden requests, and write down what came of each.

python tests/golden/asking.py FOLDER [REQUEST]...

Only what a user has is used: words in, files out. Each request works on a copy of `runs/` of its own, so none finds
what another one left, and what it answers is what `expected/` holds. `ENVIRONMENT` has to be set from outside.
"""

import contextlib
import hashlib
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
RUNS = HERE / "runs"
REQUESTS: dict[str, Any] = yaml.safe_load((HERE / "requests.yaml").read_text(encoding="utf-8"))
EXACT = "--precision fp64 --plan dense --quiet"
"""What the word EXACT of a request stands for: double precision and one plan, so that bytes can be compared."""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # the instructions that every x86-64 has, so that the same bytes come out on all of them; beside these there is
    # the C library's exp and log, whose last bit takes the fused multiply-add of CPUs since 2013
    "MKL_CBWR": "COMPATIBLE",
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "DNNL_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Nehalem",
    "MPLBACKEND": "agg",
}
ANSWERS = "answers.json"
LONGEST = 200
"""Lines of a CSV that are frozen. Work of more points may be timed on a slow machine, to choose how many samples go
through the net at a time, so of a longer one only its columns and its length are."""
NUMBERS = ("measures.json", "range.json", "path.json")
KEPT = (
    "curve.csv", "surface.csv", "line.csv", "points.csv", "certificate.json", "engine.json", "measures.json",
    "range.json", "targets.pt", "metrics.csv", "config.yaml", "environment.json", "resume.pt",
)  # fmt: skip
"""Files that a request which finds them finished has no reason to write."""


def lines_of(request: Any) -> list[str]:
    """The command lines of a request: one text, a list of them, or `run`."""
    lines = request["run"] if isinstance(request, dict) else request
    return [lines] if isinstance(lines, str) else list(lines)


def asked(folder: Path, names: Sequence[str] = ()) -> dict[str, Any]:
    """What a new process under ENVIRONMENT answers to some requests, or to all; folder: to work in."""
    command = [sys.executable, "-W", "error", str(Path(__file__).resolve()), str(folder), *names]
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    cache = {"LOSSSCAPE_CACHE": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, env=os.environ | ENVIRONMENT | cache, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the requests could not be asked:\n{done.stdout}{done.stderr}")
    return dict(json.loads((folder / ANSWERS).read_text(encoding="utf-8")))


def main() -> None:
    """Ask for the requests that are named, or for all."""
    import torch

    from tests.undrawn import leave_undrawn

    if torch.backends.cpu.get_cpu_capability() != "DEFAULT" or torch.get_num_threads() != 1:
        raise RuntimeError("the requests are asked in one thread and under ENVIRONMENT")
    leave_undrawn()
    folder, names = Path(sys.argv[1]).resolve(), sys.argv[2:]
    answers = {name: answer(folder / name, REQUESTS[name]) for name in names or REQUESTS}
    (folder / ANSWERS).write_text(json.dumps(answers), encoding="utf-8")


def answer(home: Path, request: Any) -> dict[str, Any]:
    """What a request leaves in a copy of the runs."""
    studies = lines_of(request)[0].startswith("study")
    shutil.copytree(RUNS, home / "runs", ignore=None if studies else shutil.ignore_patterns("study-*"))
    (home / "configs").symlink_to(REPOSITORY / "configs")
    (home / "studies").symlink_to(HERE / "studies")
    before = {path: path.read_bytes() for path in files_of(home)}
    if cut := request.get("cut") if isinstance(request, dict) else None:
        cut_short(home, cut)
    stamps = {path: path.stat().st_mtime_ns for path in before if path.exists()}
    codes, told, said = [], "", ""
    with contextlib.chdir(home):
        for line in lines_of(request):
            code, told, errors = call(shlex.split(line.replace("EXACT", EXACT)))
            codes.append(code)
            said += errors if code else ""
    now = files_of(home)
    checked = [path for path in before if not cut or path.name != "certificate.json"]
    changed = [path for path in checked if path_bytes(path) != before[path]]
    kept = [path for path in stamps if path.name in KEPT and path not in changed and not cut]
    rewritten = [path for path in kept if path.stat().st_mtime_ns != stamps[path]]
    made = sorted({path.parent for path in now if path not in before and path.name == "settings.yaml"})
    trained = [path for path in now if path not in before and path.name == "config.yaml"]
    found: dict[str, Any] = {"codes": codes} | ({"said": said} if said else {})
    if lines_of(request)[-1].startswith("runs"):
        found["told"] = told.splitlines()
    for word, paths in (("changed", changed), ("rewritten", rewritten)):
        if paths:
            found[word] = [str(path.relative_to(home)) for path in paths]
    if trained:
        found["runs"] = {str(path.parent.relative_to(home)): text_lines(path) for path in trained}
    found["results"] = {str(folder.relative_to(home)): result_of(folder) for folder in made}
    return found


def call(words: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `lossscape WORDS` in this process."""
    from lossscape.cli import main as command

    out, errors, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["lossscape", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            command()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return code, out.getvalue(), errors.getvalue()


def cut_short(home: Path, csv: str) -> None:
    """Leave a finished result as a killed process does: half of its points, and no certificate."""
    path = home / csv
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.with_name("points.csv").write_text("".join(lines[: 1 + len(lines) // 2]), encoding="utf-8")
    path.unlink()
    path.with_name("certificate.json").unlink()


def files_of(home: Path) -> list[Path]:
    """All files below the runs but locks and pages, in order."""
    found = (path for path in (home / "runs").rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(path for path in found if "report" not in path.relative_to(home).parts)


def path_bytes(path: Path) -> bytes | None:
    """What a file holds; None where it is gone."""
    return path.read_bytes() if path.exists() else None


def result_of(folder: Path) -> dict[str, Any]:
    """What a result's folder holds, without pictures and without what differs from machine to machine."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    found: dict[str, Any] = {
        "files": [str(path.relative_to(folder)) for path in files],
        "settings": text_lines(folder / "settings.yaml"),
        "csv": {str(path.relative_to(folder)): table_of(path) for path in files if path.suffix == ".csv"},
    }
    if not any("length" in table for table in found["csv"].values()):
        numbers = {path.name: text_lines(path) for path in files if path.name in NUMBERS}
        found |= {"json": numbers} if numbers else {}
    if tensors := {path.name: forms(path) for path in files if path.suffix == ".pt"}:
        found["tensors"] = tensors
    if (folder / "certificate.json").exists():
        said = json.loads((folder / "certificate.json").read_text(encoding="utf-8"))
        checks = sorted([check["kind"], check["name"], check["passed"]] for check in said["checks"])
        found["certificate"] = {"passed": said["passed"], "checks": checks}
    return found


def table_of(path: Path) -> dict[str, Any]:
    """The SHA-256 of a CSV and its lines; of a long one its columns and how many lines it has."""
    lines = text_lines(path)
    if len(lines) > LONGEST:
        return {"columns": lines[0], "length": len(lines)}
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "lines": lines}


def text_lines(path: Path) -> list[str]:
    """The lines of a text file; what its ends of lines are shows too."""
    return path.read_bytes().decode().split("\n")


def forms(path: Path) -> list[str]:
    """Name, kind and shape of each tensor of a file."""
    import torch

    def walk(value: Any, name: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, f"{name}/{key}" if name else str(key))
        else:
            yield f"{name}: {value.dtype} {list(value.shape)}"

    return list(walk(torch.load(path, map_location="cpu", weights_only=True), ""))


if __name__ == "__main__":
    main()
