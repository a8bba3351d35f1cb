"""Races as read back from their folder: paths step by step, and what became of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape.errors import BadInput
from lossscape.files import read_json
from lossscape.results import Result, Surface, check_begun, read_csv, read_settings, read_surface
from lossscape.text import columns_of, counted, number

PATHS_CSV, OUTCOMES_CSV, SURFACE_CSV, GOAL = "paths.csv", "race.csv", "surface.csv", "goal.json"
KEYS = ("method", "start", "step")
COSTS = ("gradient_evaluations", "hessian_products", "function_evaluations")
REACHED, LEFT, STAYS, NEVER, DIVERGED = "reached", "left", "stays", "never", "diverged"
ARRIVED = (REACHED, LEFT)
NOT = "–"
COST_WORDS = ("gradients", "Hessian products", "function values")
AWAY = 0.1
"""Of a net's ‖θ‖: the distance at which one of its saddles is left."""
FEW = 4
"""Starts that each have a column of their own."""
ENDS = ("last_step", "last_loss", "last_gradient_norm", "last_distance")


@dataclass(frozen=True)
class Goal:
    """What methods are to reach or to leave."""

    minima: np.ndarray
    """[M, 2]; none where a saddle is to be left."""
    others: np.ndarray
    """Other critical points [N, 2]."""
    radius: float
    """The distance within which a point is reached."""
    leave: list[float] | None
    """By start: a saddle is left at this distance from it, below its loss. None: there are minima to reach."""
    levels: list[float]
    """By start: the saddle's loss."""

    def distances(self, path: pd.DataFrame) -> np.ndarray:
        """Of each point of a path from the nearest minimum; NaN where there is none."""
        return _nearest(path, self.minima)


