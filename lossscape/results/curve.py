"""Results as read back from their folders, and those along a line."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape.errors import BadInput
from lossscape.files import read_json
from lossscape.results.folder import CERTIFICATE, ENGINE, MEASURES, POINTS, RANGE, read_settings
from lossscape.results.tables import EVALUATED, PREDICTED, SOURCE, read_csv
from lossscape.text import counted, number, percent

SAME_STEP = 1e-6
"""Within this part of a grid's step, a point lies on the grid."""


def metrics_of(columns: Iterable[Any]) -> list[str]:
    """The metrics beside the loss whose values stand in columns such as train_accuracy, each once."""
    names = [name.partition("_")[2] for name in map(str, columns) if name.startswith(("train_", "test_"))]
    return [name for name in dict.fromkeys(names) if name != "loss" and not name.endswith("_stderr")]


def _json_file(name: str) -> "cached_property[dict[str, Any]]":
    """What a JSON file of a result says; empty where there is none."""
    return cached_property(lambda result: read_json(result.folder / name))


@dataclass(frozen=True)
class Result:
    """A finished result: its settings, and its table, whose first columns are coordinates where it has any."""

    folder: Path
    settings: dict[str, Any]
    table: pd.DataFrame

    @property
    def shown(self) -> frozenset[Path]:
        """Resolved folders of other results that a page need not show once more beside it."""
        return frozenset()

    def lines(self) -> list[str]:
        """What the terminal says of it."""
        return self.predictions()

    def predictions(self) -> list[str]:
        """A sentence where losses were predicted: how many were not, and how far held-out predictions were off."""
        if not self.predicted.any():
            return []
        held = self.certificate.get("held_out") or {}
        errors = {name: own for name, own in (held.get("errors") or {}).items() if name.endswith("loss")}
        floors = [number(held["scales"][name]["floor"], 2) for name in errors]
        least = f" of the loss, or of {' and '.join(dict.fromkeys(floors))} where it is less" if floors else ""
        found = [
            f"{name.replace('_', ' ')} off by {percent(own['median'])} in the median, {percent(own['largest'])} at most"
            for name, own in errors.items()
        ]
        words = (
            f"{int((~self.predicted).sum()):,} of {counted(len(self.table), 'point')} evaluated, the others predicted "
            f"to within {percent(self.settings['tolerance'])}{least}"
        )
        words += f"; of {held['points']:,} held out the {' and the '.join(found)}" if found else ""
        return [f"{words}."]

    certificate = _json_file(CERTIFICATE)
    engine = _json_file(ENGINE)
    measures = _json_file(MEASURES)
    found_range = _json_file(RANGE)
    """The loss that a range was chosen to reach; empty where the range was given."""

    @property
    def splits(self) -> list[str]:
        """The splits whose loss was computed, train first."""
        return [split for split in ("train", "test") if f"{split}_loss" in self.table]

    @property
    def metrics(self) -> list[str]:
        """The metrics beside the loss."""
        return metrics_of(self.table)

    @property
    def axes(self) -> list[str]:
        """The columns that are coordinates."""
        return [name for name in ("alpha", "x", "y") if name in self.table]

    @property
    def grid(self) -> list[int]:
        """How many evenly spaced values each coordinate was given."""
        settings = self.settings
        return [int(count) for count in settings.get("grid", [settings.get("points", len(self.table))])]

    @property
    def predicted(self) -> np.ndarray:
        """Which points [N] were not evaluated but predicted from those that were."""
        return self.table[PREDICTED].to_numpy() > 0 if PREDICTED in self.table else np.zeros(len(self.table), bool)

    @cached_property
    def refined(self) -> np.ndarray:
        """Which points [N] do not lie on the grid but were added where the losses bend."""
        if not self.settings.get("refine"):
            return np.zeros(len(self.table), dtype=bool)
        on_grid = np.ones(len(self.table), dtype=bool)
        for axis, count in zip(self.axes, self.grid, strict=True):
            values = self.table[axis].to_numpy()
            given = self.settings.get("range" if axis == "alpha" else f"{axis}_range")
            low, high = given or (values.min(), values.max())
            steps = (values - low) / (high - low) * (count - 1)
            on_grid &= np.abs(steps - np.round(steps)) < SAME_STEP
        return ~on_grid


