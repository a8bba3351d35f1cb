"""What films are asked for."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from lossscape.analyses.drawing import Films, Log
from lossscape.analyses.grids import Span, grid_of, grid_word
from lossscape.directions import Asked
from lossscape.errors import BadInput, one_of
from lossscape.measured import POINT_HELP, Measured, PointLike
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape film runs/mnist_mlp",
    "lossscape film runs/mnist_mlp --every 10 --kind plane --grid 15 --range -0.5 0.5",
    "lossscape film runs/mnist_mlp --kind descent --grid 51 --fps 4",
    "lossscape film runs/cifar10_cnn --directions pca --samples 2000 --format gif,mp4",
)
USUAL = {"descent": "pca", "plane": "random"}
"""Directions of each film by default: of the plane that shows most of the path, and of landscapes."""
BATCH_NORM = "frozen (default: each frame's checkpoint's) or recompute, where the net has statistics."


@dataclass(frozen=True)
class Request:
    """Films of a training: the descent over a surface, and one fixed plane around every checkpoint.

    Frames of the plane are landscapes of the run, with the directions made at A; a second call evaluates those that
    lack, and draws the films anew.
    """

    centre: Annotated[PointLike, Option(POINT_HELP, "A", argument=True)]
    grid: Annotated[tuple[int, ...], Option("Points an axis.", "N|NxM", given=str, word=grid_word, always=True)] = (
        25,
        25,
    )
    kind: Annotated[
        Literal["both", "descent", "plane"],
        Option(
            "descent: the run's path grows over a surface around A; plane: the surface around every checkpoint.",
            word="{}",
        ),
    ] = "both"
    directions: Annotated[
        Literal["random", "pca"] | None,
        Option("Made at A: of descent pca, of plane random; or the same for both.", word="{}"),
    ] = None
    range: Annotated[
        Span | None,
        Option("Of both axes: -1 1 of random directions, else what holds the path.", "LO HI", word="{:g}to{:g}"),
    ] = None
    every: Annotated[
        float,
        Option("From one frame to the next; the last one comes in any case.", "EPOCHS", least=1e-6, word="every-{:g}"),
    ] = 1.0
    drawn: Annotated[Asked, Embedded(leave=("name", "through", "towards", "of"))] = Asked()
    measured: Annotated[
        Measured,
        Embedded(
            leave=("dropout", "mask_seed"), types={"split": Literal["train", "test"]}, help={"batch_norm": BATCH_NORM}
        ),
    ] = Measured()

    def __post_init__(self) -> None:
        if self.kind not in ("both", *USUAL):
            raise BadInput(one_of("--kind", self.kind, ("both", *USUAL)))
        if self.measured.split == "both":
            raise BadInput("--split both: a film shows one of them; give train or test")
        object.__setattr__(self, "grid", grid_of(self.grid))

    @property
    def asked(self) -> dict[str, str]:
        """The directions of each film that is asked for."""
        return {film: self.directions or usual for film, usual in USUAL.items() if self.kind in ("both", film)}


@dataclass(frozen=True)
class Drawing(Films):
    """How films are drawn."""

    fps: Annotated[float, Option("Frames a second.", least=0.1, most=50.0)] = 8.0
    log: Log = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "how", replace(self.how, log=self.log))
