"""A true minimum as read back from its folder: a centre against the data's labels and against its own outputs."""

from dataclasses import dataclass, fields
from pathlib import Path

from lossscape.errors import BadInput
from lossscape.results import read_csv

FILE = "summary.csv"


@dataclass(frozen=True)
class At:
    """One row of summary.csv: a centre against some targets."""

    targets: str
    """labels, hard or soft."""
    loss: float
    """At the centre, mean over all training samples."""
    accuracy: float
    gradient_norm: float
    """‖∇L‖₂ at the centre."""
    lowest_loss: float
    """The least on a small grid around the centre."""
    lowest_x: float
    lowest_y: float
    points_below: int
    """Points of the grid whose loss is below that of the centre."""


COLUMNS = tuple(each.name for each in fields(At))


def read_minimum(folder: Path) -> dict[str, At]:
    """The rows of a minimum's summary.csv by their targets. Raises BadInput where it is missing or torn."""
    table = read_csv(folder / FILE, text=("targets",))
    try:
        rows = [At(*row) for row in table.astype({"points_below": int})[[*COLUMNS]].itertuples(index=False)]
    except (KeyError, ValueError, TypeError) as error:
        raise BadInput(
            f"{folder / FILE}: not the summary of a minimum ({error}): run the command again"
        ) from None
    return {row.targets: row for row in rows}
