"""What is asked for of the fit of a net to data in one or two dimensions."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lossscape.analyses.drawing import Films
from lossscape.errors import BadInput, one_of
from lossscape.figures.how import How
from lossscape.measured import POINT_HELP, Measured, PointLike
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape fit runs/moons",
    "lossscape fit runs/sine --frames 50 --grid 401",
    "lossscape fit runs/moons@first runs/moons@best --margin 1",
)
EXECUTION = ("device", "workers", "scheduler", "overwrite", "quiet")
MOST_POINTS = 1_000_000


@dataclass(frozen=True)
class Request:
    """What a net gives for inputs all over the line or the plane: its fit, or its decision surface, over training.

    Of data with one or two numbers a sample, as regression_1d, two_moons, spirals, circles, xor. A run alone stands for
    its checkpoints, RUN@CHECKPOINT, once or several times, chooses among them. Draws panels and a film.
    """

    points: Annotated[tuple[PointLike, ...], Option(f"{POINT_HELP}; several of one run.", "A", argument=True)]
    frames: Annotated[
        int, Option("At most so many checkpoints of a run, evenly, both ends among them.", least=2, word="{}-frames")
    ] = 25
    grid: Annotated[
        int | None,
        Option("Inputs along each axis: 201 of a line, 41 of a plane.", "N", least=2, most=MOST_POINTS, word="grid-{}"),
    ] = None
    margin: Annotated[
        float,
        Option("Beyond the training inputs, as a part of their extent.", least=0.0, most=100.0, word="margin-{:g}"),
    ] = 0.2
    measured: Annotated[
        Measured,
        Embedded(
            leave=(
                "split", "targets", "teacher", "samples", "dropout", "mask_seed", "batch_norm", "metrics",
            ),
            types={"precision": Literal["fp64", "fp32"]},
            help={"precision": "Of the arithmetic."},
        ),
    ] = Measured()  # fmt: skip

    def __post_init__(self) -> None:
        if self.measured.precision not in ("fp64", "fp32"):
            raise BadInput(one_of("--precision", self.measured.precision, ("fp64", "fp32")))
        if not self.points:
            raise BadInput("no run is given: name one, or checkpoints of it")

    @property
    def whole(self) -> bool:
        """Whether the checkpoints of a run are meant."""
        return len(self.points) == 1 and "@" not in str(self.points[0]).rpartition("/")[2]


@dataclass(frozen=True)
class Drawing(Films):
    """How the figure and the film are drawn."""

    fps: Annotated[float, Option("Frames a second.", least=0.1, most=50.0)] = 5.0
    how: Annotated[How, Embedded(leave=("formats", "levels", "vmin", "vmax"))] = How()
