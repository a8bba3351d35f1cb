"""A table as a picture."""

import itertools

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lossscape.figures.how import how
from lossscape.figures.panels import blank
from lossscape.figures.section import Table
from lossscape.figures.style import sheet, style
from lossscape.figures.text import DPI, drawable, shortened, text_width

ROW, TOP, POINTS, SIDES = 0.27, 0.95, 9.0, 0.3
"""Height of a row and of what is above the rows, in inches; the size of the text; space beside a cell's text."""
GROUP, NAME = 30, 48
"""Characters of the name of a group, and of a row."""


@style()
def build_table(table: Table, title: str, *, captioned: bool = True) -> Figure:
    """A table with names above groups of columns; captioned: with its caption in small print below."""
    rows = [[shortened(row[0], NAME), *map(drawable, row[1:])] for row in table.rows]
    head = [*map(drawable, table.head)]
    groups = [(shortened(name, GROUP), span) for name, span in table.groups]
    first = max(_inches(row[0]) for row in [head, *rows]) + SIDES
    widths = [max(_inches(row[index]) for row in [head, *rows]) + SIDES for index in range(1, len(head))]
    end = 0
    for name, span in groups:  # its name needs room too
        lacking = _inches(name) + SIDES - sum(widths[end : end + span])
        widths[end : end + span] = [width + max(lacking, 0) / span for width in widths[end : end + span]]
        end += span
    width = max(first + sum(widths) + 0.2, 6.5)
    more = (width - 0.2 - first - sum(widths)) / len(widths)
    ends = list(itertools.accumulate((each + more for each in widths), initial=first))
    height = TOP + ROW * len(rows) + 0.1
    figure, panel = sheet(width, height, title, table.caption if captioned else None, inches=True)
    figure.set_layout_engine("none")
    figure.fitted = True
    axes = blank(panel, width, height)
    end = 0
    for name, span in groups:
        end += span
        axes.text(ends[end], height - TOP + 0.3, name, ha="right", size=POINTS, weight="bold")
    for index, name in enumerate(head[1:], 1):
        axes.text(ends[index], height - TOP + 0.08, name, ha="right", size=POINTS, color="0.3")
    axes.add_line(Line2D([0.12, width - 0.12], [height - TOP] * 2, color="0.2", linewidth=0.8))
    for number, row in enumerate(rows):
        base = height - TOP - ROW * (number + 1)
        if number % 2:
            axes.add_patch(Rectangle((0.12, base), width - 0.24, ROW, facecolor="0.95", lw=0))
        axes.text(0.18, base + 0.08, row[0], size=POINTS)
        for index, cell in enumerate(row[1:], 1):
            axes.text(ends[index], base + 0.08, cell, ha="right", size=POINTS)
    return figure


def _inches(text: str) -> float:
    return text_width(text, POINTS, how().dpi or DPI) / 72
