"""A true minimum as read back from its folder: a centre against the data's labels and against its own outputs."""

from pathlib import Path
from typing import Any

from lossscape.errors import BadInput
from lossscape.figures.metrics import metric
from lossscape.results import Result, read_csv, read_settings

FILE = "summary.csv"
PLANE = ("gradient_norm", "lowest_loss", "lowest_x", "lowest_y", "points_below")
"""Columns behind the loss and the other metrics: ‖∇L‖₂ at the centre, the least loss on a small grid around it and
where it is, and how many points of the grid lie below the centre."""


class Minimum(Result):
    """A centre against the data's labels and against its own outputs; its table has a row for each."""

    @property
    def metrics(self) -> list[str]:
        """The metrics beside the loss."""
        return [str(name) for name in self.table if name not in ("targets", "loss", *PLANE)]

    @property
    def plane(self) -> str:
        """What of the plane around it was looked at for lower losses: a prediction is no proof of one."""
        return "the evaluated points of its plane" if "tolerance" in self.settings else "its plane"

    def row(self, targets: str) -> dict[str, Any]:
        """What was found against labels, hard or soft targets."""
        return {str(key): value for key, value in self.table.set_index("targets").loc[targets].items()}

    def lines(self) -> list[str]:
        """What was found against each of the targets."""
        return [self._line(targets) for targets in self.table["targets"]]

    def _line(self, targets: str) -> str:
        row = self.row(targets)
        below = f"the lowest of {self.plane}"
        if row["points_below"]:
            below = f"lowest {row['lowest_loss']:.4g} at ({row['lowest_x']:g}, {row['lowest_y']:g})"
        words = [
            f"loss {row['loss']:.4g}",
            *(f"{metric(name).label} {metric(name).text(row[name])}" for name in self.metrics),
            f"gradient norm {row['gradient_norm']:.3g}",
        ]
        return f"against {targets}: {', '.join(words)}; {below}"


def read(folder: Path) -> Minimum:
    """What `lossscape minimum` wrote. Raises BadInput where it is missing or torn."""
    found = Minimum(folder, read_settings(folder), read_csv(folder / FILE, text=("targets",)))
    if not {"targets", "loss", *PLANE} <= set(found.table) or found.table.empty:
        raise BadInput(f"{folder / FILE}: not the summary of a minimum: run the command again")
    return found