@dataclass(frozen=True)
class Race(Result):
    """Methods side by side; its table is paths.csv, without the empty rows behind the end of a descent."""

    goal: Goal

    @property
    def methods(self) -> list[str]:
        """Their labels, in the order in which they were named."""
        return list(dict.fromkeys(self.table["method"]))

    @property
    def title(self) -> str:
        """What they descend on."""
        surface = self.settings["surface"]
        return str(surface["name"] if "name" in surface else f"{surface['run']}@{surface['checkpoint']}")

    @property
    def whole(self) -> bool:
        """Whether they descend in all parameters of a net."""
        return "saddles" in self.settings

    @property
    def level(self) -> float:
        """The distance, as `distances` has it, at which a minimum is reached or a saddle is left."""
        return self.goal.radius if self.goal.leave is None else AWAY if self.whole else self.goal.leave[0]

    def distances(self, start: int, path: pd.DataFrame) -> np.ndarray:
        """From the nearest minimum, or from the saddle: of a net's as a part of ‖θ‖ there."""
        if self.goal.leave is None:
            return self.goal.distances(path)
        unit = self.goal.leave[start] / AWAY if self.whole else 1.0
        return path["distance"].to_numpy() / unit

    @cached_property
    def surface(self) -> tuple[Surface, str]:
        """What lies below the paths, and the column of its losses."""
        if "landscape" not in self.settings:
            return Surface(self.folder, self.settings, read_csv(self.folder / SURFACE_CSV)), "loss"
        plane = read_surface(self.folder.parents[1] / "landscape" / str(self.settings["landscape"]))
        return plane, f"{plane.splits[0]}_loss"

    def paths(self) -> Iterator[tuple[str, int, pd.DataFrame]]:
        """Method, start and rows of each descent, method by method."""
        for (method, start), path in self.table.groupby(["method", "start"], sort=False):
            yield str(method), int(str(start).partition(".")[0]), path

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """A row for each method and start, as race.csv has it."""
        rows = [{"method": method, "start": start} | self._outcome(start, path) for method, start, path in self.paths()]
        return pd.DataFrame(rows)

    def _outcome(self, start: int, path: pd.DataFrame) -> dict[str, Any]:
        goal, last = self.goal, path.iloc[-1]
        if goal.leave is None:
            away = goal.distances(path)
            there, word = away <= goal.radius, REACHED
        else:
            away = path["distance"].to_numpy()
            there, word = (away >= goal.leave[start]) & (path["loss"].to_numpy() < goal.levels[start]), LEFT
        found: dict[str, Any] = dict.fromkeys(("steps", *COSTS), np.nan)
        if there.any():
            row = path.iloc[int(there.argmax())]
            found = {"steps": int(row["step"])} | {name: int(row[name]) for name in COSTS}
        elif int(last["step"]) < self.settings["steps"]:
            word = DIVERGED
        else:
            near = away[-1] < goal.leave[start] if goal.leave else _nearest(path[-1:], goal.others)[-1] <= goal.radius
            word = STAYS if near else NEVER
        ends = (int(last["step"]), last["loss"], last["gradient_norm"], float(away[-1]))
        return {"outcome": word, **found, **dict(zip(ENDS, ends, strict=True))}

    @property
    def few(self) -> bool:
        """Whether each start has a column of its own."""
        return not self.whole and 1 < len(self.settings["starts"]) <= FEW

    @property
    def head(self) -> list[str]:
        """Of the columns of `summary`."""
        starts = [f"from ({number(x)}, {number(y)})" for x, y in self.settings["starts"]] if self.few else []
        return ["method", *(starts or ["outcome", "steps"]), *COST_WORDS, "last loss"]

    def summary(self) -> list[list[str]]:
        """A row of words for each method: how many starts led where, and the median steps and costs of these."""
        rows = []
        for method in self.methods:
            own = self.outcomes[self.outcomes["method"] == method]
            there = own[own["outcome"].isin(ARRIVED)]
            of = "" if len(there) in (0, len(own)) else f" (of {len(there):,})"
            cells = [f"{number(float(there[name].median()))}{of}" if len(there) else NOT for name in ("steps", *COSTS)]
            cells.append(number(float(own["last_loss"].median())))
            if self.few:
                words = [_outcome_words(word, steps) for word, steps in zip(own["outcome"], own["steps"], strict=True)]
                rows.append([method, *words, *cells[1:]])
            else:
                rows.append([method, outcome_counts(own), *cells])
        return rows

    def lines(self) -> list[str]:
        """The table of methods, and what its words mean."""
        rows = [self.head, *self.summary()]
        widths = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell + " " * (width - columns_of(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return [*lines, self.rule()]

    def rule(self) -> str:
        """When a minimum counts as reached, or a saddle as left, as a sentence."""
        goal, steps = self.goal, counted(self.settings["steps"], "step")
        if goal.leave is None:
            if not len(goal.minima):
                return f"No minimum is known within the window; {steps}."
            where = " or ".join(f"({number(x)}, {number(y)})" for x, y in goal.minima)
            return (
                f"reached: within {number(goal.radius)} of {where}; stays: at another critical point after {steps}; "
                "diverged: no longer a number, or a thousand half windows away."
            )
        away = "a tenth of ‖θ‖" if self.whole else number(goal.leave[0])
        return (
            f"left: {away} away from the saddle and below its loss; stays: still nearer after {steps}; never: as far, "
            "not below."
        )


def outcome_counts(rows: pd.DataFrame) -> str:
    """How many of some rows of `outcomes` ended how; of a single one how it did."""
    counts = rows["outcome"].value_counts()
    if len(rows) == 1:
        return str(rows["outcome"].iloc[0])
    return ", ".join(f"{counts[word]:,} {word}" for word in (*ARRIVED, STAYS, NEVER, DIVERGED) if word in counts)


def _outcome_words(word: str, steps: float) -> str:
    return f"{word} at {steps:,.0f}" if word in ARRIVED else word


def _nearest(path: pd.DataFrame, spots: np.ndarray) -> np.ndarray:
    if not len(spots):
        return np.full(len(path), np.nan)
    points = path[["x", "y"]].to_numpy()
    return np.asarray(np.linalg.norm(points[:, None] - spots[None], axis=-1).min(axis=1))


def read(folder: Path) -> Race:
    """What `lossscape race` wrote. Raises BadInput where it is missing or torn."""
    settings = read_settings(folder)
    check_begun(folder, PATHS_CSV, len(settings["methods"]) * len(settings["starts"]) * (settings["steps"] + 1))
    table = read_csv(folder / PATHS_CSV, text=("method",))
    said = read_json(folder / GOAL)
    if not {*KEYS, "x", "y", "loss"} <= set(table) or "radius" not in said:
        raise BadInput(f"{folder / PATHS_CSV}: holds no race; run the command again")
    spots = [np.array(said[name], dtype=float).reshape(-1, 2) for name in ("minima", "others")]
    goal = Goal(spots[0], spots[1], said["radius"], said["leave"], said["levels"])
    return Race(folder, settings, table[np.isfinite(table["loss"])].reset_index(drop=True), goal)
