"""A sweep's page: how its runs ended, what compares them, and a line for each."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from lossscape.figures.section import Page, Section, Sentences, Table
from lossscape.report.page import write_report
from lossscape.results import read_csv
from lossscape.runfiles import SWEEP, SWEEP_TABLE, RunFiles, cells_of, with_cells

SHOWN = 50
"""Runs that did not finish."""


def write_sweep_report(home: Path, folder: Path, say: Callable[[str], None] = lambda words: None) -> Path:
    """Write folder/index.html of a sweep and its files; returns the page's path. Raises BadInput."""
    runs = [RunFiles(path) for path in with_cells([home])]
    return write_report(runs, folder, front=lambda page: _front(home, page), brief=True, of=[home], say=say)


def _front(home: Path, page: Page) -> Section:
    varied = list(dict.fromkeys(key for values in cells_of(home).values() for key in values))
    table = read_csv(home / SWEEP_TABLE, (*varied, "run", "state", "reason"))
    counts = Counter(table["state"])
    parts: list[Sentences | Table] = [
        Sentences([f"{len(table)} runs: {', '.join(f'{count} {state}' for state, count in counts.items())}."])
    ]
    rows = table.loc[table["state"] != "finished", ["run", "state", "reason"]].head(SHOWN).to_numpy().tolist()
    if rows:
        parts.append(Table(rows, ["run", "state", "reason"], "Runs that did not finish.", words=(1, 2)))
    files = [page.copy(home / name) for name in (SWEEP_TABLE, SWEEP)]
    return Section(f"Sweep {home.resolve().name}", parts, files, heading="The sweep")
