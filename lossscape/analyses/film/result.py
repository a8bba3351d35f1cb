"""Films as read back from their folder: the frames in order, and the landscapes that they show."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from lossscape.errors import BadInput
from lossscape.results import Result, Surface, Trail, read_csv, read_settings, read_surface
from lossscape.results.folder import FILMS

TEXT = ("film", "checkpoint", "landscape")


@dataclass(frozen=True)
class Film(Result):
    """What `lossscape film` evaluated; its table is films.csv, a row for each frame of each film."""

    _surfaces: dict[str, Surface] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> frozenset[Path]:
        """The landscapes that are frames of it alone, made in directions that are not their own centre's."""
        every = [surface for kind in self.kinds for surface in self.surfaces(kind)]
        return frozenset(each.folder.resolve() for each in every if "of" in each.settings["directions"])

    @property
    def kinds(self) -> list[str]:
        """descent, plane or both."""
        return list(dict.fromkeys(self.table["film"]))

    @property
    def split(self) -> str:
        """train or test."""
        return str(self.settings["split"])

    @property
    def run(self) -> str:
        """The name of the run."""
        return str(self.settings["centre"]["run"])

    def rows(self, kind: str) -> pd.DataFrame:
        """The frames of one film."""
        return self.table[self.table["film"] == kind].reset_index(drop=True)

    def surface(self, kind: str, frame: int) -> Surface:
        """The landscape that a frame shows. Raises BadInput where it is missing, torn or lacks the losses."""
        link = str(self.rows(kind)["landscape"].iloc[frame])
        if link not in self._surfaces:
            # normalised first: a result may be reached through a link of the file system
            surface = read_surface(Path(os.path.normpath(self.folder.resolve() / link)))
            if not surface.regular or f"{self.split}_loss" not in surface.table:
                raise BadInput(f"{surface.folder}: not a full grid of {self.split} losses; run the command again")
            self._surfaces[link] = surface
        return self._surfaces[link]

    def surfaces(self, kind: str) -> list[Surface]:
        """Those of all frames."""
        return [self.surface(kind, frame) for frame in range(len(self.rows(kind)))]

    @cached_property
    def trail(self) -> Trail:
        """The run's path over the surface of the descent. Raises BadInput where it is not there."""
        surface = self.surface("descent", 0)
        for trail in surface.trails:
            if trail.name == self.run:
                return trail
        raise BadInput(f"{surface.folder}: has no path of {self.run}; run the command again")

    def reached(self, frame: int) -> int:
        """The row of the path that a frame of the descent has come to."""
        label = self.rows("descent")["checkpoint"].iloc[frame]
        if label not in self.trail.checkpoints:
            raise BadInput(f"{self.folder / FILMS}: {label} is not on the path; run the command again")
        return self.trail.checkpoints.index(label)


def read(folder: Path) -> Film:
    """What `lossscape film` wrote. Raises BadInput where it is missing or torn."""
    file = folder / FILMS
    table = read_csv(file, TEXT)
    if not {"frame", "epoch", "step", *TEXT} <= set(table) or table.empty:
        raise BadInput(f"{file}: holds no frames; run the command again")
    return Film(folder, read_settings(folder), table)
