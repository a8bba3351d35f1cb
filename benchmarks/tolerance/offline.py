"""What a stated error costs and keeps: `Picture` over a whole exact surface, whose rows stand for evaluations."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lossscape.evaluate.predicted import ERROR, Picture
from lossscape.evaluate.rows import Row
from lossscape.evaluate.subspace import Coordinates
from lossscape.results.pictured import PictureTable

AXES = ("x", "y")
LOSS, ACCURACY = "train_loss", "train_accuracy"
Exact = Mapping[Coordinates, Row]


@dataclass(frozen=True)
class Outcome:
    """Errors of the predicted points of one surface; those of the loss in parts of it."""

    points: int
    evaluated: int
    true: np.ndarray
    estimated: np.ndarray
    accuracy: np.ndarray
    """As they are."""
    held_out: int
    over: int
    """Of the held-out points those that are off by more than the tolerance, in whatever column."""

    @property
    def share(self) -> float:
        """Of the points that were evaluated."""
        return self.evaluated / self.points


def read(file: Path) -> Exact:
    """The rows of a surface by their coordinates."""
    with file.open() as lines:
        rows = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(lines)]
    return {tuple(row.pop(axis) for axis in AXES): row for row in rows}


def picture_of(exact: Exact, tolerance: float, samples: int) -> Picture:
    """The picture that a landscape with this tolerance is, over so many samples."""
    axes = [np.unique([point[axis] for point in exact]).tolist() for axis in range(len(AXES))]
    shares = {ACCURACY: samples}
    table = PictureTable(Path(), "", AXES, axes=axes, tolerance=tolerance, always=[(0.0, 0.0)], shares=shares)
    return table.picture(list(next(iter(exact.values()))))


def predicted(exact: Exact, tolerance: float, samples: int) -> Outcome:
    """Let a picture ask for what it wants of an exact surface, and hold its predictions against the rest."""
    picture = picture_of(exact, tolerance, samples)
    known: dict[Coordinates, Row] = {}
    while wanted := picture.more(known):
        known |= {point: exact[point] for point in wanted}
    guessed, held = picture.rows(known), picture.held_out(known)
    names = picture.columns
    truth, found = (
        np.array([[rows[point][name] for point in guessed] for name in names]).reshape(len(names), -1)
        for rows in (exact, guessed)
    )
    accuracy = [abs(exact[point][ACCURACY] - row[ACCURACY]) for point, row in guessed.items()]
    return Outcome(
        points=len(exact),
        evaluated=len(known),
        true=tolerance * picture.apart(truth, found)[names.index(LOSS)],
        estimated=np.array([row[ERROR] for row in guessed.values()]),
        accuracy=np.array(accuracy),
        held_out=len(held),
        over=sum(max(each.errors.values()) > 1 for each in held),
    )
