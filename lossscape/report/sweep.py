"""A sweep on the page: how its runs ended, what each varied value does, and a table of all runs that sorts."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lossscape.analyses.compare.result import unit_of, value_words
from lossscape.errors import BadInput
from lossscape.figures.facts import Facts, facts_of
from lossscape.figures.section import Chart, Page, Part, Section, Sentences, Table
from lossscape.figures.training import shown_words, training_chart
from lossscape.report.sections import Results, find
from lossscape.report.varied import Varied, best_chart, grouped_chart
from lossscape.results import metrics_of, read_csv
from lossscape.runfiles import SWEEP, SWEEP_TABLE, RunFiles, cells_of, with_cells
from lossscape.text import counted

FINISHED = "finished"
SHOWN = 50
"""Runs that did not finish."""
DRAWN = 16
"""Runs whose training can be told apart in one figure."""
GROUPINGS = 4
"""Charts of what the varied values do."""


@dataclass(frozen=True)
class SweepPart:
    """What the page shows of a sweep."""

    section: Section
    more: list[Chart]
    """What is folded at first: a chart for each further key, and one of all runs."""
    found: Results
    """What was computed of its runs together."""


def sweep_part(home: Path, page: Page, anchor: str, hidden: set[Path]) -> SweepPart:
    """A sweep with its chart, its table and its comparisons; anchor, hidden: as of `find`.

    Raises BadInput where it has no table yet.
    """
    cells = cells_of(home)
    varied = list(dict.fromkeys(key for values in cells.values() for key in values))
    table = read_csv(home / SWEEP_TABLE, (*varied, "run", "state", "reason")).set_index("run", drop=False)
    facts = {run.name: facts for run in map(RunFiles, with_cells([home])) if (facts := _facts(run)) is not None}
    columns = [f"{split}_{name}" for split in ("train", "test") for name in ("loss", *metrics_of(table))]
    columns = [column for column in columns if column in table]
    ranked = next((each for each in ("test_accuracy", "test_loss", "train_loss") if each in columns), "train_loss")
    sweep = Varied(home.resolve().name, cells, facts, ranked)
    counts = Counter(table["state"])
    parts: list[Part] = [
        Sentences(
            [f"{counted(len(table), 'run')}: {', '.join(f'{count} {state}' for state, count in counts.items())}."]
        ),
        *_shared([*facts.values()]),
    ]
    rows = table.loc[table["state"] != FINISHED, ["run", "state", "reason"]].head(SHOWN).to_numpy().tolist()
    if rows:
        parts.append(Table(rows, ["run", "state", "reason"], "Runs that did not finish.", words=(1, 2)))
    charts = _charts(home, sweep, page)
    parts += [*charts[:1], _table(sweep, table, varied, columns)]
    files = [page.copy(home / name) for name in (SWEEP_TABLE, SWEEP)]
    among = {path.resolve() for path in with_cells([home])}
    return SweepPart(
        Section(f"Sweep {sweep.name}", parts, files, anchor=anchor), charts[1:], find(home, page, anchor, hidden, among)
    )


def _facts(run: RunFiles) -> Facts | None:
    """None of a run that cannot be read: the table has what is known of it."""
    try:
        return facts_of(run)
    except BadInput:
        return None


def _table(sweep: Varied, table: pd.DataFrame, varied: Sequence[str], columns: Sequence[str]) -> Table:
    """A row a run: its values, how it ended and after how many epochs where runs differ in that, and what came out."""
    made = {key: [sweep.words(str(run), key) for run in table["run"]] for key in varied}
    worded = [place for place, key in enumerate(varied, 1) if not sweep.counts(key)]
    if set(table["state"]) != {FINISHED}:
        made["state"] = [str(state) for state in table["state"]]
        worded.append(len(made))
    done = ["–" if math.isnan(epoch) else f"{epoch:.0f}" for epoch in table.get("epoch", [])]
    after = counted(int(done[0]), "epoch") if len(set(done)) == 1 and done[0].isdecimal() else "the last epoch"
    if len(set(done)) > 1:
        made["epochs"] = done
    made |= {unit_of(column): [_metric(column, value) for value in table[column]] for column in columns}
    if (best := f"best_{sweep.ranked}") in table:
        made[f"best {unit_of(sweep.ranked)}"] = [_metric(sweep.ranked, value) for value in table[best]]
    rows = [[str(run), *cells] for run, *cells in zip(table["run"], *made.values(), strict=True)]
    return Table(rows, ["run", *made], f"All runs, with their values after {after}.", words=worded)


def _metric(column: str, value: float) -> str:
    return value_words(column, value, math.nan)


def _shared(facts: Sequence[Facts]) -> list[Sentences]:
    """Data, net and optimizer, as far as they are those of all runs."""
    sizes = {each.parameters for each in facts}
    size = f" ({next(iter(sizes)):,} parameters)" if len(sizes) == 1 and None not in sizes else ""
    said = [{each.data for each in facts}, {each.model + size for each in facts}, {each.optimizer for each in facts}]
    words = "; ".join(next(iter(each)) for each in said if len(each) == 1)
    return [Sentences([f"All runs: {words}."])] if words and len(facts) > 1 else []


def _charts(home: Path, sweep: Varied, page: Page) -> list[Chart]:
    """What the values do, that first which tells most apart, and all runs."""
    if len(sweep.known) < 2:
        return []
    charts = [grouped_chart(sweep, each, page) for each in sweep.groupings()[:GROUPINGS]]
    if len(sweep.facts) > DRAWN:
        return [*charts, best_chart(sweep, page)]
    facts = [*sweep.facts.values()]
    alt = f"{shown_words(facts)} by epoch of {counted(len(facts), 'run')}; the table has their last values."
    return [*charts, training_chart([RunFiles(home / name) for name in sweep.facts], page, alt)]
