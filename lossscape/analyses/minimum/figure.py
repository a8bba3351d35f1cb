"""A true minimum as a section of the page: what was found against labels and against the net's own outputs."""

from pathlib import Path

from lossscape.analyses.minimum.request import Drawing
from lossscape.analyses.minimum.result import FILE, Minimum
from lossscape.figures import captions
from lossscape.figures.metrics import metric
from lossscape.figures.section import Page, Section, Sentences, Table
from lossscape.text import number

RELABELLED = {"hard": "the classes that the net itself gives", "soft": "the net's own outputs"}


def draw(result: Minimum, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """A minimum has no figure of its own; returns what lies where."""
    return {"summary": result.folder / FILE, "targets": result.folder / "targets.pt"}


def section(result: Minimum, page: Page) -> Section:
    """Its part of the page: the table, what it says in words, and its files."""
    settings = result.settings
    lowest = [
        f"against {row['targets']} it is{' not' * (row['points_below'] > 0)}" for row in result.table.to_dict("records")
    ]
    targets, centre = str(settings["targets"]), str(settings["centre"]["checkpoint"])
    return Section(
        title=", ".join([centre, f"{targets} targets", *captions.title_extras(settings)]),
        parts=[_table(result), Sentences([f"Whether θ is the lowest of {result.plane}: {'; '.join(lowest)}."])],
        files=page.copy_result(result.folder),
    )


def _table(result: Minimum) -> Table:
    settings = result.settings
    (points, _), (low, high) = settings["grid"], settings["range"]
    others = [metric(name) for name in result.metrics]
    plane = ["gradient norm", "lowest loss around", "at", "points below"]
    head = ["against", "loss", *(other.label for other in others), *plane]
    rows, of = [], "" if "tolerance" in settings else f" of {points**2:,}"
    for row in result.table.to_dict("records"):
        point = f"({number(row['lowest_x'], 2)}, {number(row['lowest_y'], 2)})"
        values = [other.text(row[name]) for other, name in zip(others, result.metrics, strict=True)]
        rows.append([
            str(row["targets"]), number(row["loss"]), *values, number(row["gradient_norm"]),
            number(row["lowest_loss"]), point, f"{row['points_below']:,.0f}{of}",
        ])  # fmt: skip
    lowest = [f"Lowest loss and points below are of {result.plane} alone."] if "tolerance" in settings else []
    targets = str(settings["targets"])
    caption = [
        f"θ = {captions.point_name(settings['centre'])} against the data's labels and against {targets} targets: "
        f"{RELABELLED[targets]} for the training inputs, of which θ is a true minimum.",
        "Gradient norm: ‖∇L‖ at θ.",
        f"Around: {points} × {points} points from {number(low)} to {number(high)} of two filter-normalised random "
        f"directions, seed {settings['seed']}.",
        *lowest,
        *captions.conditions(result, ["train"], "the centre"),
    ]
    return Table(rows, head, " ".join(caption))
