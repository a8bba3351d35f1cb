"""What a landscape is asked for."""

from dataclasses import dataclass
from typing import Annotated

from lossscape.analyses.drawing import Surfaces
from lossscape.analyses.grids import Ranges, grid_of, grid_word
from lossscape.analyses.tolerance import EXACT, Tolerance, tolerance_of
from lossscape.directions import Asked
from lossscape.errors import BadInput
from lossscape.measured import POINT_HELP, Measured, PointLike, RunLike
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape landscape runs/mnist_mlp",
    "lossscape landscape runs/mnist_mlp@best --grid 25 --range -0.5 0.5 --split both --log",
    "lossscape landscape runs/mnist_mlp --dims 1 --grid 201 --seed 3",
    "lossscape landscape runs/mnist_mlp --auto-range 10 --refine 500",
    "lossscape landscape runs/mnist_mlp --grid 201 --tolerance 0.01",
    "lossscape landscape runs/cifar10_resnet50 --samples 2000 --precision bf16",
    "lossscape landscape runs/mnist_mlp --directions pca --path",
    "lossscape landscape runs/sgd --directions pca --path runs/sgd runs/adam --of-all",
    "lossscape landscape runs/sgd --through runs/adam runs/sgd@first --path runs/sgd runs/adam",
    "lossscape landscape runs/sgd --towards runs/adam",
    "lossscape landscape runs/sgd@5 --directions-of runs/sgd@last",
    "lossscape landscape runs/mnist_mlp --directions hessian-ends --samples 2000",
)
GRIDS = {1: (201,), 2: (51, 51)}
"""By the number of directions, where no grid is given."""
RANGE = "Of both axes: -1 1; without random directions what holds the points."


@dataclass(frozen=True)
class Request:
    """Loss over a plane (or along a line) around a checkpoint: random, principal, or through other points.

    Writes surface.csv, directions.pt, contour.png and surface.png, with --path also path.csv and path.png; a second
    call completes or redraws the same result.
    """

    centre: Annotated[PointLike, Option(POINT_HELP, "A", argument=True)]
    runs: Annotated[
        tuple[RunLike, ...],
        Option("With --path: the runs whose paths are drawn, in place of A's.", "RUN", argument=True),
    ] = ()
    dims: Annotated[int, Option("2: a plane; 1: a line.", least=1, most=2)] = 2
    grid: Annotated[
        tuple[int, ...] | None,
        Option("Points an axis: 51 of a plane, 201 of a line.", "N|NxM", given=str, word=grid_word, always=True),
    ] = None
    auto_range: Annotated[
        float | None,
        Option("Find the range in which the loss rises by FACTOR on every side.", "FACTOR", word="auto-range-{:g}"),
    ] = None
    refine: Annotated[
        int,
        Option(
            "Points beyond the grid, where the surface bends.", "BUDGET", least=0, most=1_000_000, word="refined-{}"
        ),
    ] = 0
    tolerance: Tolerance = EXACT
    ranges: Annotated[Ranges, Embedded(help={"range": RANGE})] = Ranges()
    asked: Asked = Asked()
    path: Annotated[bool, Option("Draw the checkpoints of A's run, or of the runs named behind, over the plane.")] = (
        False
    )
    of_all: Annotated[
        bool, Option("With --directions pca --path RUNS: of the checkpoints of A's run and of RUNS together.")
    ] = False
    measured: Annotated[Measured, Embedded(leave=("dropout", "mask_seed"))] = Measured()

    def __post_init__(self) -> None:
        if self.dims == 1 and self.ranges.y_range != self.ranges.range:
            raise BadInput("--y-range: a line has no y; leave it out, or draw a plane with --dims 2")
        if self.auto_range is not None and any(self.ranges.spans):
            raise BadInput("--auto-range finds the range: leave --range, --x-range and --y-range out")
        if self.runs and not self.path:
            raise BadInput(f"{self.runs[0]}: runs behind A are for --path; did you mean --towards {self.runs[0]}?")
        if self.path and self.dims == 1:
            raise BadInput("--path is drawn on a plane: leave --dims 1 out")
        if self.of_all and not self.runs:
            raise BadInput("--of-all: name the other runs behind --path, or leave it out")
        object.__setattr__(self, "tolerance", tolerance_of(self.tolerance))
        if self.refine and self.tolerance != EXACT:
            raise BadInput("--refine adds points to a grid of which --tolerance leaves some out: give one of the two")
        object.__setattr__(self, "grid", grid_of(GRIDS[self.dims] if self.grid is None else self.grid, self.dims))
        if self.dims == 1:
            object.__setattr__(self, "ranges", Ranges(x_range=self.ranges.x_range))


Drawing = Surfaces
