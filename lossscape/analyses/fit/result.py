"""A fit as read back from its folder: outputs by checkpoint and input."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from lossscape.errors import BadInput
from lossscape.results import Result, read_csv, read_settings
from lossscape.text import number

FIT = "fit"
KEYS = ("checkpoint", "point")
COORDINATES = ("x", "y")
SAMPLES = "samples.csv"


@dataclass(frozen=True)
class Fit(Result):
    """A net's outputs all over the line or the plane; its table is fit.csv."""

    samples: pd.DataFrame
    """Training samples: x, y where there are two axes, and target."""

    @property
    def coordinates(self) -> list[str]:
        """x, or x and y."""
        return [name for name in COORDINATES if name in self.table]

    @property
    def outputs(self) -> list[str]:
        """The columns of the outputs: p_0, p_1, … are probabilities of classes, output_0, … numbers."""
        return [name for name in map(str, self.table) if name.startswith(("p_", "output_"))]

    @property
    def classes(self) -> bool:
        """Whether the outputs are probabilities of classes."""
        return self.outputs[0].startswith("p_")

    @cached_property
    def moments(self) -> pd.DataFrame:
        """A row for each checkpoint, in their order: checkpoint, epoch, step."""
        return self.table.drop_duplicates("checkpoint")[["checkpoint", "epoch", "step"]].reset_index(drop=True)

    @property
    def run(self) -> str:
        """The name of the run."""
        return str((self.settings.get("path") or self.settings["points"][0])["run"])

    def axis(self, name: str) -> np.ndarray:
        """The inputs along an axis."""
        return np.unique(self.table[name].to_numpy(dtype=float))

    def values(self, frame: int) -> np.ndarray:
        """Outputs of a checkpoint by number, [C, X] or [C, X, Y]."""
        sizes = [len(self.axis(name)) for name in self.coordinates]
        count = int(np.prod(sizes))
        rows = self.table.iloc[frame * count : (frame + 1) * count]
        found: np.ndarray = rows[self.outputs].to_numpy(dtype=float).T.reshape(-1, *sizes)
        return found

    def at_samples(self, frame: int) -> float:
        """How well the nearest inputs of the grid fit the samples: agreement, or the root of the mean squared error."""
        places = []
        for name in self.coordinates:
            axis = self.axis(name)
            places.append(np.abs(self.samples[name].to_numpy()[:, None] - axis).argmin(1))
        values, targets = self.values(frame)[:, *places], self.samples["target"].to_numpy()
        if self.classes:
            return float((values.argmax(0) == targets).mean())
        return float(np.sqrt(((values[0] - targets) ** 2).mean()))

    def lines(self) -> list[str]:
        """The first and the last checkpoint."""
        ends = dict.fromkeys([0, len(self.moments) - 1])
        return [self.line(frame) for frame in ends]

    def line(self, frame: int) -> str:
        """A checkpoint, and how it fits the samples."""
        value = self.at_samples(frame)
        if self.classes:
            words = f"right at the nearest input of {100 * value:.1f} % of {len(self.samples):,} training samples"
        else:
            words = f"root mean square {number(value, 3)} off {len(self.samples):,} training samples"
        return f"{self.moments['checkpoint'][frame]}: {words}"


def read(folder: Path) -> Fit:
    """What `lossscape fit` wrote. Raises BadInput where it is missing or torn."""
    settings = read_settings(folder)
    table, samples = read_csv(folder / f"{FIT}.csv", KEYS[:1]), read_csv(folder / SAMPLES)
    if table.empty or not {*KEYS, "epoch", "step", "x"} <= set(table) or not {"x", "target"} <= set(samples):
        raise BadInput(f"{folder}: holds no fit; run the command again")
    found = Fit(folder, settings, table, samples)
    inputs = int(np.prod([len(found.axis(name)) for name in found.coordinates]))
    if not found.outputs or len(table) != inputs * len(found.moments):
        raise BadInput(f"{folder}: lacks inputs of a checkpoint; run the command again")
    return found
