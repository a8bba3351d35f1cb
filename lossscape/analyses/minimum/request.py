"""What is asked for of a true minimum."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lossscape.analyses.drawing import Nothing
from lossscape.analyses.tolerance import EXACT, Tolerance, tolerance_of
from lossscape.errors import BadInput, one_of
from lossscape.measured import POINT_HELP, Measured, PointLike
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape minimum runs/cifar10_dnn --targets soft",
    "lossscape minimum runs/cifar10_dnn@best --targets hard --grid 21 --reach 0.5",
    "lossscape landscape runs/cifar10_dnn --targets soft",
)


@dataclass(frozen=True)
class Request:
    """A true minimum: relabel the training inputs with the trained net's own outputs.

    Writes the targets and, for the data's labels and for the targets, loss, accuracy and gradient norm at the net and
    where on a small plane the loss is lower still. --targets works wherever a loss is taken: landscape, interpolate.
    """

    centre: Annotated[PointLike, Option(POINT_HELP, "A", argument=True)]
    targets: Annotated[
        Literal["hard", "soft"],
        Option("hard: the classes that the net gives; soft: its whole outputs.", word="{}", always=True),
    ] = "soft"
    grid: Annotated[int, Option("Points an axis of a small plane.", "N", least=3, most=1001, word="{0}x{0}")] = 11
    tolerance: Tolerance = EXACT
    reach: Annotated[
        float, Option("The plane goes from -reach to reach.", least=1e-6, most=100.0, word="reach-{:g}")
    ] = 0.1
    seed: Annotated[int, Option("Of the plane's directions.", least=0, word="seed{}")] = 0
    measured: Annotated[
        Measured, Embedded(leave=("split", "targets", "teacher", "dropout", "mask_seed", "batch_norm"))
    ] = Measured()

    def __post_init__(self) -> None:
        if self.targets == "labels":
            raise BadInput("--targets labels: a minimum is of the net's own outputs; give hard or soft")
        if self.targets not in ("hard", "soft"):
            raise BadInput(one_of("--targets", self.targets, ("hard", "soft")))
        object.__setattr__(self, "tolerance", tolerance_of(self.tolerance))
        if self.grid % 2 == 0:
            raise BadInput(f"--grid {self.grid}: give an odd number, so that the centre lies on the grid")


Drawing = Nothing
