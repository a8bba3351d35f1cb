"""What is asked for of paired landscapes."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lossscape.analyses.drawing import Surfaces
from lossscape.analyses.grids import USUAL, Ranges, grid_of, grid_word
from lossscape.analyses.tolerance import EXACT, Tolerance, tolerance_of
from lossscape.directions import Asked
from lossscape.errors import BadInput, one_of
from lossscape.figures.how import How
from lossscape.measured import POINT_HELP, Measured, PointLike, names
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape pair runs/cifar10_dnn",
    "lossscape pair runs/cifar10_dnn runs/cifar10_cnn runs/cifar10_resnet50 --repeats 5",
    "lossscape pair runs/cifar10_dnn --targets hard --printed 20",
    "lossscape pair runs/cifar10_dnn --levels +0.5,x10 --export vts,npz",
)


@dataclass(frozen=True)
class Request:
    """Landscapes of the training data against its labels and against what the net itself says, in the same planes.

    Every surface is a landscape of its run, which a second call completes; here come figures, the difference, and a
    table of measures over several planes: widths, slopes, asymmetry, convexity.
    """

    centres: Annotated[tuple[PointLike, ...], Option(POINT_HELP, "A", argument=True)]
    targets: Annotated[
        Literal["soft", "hard"],
        Option("What the net itself says: its whole outputs, or its classes.", word="{}", always=True),
    ] = "soft"
    grid: Annotated[
        tuple[int, ...] | None,
        Option(
            "Points an axis, odd numbers so that the centre is one: 25.",
            "N|NxM",
            given=str,
            word=grid_word,
            always=True,
        ),
    ] = None
    tolerance: Tolerance = EXACT
    ranges: Ranges = Ranges()
    printed: Annotated[
        int | None,
        Option(
            "Steps 0 to K-1 of unit length, as Algorithm 2 is printed: --normalize unit --ignore none.",
            "K",
            least=2,
            most=3000,
        ),
    ] = None
    drawn: Annotated[Asked, Embedded(leave=("name", "through", "towards", "of", "seed"))] = Asked()
    repeats: Annotated[
        int, Option("Planes, of the seeds 0 to K-1, for the measures.", "K", least=1, most=1000, word="{}-planes")
    ] = 1
    levels: Annotated[
        tuple[str, ...],
        Option("Of the widths: +0.1 above the centre, x2 times the centre, 0.5 a loss.", given=str, parse=names),
    ] = ("+0.1", "+1", "x2")
    measured: Annotated[Measured, Embedded(leave=("split", "targets", "teacher", "dropout", "mask_seed"))] = Measured()

    def __post_init__(self) -> None:
        if self.targets not in ("soft", "hard"):
            raise BadInput(one_of("--targets", self.targets, ("soft", "hard")))
        if self.repeats < 1 or not self.centres:
            raise BadInput("nothing to compare: give at least one net and --repeats 1")
        if self.printed is not None:
            if self.grid or any(self.ranges.spans) or self.drawn != Asked():
                raise BadInput("--printed K sets --grid, --range, --normalize and --ignore: leave them out")
            steps = (0.0, self.printed - 1.0)
            self._set(grid=(self.printed, self.printed), ranges=Ranges(steps), printed=None)
            self._set(drawn=Asked(normalize="unit", ignore=()))
        self._set(grid=grid_of((25, 25) if self.grid is None else self.grid))
        self._set(tolerance=tolerance_of(self.tolerance))
        self._set(ranges=Ranges(USUAL, *self.ranges.spans))

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Drawing(Surfaces):
    """How paired surfaces are drawn; `levels` are those that regions are measured under."""

    how: Annotated[How, Embedded(leave=("levels",))] = How()
