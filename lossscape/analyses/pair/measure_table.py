"""The measures of paired landscapes as a picture of a table."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lossscape.analyses.pair.measure_words import measure_cells, table_caption
from lossscape.analyses.pair.result import Pairs
from lossscape.figures.panels import add
from lossscape.figures.style import save, sheet, style
from lossscape.figures.text import shortened, text_width

ROW, TOP, POINTS, SIDES = 0.27, 0.95, 9.0, 0.3
"""Height of a row and of what is above the rows, in inches; the size of the text; space beside a cell's text."""


def draw_measures(pairs: Pairs, path: Path) -> None:
    """Write the figure of build_measures as PNG."""
    save(build_measures(pairs), path)


@style()
def build_measures(pairs: Pairs, *, captioned: bool = True) -> Figure:
    """A row for each measure, a column for each net against labels and relabelled: mean ± std over the planes."""
    cells = measure_cells(pairs)
    first = max(text_width(name, POINTS) for name, _ in cells.rows) / 72 + SIDES
    column = max(text_width(cell, POINTS) for _, row in cells.rows for cell in row) / 72 + SIDES
    column = max(
        column, max(text_width(shortened(net, 30), POINTS) for net in pairs.nets) / 72 / 2 + SIDES, 1.0
    )
    width = max(first + column * len(cells.columns) + 0.2, 6.5)
    column = (width - 0.2 - first) / len(cells.columns)
    height = TOP + ROW * len(cells.rows) + 0.1
    title = f"Measures of the surfaces against labels and {pairs.targets} targets"
    figure, panel = sheet(width, height, title, table_caption(pairs, cells) if captioned else None)
    figure.set_layout_engine("none")
    axes = add(panel, (0, 0, width, height))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    for place in range(len(cells.columns)):
        net, targets = cells.columns[place]
        right = first + column * (place + 1)
        axes.text(right, height - TOP + 0.08, targets, ha="right", size=POINTS, color="0.3")
        if place % 2 == 0:
            axes.text(
                right + column, height - TOP + 0.3, shortened(net, 30), ha="right", size=POINTS, weight="bold"
            )
    axes.add_line(Line2D([0.12, width - 0.12], [height - TOP] * 2, color="0.2", linewidth=0.8))
    for index, (name, row) in enumerate(cells.rows):
        base = height - TOP - ROW * (index + 1)
        if index % 2:
            axes.add_patch(Rectangle((0.12, base), width - 0.24, ROW, facecolor="0.95", lw=0))
        axes.text(0.18, base + 0.08, name, size=POINTS)
        for place, cell in enumerate(row):
            axes.text(first + column * (place + 1), base + 0.08, cell, ha="right", size=POINTS)
    return figure
