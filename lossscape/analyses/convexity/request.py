"""What a convexity map is asked for."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lossscape.analyses.drawing import Maps
from lossscape.analyses.grids import Ranges, grid_of, grid_word
from lossscape.analyses.landscape.request import RANGE
from lossscape.analyses.tolerance import EXACT, option, tolerance_of, word_of
from lossscape.directions import Asked
from lossscape.errors import BadInput, one_of
from lossscape.measured import POINT_HELP, Measured, PointLike
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape convexity runs/mnist_mlp --samples 500",
    "lossscape convexity runs/mnist_mlp --grid 25 --range -0.5 0.5 --samples 500 --workers 4",
    "lossscape convexity runs/mnist_mlp --grid 51 --samples 500 --map-tolerance 0.02",
    "lossscape convexity runs/mnist_mlp --directions hessian-ends --samples 500 --precision fp64",
    "lossscape convexity runs/cifar10_resnet50 --grid 9 --samples 64",
)
EXECUTION = ("device", "workers", "scheduler", "overwrite", "quiet")


@dataclass(frozen=True)
class Request:
    """The Hessian's smallest and largest eigenvalue at every point of a plane, and |λmin|/λmax as a map.

    Near 0 the loss is all but convex there. The losses below are a landscape of the run; a second call completes or
    redraws the same result.
    """

    centre: Annotated[PointLike, Option(POINT_HELP, "A", argument=True)]
    grid: Annotated[tuple[int, ...], Option("Points an axis.", "N|NxM", given=str, word=grid_word, always=True)] = (
        15,
        15,
    )
    auto_range: Annotated[
        float | None,
        Option("Find the range in which the loss rises by FACTOR on every side.", "FACTOR", word="auto-range-{:g}"),
    ] = None
    ranges: Annotated[Ranges, Embedded(help={"range": RANGE})] = Ranges()
    asked: Asked = Asked()
    tolerance: Annotated[
        float,
        Option("Residual of a converged eigenvalue, relative to it.", least=1e-12, most=0.1, word="tolerance-{:g}"),
    ] = 1e-2
    map_tolerance: Annotated[
        float | str,
        option(
            "Compute both eigenvalues at as few points as tell the others to this part of the largest (0.01: 1 %) and "
            "predict these; auto: 0.01 where all would take ten minutes.",
            word=lambda value: word_of(value) and f"map-{word_of(value)}",
        ),
    ] = EXACT
    products: Annotated[
        int, Option("With the Hessian at a point, at most.", "N", least=2, most=100_000, word="{}-products")
    ] = 150
    measured: Annotated[
        Measured,
        Embedded(
            leave=("dropout", "mask_seed", "batch_norm", "metrics"),
            types={"split": Literal["train", "test"], "precision": Literal["fp64", "fp32"]},
            help={"precision": "Of the products; their sums are fp64."},
        ),
    ] = Measured()

    def __post_init__(self) -> None:
        for flag, word, words in (
            ("--split", self.measured.split, ("train", "test")),
            ("--precision", self.measured.precision, ("fp64", "fp32")),
        ):
            if word not in words:
                raise BadInput(one_of(flag, word, words))
        object.__setattr__(self, "grid", grid_of(self.grid))
        object.__setattr__(self, "map_tolerance", tolerance_of(self.map_tolerance, "--map-tolerance"))


Drawing = Maps
