"""Measures of paired landscapes in words: the cells of their table and its caption."""

import math
from dataclasses import dataclass, field

from lossscape.analyses.pair.result import ORIGINAL, Pairs
from lossscape.analyses.pair.words import of_net, told_apart
from lossscape.directions import sentence
from lossscape.figures import phrases
from lossscape.text import number

MEASURES = {
    "centre_loss": "loss at the centre",
    "mean_slope": "mean slope (loss per unit)",
    "max_slope": "greatest slope",
    "asymmetry": "asymmetry of opposite sides (0 to 2)",
    "convex_fraction": "convex share of the inner points",
}
MEANINGS = (
    "Slope: ‖∇L‖ of every cell of the grid, x and y in units of the directions.",
    "Asymmetry: mean |L(p) − L(−p)| / mean |L(p) − L(0)|, 0 of an even surface.",
    "Convex: the Hessian of second differences is positive semidefinite.",
    "Diameter: of the circle as large as the region under a level; share: of the whole grid's area.",
)
SMALL_STEPS = 2.0
"""A region whose diameter is less than so many steps of the grid is known roughly only."""
EDGE, ROUGH, NONE, SOME = "≥", "*", "–", "("
MARKS = {
    EDGE: "≥: on some plane the region reaches the edge of the grid and may go on beyond.",
    ROUGH: "*: narrower than two steps of the grid, which tell it roughly only.",
    NONE: "–: not defined (a level that is not above the centre's loss, a grid without opposite sides).",
    SOME: "In brackets: the planes on which it is defined.",
}


@dataclass
class Cells:
    """A table of measures in words: a row for each measure, a column for each net and targets."""

    columns: list[tuple[str, str]]
    """Net and targets."""
    rows: list[tuple[str, list[str]]] = field(default_factory=list)


def level_words(level: str) -> str:
    """A level as a loss: centre + 0.1, 2 × centre, a loss of 0.5."""
    return {"+": f"centre + {level[1:]}", "x": f"{level[1:]} × centre"}.get(level[0], f"a loss of {level}")


def measure_cells(pairs: Pairs) -> Cells:
    """The measures of all surfaces, mean ± standard deviation over the planes."""
    cells = Cells([(net, targets) for net in pairs.nets for targets in (ORIGINAL, pairs.targets)])
    for key, name in MEASURES.items():
        cells.rows.append((name, [_cell(pairs, column, key) for column in cells.columns]))
    for level in pairs.settings["levels"]:
        edges = [_known(pairs, column, f"touches_edge_{level}")[0] > 0 for column in cells.columns]
        for key, name in (("diameter", "diameter"), ("share", "share")):
            row = []
            for column, edge in zip(cells.columns, edges, strict=True):
                small = _known(pairs, column, f"diameter_{level}")[0] < SMALL_STEPS * _step(pairs)
                words = _cell(pairs, column, f"{key}_{level}")
                row.append(
                    words if words == NONE else f"{EDGE} {words}" if edge else words + f" {ROUGH}" * small
                )
            cells.rows.append((f"{name} under {level_words(level)}", row))
    if any(_known(pairs, column, "missing")[0] > 0 for column in cells.columns):
        row = [_cell(pairs, column, "missing") for column in cells.columns]
        cells.rows.append(("points without a finite loss", row))
    return cells


def _step(pairs: Pairs) -> float:
    """The greater step of the grid."""
    spans = [pairs.settings[key] for key in ("x_range", "y_range")]
    return max((high - low) / (n - 1) for (low, high), n in zip(spans, pairs.settings["grid"], strict=True))


def _known(pairs: Pairs, column: tuple[str, str], key: str) -> tuple[float, float, int]:
    """Mean, standard deviation and number of planes of a measure."""
    return pairs.means[(*column, key)]


def _cell(pairs: Pairs, column: tuple[str, str], key: str) -> str:
    mean, spread, count = _known(pairs, column, key)
    if count == 0:
        return NONE
    alike = math.isnan(spread) or spread == 0
    words = number(mean, 3) if alike else f"{number(mean, 3)} ± {number(spread, 2)}"
    return words if count == pairs.planes else f"{words} {SOME}{count} of {pairs.planes})"


def table_caption(pairs: Pairs, cells: Cells) -> str:
    """The caption of the table of measures: what they mean, and what they were taken of."""
    shown = [pairs.pair(net) for net in pairs.nets]
    settings = shown[0].original.settings
    words = ["Of one plane: --repeats takes several, since one random plane proves nothing."]
    if pairs.planes > 1:
        words = [
            f"Mean ± standard deviation over {pairs.planes} planes, of the seeds 0 to {pairs.planes - 1}."
        ]
    words += MEANINGS
    words += [
        told for mark, told in MARKS.items() if any(mark in cell for _, row in cells.rows for cell in row)
    ]
    spans = [
        f"{axis} from {number(low)} to {number(high)}"
        for axis, (low, high) in ((axis, pairs.settings[f"{axis}_range"]) for axis in ("x", "y"))
    ]
    words.append(f"Grid: {phrases.point_words(shown[0].original)}, {' and '.join(spans)}.")
    words.append(sentence(settings, 2).replace(f", seed {settings['directions']['seed']}", ""))
    told = told_apart([of_net(pair, errors=False) for pair in shown])
    lines = [" ".join([*words, *told[0]])]
    for pair, own in zip(shown, told[1:], strict=True):
        if own:
            lines.append(" ".join([f"{phrases.place(pair.original.settings['centre'])}:", *own]))
    return "\n".join(lines)