def read_points(file: Path) -> pd.DataFrame:
    """A CSV of points: of one of which some are predicted, `predicted` (1 or 0) takes the place of `source`."""
    table = read_csv(file, text=(SOURCE,))
    if SOURCE in table:
        if not table[SOURCE].isin((EVALUATED, PREDICTED)).all():
            raise BadInput(f"{file}: {SOURCE} is neither {EVALUATED} nor {PREDICTED}; begin anew with --overwrite")
        table[SOURCE] = (table[SOURCE] == PREDICTED).astype(float)
        table = table.rename(columns={SOURCE: PREDICTED})
    return table


class Curve(Result):
    """Losses along a line: coordinate `alpha` between two points, or `x` along a random direction."""

    @property
    def coordinate(self) -> str:
        """alpha or x."""
        return "alpha" if "alpha" in self.table else "x"

    @property
    def positions(self) -> np.ndarray:
        """Its values, ascending."""
        return self.table[self.coordinate].to_numpy()

    def without_measures(self) -> list[str]:
        """Why splits of a line between two points have no measures: losses between these are not finite."""
        if self.coordinate == "x":
            return []
        inside = self.table[(self.positions >= 0) & (self.positions <= 1)]
        lost = {split: int((~np.isfinite(inside[f"{split}_loss"])).sum()) for split in self.splits}
        of = f"of {len(inside):,} points between the ends, so it has no measures"
        return [f"{split} loss is not finite at {number:,} {of}" for split, number in lost.items() if number]

    def lines(self) -> list[str]:
        """The measures of each split's losses, where there are any."""
        lines = [*self.predictions(), *self.without_measures()]
        for split in self.splits:
            if found := self.measures.get(split):
                where = "at the evaluated points" if self.predicted.any() else "everywhere"
                shape = f"falls or stays {where}" if found["monotone"] else "is not monotone"
                lines.append(
                    f"{split} loss {shape}: largest rise {found['bump_height']:.4g}, barrier against the chord "
                    f"{found['barrier_chord']:.4g}, against the mean of the ends {found['barrier_mean']:.4g}"
                )
        return lines


def read_curve(folder: Path) -> Curve:
    """A finished interpolation or random line. Raises BadInput where it is unfinished or torn."""
    name = "curve.csv" if (folder / "curve.csv").exists() else "line.csv"
    return Curve(folder, read_settings(folder), read_points(folder / name))


def check_begun(folder: Path, file: str, count: int) -> None:
    """Raise BadInput that says how much of `count` points is done where the final CSV is not there."""
    if not (folder / file).exists():
        live = folder / POINTS
        done = len(read_csv(live, live=True)) if live.exists() else 0
        settings = read_settings(folder)
        named = "map_tolerance" if settings.get("analysis") == "convexity" else "tolerance"
        part = " evaluated" if named in settings else ""
        raise BadInput(f"not finished: {done:,}{part} of {count:,} points; run the command again to complete it")


def check_whole(result: Result) -> None:
    """Raise BadInput where a result lacks points of its grid or has more than it may, or holds no losses."""
    if not result.splits:
        raise BadInput(f"{result.folder.name}: its CSV has no losses")
    grid, refine = math.prod(result.grid), int(result.settings.get("refine") or 0)
    count, beside = len(result.table), int(result.refined.sum()) + _ends_beside(result)
    if count - beside != grid or count > grid + beside or int(result.refined.sum()) > refine:
        raise BadInput(f"{result.folder.name}: holds {count:,} of {grid + refine:,} points; run the command again")


def _ends_beside(result: Result) -> int:
    """How many ends of a line beyond whose ends the range goes lie beside the evenly spaced values."""
    if result.axes != ["alpha"]:
        return 0
    values, (low, high) = result.table["alpha"].to_numpy(), result.settings["range"]
    steps = (values - low) / (high - low) * (result.grid[0] - 1)
    return int((np.isin(values, (0.0, 1.0)) & (np.abs(steps - np.round(steps)) > SAME_STEP)).sum())
