"""Runs and sweeps as a list, by their small files alone: nothing that they name is loaded, and torch is not either."""

import shlex
from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lossscape import yamlfile
from lossscape.errors import BadInput
from lossscape.files import is_held, whole_lines
from lossscape.runfiles import SWEEP, RunFiles, cells_of
from lossscape.text import code_name, counted

SHOWN = 8
"""Runs that a refusal lists."""


def check_run(run: RunFiles) -> None:
    """Raise BadInput that names runs which there are where a folder is missing or is no run."""
    if not run.path.is_dir():
        raise BadInput(f"{run.path}: no such run{_known_runs(run.path)}")
    if not run.config_file.is_file():
        raise BadInput(f"{run.path}: not a run, it has no config.yaml{_known_runs(run.path)}")


def _known_runs(path: Path) -> str:
    """The run that is nearest to what was named, in its folder or in runs, and those that lie beside it."""
    folder = next((each for each in (path.parent, Path("runs")) if list_runs(each)), None)
    if folder is None:
        return ""
    names = [run.path.name for run in list_runs(folder)]
    near = get_close_matches(path.name.lower(), [name.lower() for name in names], n=1)
    hint = [f" (did you mean {folder / name}?)" for name in names if name.lower() in near][:1]
    more = f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    return f"{''.join(hint)}; runs in {folder}: {', '.join(names[:SHOWN])}{more}"


def list_runs(folder: Path) -> list[RunFiles]:
    """The runs in a folder, by name."""
    return [RunFiles(path.parent) for path in sorted(folder.glob("*/config.yaml"))]


def list_sweeps(folder: Path) -> list[str]:
    """A line for each sweep in a folder: how many runs it has, and how they stand."""
    lines = []
    for home in sorted(path.parent for path in folder.glob(f"*/{SWEEP}")):
        try:
            names = list(cells_of(home))
        except BadInput:
            lines.append(f"sweep {home.name}: {SWEEP} cannot be read")
            continue
        states = Counter(
            _standing(run) if run.config_file.exists() else "to train" for run in (RunFiles(home / n) for n in names)
        )
        words = ", ".join([f"{counted(len(names), 'run')}", *(f"{count} {word}" for word, count in states.items())])
        lines.append(f"sweep {home.name}: {words} (lossscape runs --runs {shlex.quote(str(home))})")
    return lines


def standing(run: RunFiles) -> str:
    """finished, adopted, running, interrupted, failed, or stopped for one that says running but nobody works on."""
    word = str(run.state().get("state", "unknown"))
    return "stopped" if word == "running" and not is_held(run.path) else word


def _standing(run: RunFiles) -> str:
    """In a list, which ends at no run."""
    try:
        return standing(run)
    except (BadInput, OSError):
        return "unreadable"


def summary(run: RunFiles) -> tuple[str, ...]:
    """Name, data, model, optimizer, epochs done, final losses and accuracies, and state, as text.

    Read as plain data: listing runs loads no code that they name.
    """
    file = run.config_file
    try:
        config = yamlfile.read(file).data
        names = [_name(config.get(key)) for key in ("dataset", "model", "optimizer")]
        epochs = (config.get("training") or {}).get("epochs")
        file = run.metrics_file
        rows = last_metrics(run)
        shown = {"train_loss": ".4f", "train_accuracy": ".1%", "test_loss": ".4f", "test_accuracy": ".1%"}
        numbers = [f"{float(rows[key]):{form}}" if rows.get(key) else "-" for key, form in shown.items()]
        file = run.state_file
        word = standing(run)
    except (BadInput, OSError, KeyError, TypeError, AttributeError, ValueError):
        return (run.name, *["?"] * 8, f"{file.name} cannot be read")
    done = rows.get("epoch", "0") + ("" if epochs is None else f"/{epochs}")
    return (run.name, *names, done, *numbers, word)


def _name(section: dict[str, Any] | None) -> str:
    return "unknown" if section is None else code_name(str(section["name"]))


def last_metrics(run: RunFiles) -> dict[str, str]:
    """The last whole row of metrics.csv, with what was last evaluated where that was not; empty where there is none."""
    head, *lines = whole_lines(run.metrics_file) or [""]
    names, found = head.strip().split(","), dict[str, str]()
    for line in reversed(lines):
        row = dict(zip(names, line.strip().split(","), strict=True))
        found = row | {name: value for name, value in found.items() if value}
        if all(value for name, value in found.items() if name.startswith(("train_", "test_"))):
            break
    return found
