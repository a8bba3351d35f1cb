"""What an interpolation is asked for."""

from dataclasses import dataclass
from typing import Annotated

from lossscape.analyses.drawing import Curves
from lossscape.analyses.grids import MAX_POINTS, Span
from lossscape.analyses.tolerance import EXACT, Tolerance, tolerance_of
from lossscape.measured import POINT_HELP, Measured, PointLike
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape interpolate runs/mnist_mlp",
    "lossscape interpolate runs/mnist_mlp@1 runs/mnist_mlp@20 --points 101",
    "lossscape interpolate runs/cifar10_resnet50 --points 1001 --tolerance 0.01",
    "lossscape interpolate runs/a runs/b --range -0.5 1.5 --log",
    "lossscape interpolate runs/mnist_4nn_100@1 runs/mnist_4nn_100@200 --dropout keep",
)
BATCH_NORM = "recompute (default), interpolated or frozen statistics, where the net has any."


@dataclass(frozen=True)
class Request:
    """Loss and accuracy along the line between two checkpoints.

    Writes curve.csv, curve.png and the curve's measures; a second call completes or redraws the same result.
    """

    start: Annotated[PointLike, Option(POINT_HELP, "A", argument=True)]
    end: Annotated[
        PointLike | None, Option("The same; without it the line is A@first to A@last.", "B", argument=True)
    ] = None
    points: Annotated[int, Option("Values of α.", least=2, most=MAX_POINTS, word="{}-points")] = 1001
    range: Annotated[
        Span, Option("Of α; may go past the ends, which stay among the points.", "LO HI", word="from-{:g}-to-{:g}")
    ] = (0.0, 1.0)
    tolerance: Tolerance = EXACT
    measured: Annotated[Measured, Embedded(help={"batch_norm": BATCH_NORM})] = Measured(split="both")

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerance", tolerance_of(self.tolerance))


Drawing = Curves
