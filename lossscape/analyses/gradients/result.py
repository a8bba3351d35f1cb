"""The flow of gradients as read back from its folder: norms by checkpoint and layer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lossscape.errors import BadInput
from lossscape.results import Result, read_csv, read_settings
from lossscape.text import counted, number

GRADIENTS = "gradients"
KEYS = ("checkpoint", "layer")
MEASURED = ("gradient_norm", "weight_norm", "update_norm", "activation_rms")
MOST = 5
"""Layers that are named in a sentence."""


@dataclass(frozen=True)
class Gradients(Result):
    """Norms of gradients, weights, updates and activations; its table is gradients.csv."""

    @property
    def checkpoints(self) -> list[str]:
        """In their order."""
        return list(dict.fromkeys(self.table["checkpoint"]))

    @property
    def layers(self) -> list[str]:
        """In the order of the net."""
        return list(dict.fromkeys(self.table["layer"]))

    @property
    def run(self) -> str:
        """The name of the run."""
        return str((self.settings.get("path") or self.settings["points"][0])["run"])

    def matrix(self, column: str) -> np.ndarray:
        """Values [layers, checkpoints] of a column."""
        found: np.ndarray = self.table[column].to_numpy(dtype=float).reshape(len(self.checkpoints), -1).T
        return found

    def lines(self) -> list[str]:
        """The gradients of the first and the last checkpoint by layer, and layers without any."""
        ends = dict.fromkeys([self.checkpoints[0], self.checkpoints[-1]])
        return [*(self.line(each) for each in ends), *self.doubts()]

    def line(self, checkpoint: str) -> str:
        """A checkpoint: gradient norms of the first and last layer, and the extremes."""
        rows = self.table[self.table["checkpoint"] == checkpoint]
        slopes = dict(zip(rows["layer"], rows["gradient_norm"], strict=True))
        first, last = self.layers[0], self.layers[-1]
        words = [f"gradient norm {number(slopes[first], 3)} in {first}"]
        if len(slopes) > 1:
            words.append(f"{number(slopes[last], 3)} in {last}")
            least, most = (found(slopes, key=lambda layer: slopes[layer]) for found in (min, max))
            words.append(f"least {number(slopes[least], 3)} in {least}, greatest {number(slopes[most], 3)} in {most}")
        return f"{checkpoint}: {', '.join(words)}"

    def doubts(self) -> list[str]:
        """Layers without a gradient, or with one that is not finite, at any checkpoint, as sentences."""
        words = []
        for told, mask in (
            ("is 0", self.table["gradient_norm"] == 0),
            ("is not finite", ~np.isfinite(self.table["gradient_norm"])),
        ):
            if mask.any():
                names = list(dict.fromkeys(self.table[mask]["layer"]))
                shown = ", ".join(names[:MOST]) + (f" and {len(names) - MOST:,} more" if len(names) > MOST else "")
                at = self.table[mask]["checkpoint"].nunique()
                words.append(
                    f"The gradient {told} at {at:,} of {counted(len(self.checkpoints), 'checkpoint')} in {shown}."
                )
        return words


def read(folder: Path) -> Gradients:
    """What `lossscape gradients` wrote. Raises BadInput where it is missing or torn."""
    settings, table = read_settings(folder), read_csv(folder / f"{GRADIENTS}.csv", KEYS)
    if table.empty or not {*KEYS, *MEASURED} <= set(table):
        raise BadInput(f"{folder}: holds no gradients; run the command again")
    if len(table) != table["checkpoint"].nunique() * table["layer"].nunique():
        raise BadInput(f"{folder}: lacks layers of a checkpoint; run the command again")
    return Gradients(folder, settings, table)
