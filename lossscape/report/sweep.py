"""A sweep's page: how its runs ended, what compares them, and a line for each."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lossscape.figures.facts import facts_of
from lossscape.figures.section import Page, Part, Section, Sentences, Table
from lossscape.figures.training import shown_words, training_chart
from lossscape.report.page import write_report
from lossscape.report.sections import UNREADABLE
from lossscape.results import read_csv
from lossscape.runfiles import SWEEP, SWEEP_TABLE, RunFiles, cells_of, with_cells

SHOWN = 50
"""Runs that did not finish."""
DRAWN = 16
"""Runs whose training can be told apart in one figure."""


def write_sweep_report(home: Path, folder: Path, say: Callable[[str], None] = lambda words: None) -> Path:
    """Write folder/index.html of a sweep and its files; returns the page's path. Raises BadInput."""
    runs = [RunFiles(path) for path in with_cells([home])]
    return write_report(runs, folder, front=lambda page: _front(home, page), brief=True, of=[home], say=say)


def _front(home: Path, page: Page) -> Section:
    varied = list(dict.fromkeys(key for values in cells_of(home).values() for key in values))
    table = read_csv(home / SWEEP_TABLE, (*varied, "run", "state", "reason"))
    counts = Counter(table["state"])
    parts: list[Part] = [
        Sentences([f"{len(table)} runs: {', '.join(f'{count} {state}' for state, count in counts.items())}."])
    ]
    rows = table.loc[table["state"] != "finished", ["run", "state", "reason"]].head(SHOWN).to_numpy().tolist()
    if rows:
        parts.append(Table(rows, ["run", "state", "reason"], "Runs that did not finish.", words=(1, 2)))
    runs, facts = [RunFiles(path) for path in with_cells([home])], []
    with suppress(*UNREADABLE):  # the table of runs names those
        facts = [facts_of(run) for run in runs]
    if 1 < len(facts) <= DRAWN:
        alt = f"{shown_words(facts)} by epoch of {len(facts)} runs; the table has their last values."
        parts.append(training_chart(runs, page, alt))
    files = [page.copy(home / name) for name in (SWEEP_TABLE, SWEEP)]
    return Section(f"Sweep {home.resolve().name}", parts, files, heading="The sweep")
