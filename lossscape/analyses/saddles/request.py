"""What is asked for of critical points."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lossscape.analyses.drawing import Losses, numbers_of
from lossscape.errors import BadInput, one_of
from lossscape.measured import POINT_HELP, Measured, PointLike
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape saddles runs/digits_saddles --weight-decay include",
    "lossscape saddles runs/digits_saddles@first runs/digits_saddles@last --displacements 20 --sizes 0.1,0.5",
    "lossscape saddles runs/digits_saddles --samples 100 --displacements 0",
    "lossscape saddles runs/digits_saddles --weight-decay include --keep",
)
EXECUTION = ("device", "workers", "scheduler", "overwrite", "quiet")
MOST = 100.0


def sizes_of(text: str) -> tuple[float, ...]:
    """The numbers of `--sizes 0.1,0.5`. Raises BadInput."""
    return numbers_of(text, "sizes as in --sizes 0.1,0.5")


@dataclass(frozen=True)
class Request:
    """Critical points near checkpoints: their loss, index, and how well they are known.

    From each checkpoint and from seeded random displacements of it ‖∇L‖² is minimised, then Newton's steps are taken,
    in float64, for nets of up to 5,000 parameters with smooth activations. A second call completes or redraws the
    same result.
    """

    points: Annotated[
        tuple[PointLike, ...],
        Option(f"{POINT_HELP}; several of one run. A run alone: all of its checkpoints.", "A", argument=True),
    ]
    displacements: Annotated[
        int, Option("Random ones of each checkpoint and size.", "N", least=0, most=100_000, word="{}-displacements")
    ] = 4
    sizes: Annotated[
        tuple[float, ...],
        Option(
            "Their lengths, as parts of the checkpoint's ‖θ‖.",
            "0.1,0.3,1",
            given=str,
            parse=sizes_of,
            word=lambda found: "-".join(f"{size:g}" for size in found),
        ),
    ] = (0.1, 0.3, 1.0)
    weight_decay: Annotated[
        Literal["exclude", "include"],
        Option("include: the objective is loss + λ/2·‖θ‖² with the optimizer's λ.", word=lambda _: "weight-decay"),
    ] = "exclude"
    descent_steps: Annotated[
        int, Option("Most steps of L-BFGS on ‖∇L‖².", "N", least=0, most=1_000_000, word="{}-descent-steps")
    ] = 20
    newton_steps: Annotated[
        int, Option("Most steps of Newton's method.", "N", least=0, most=1_000_000, word="{}-newton-steps")
    ] = 100
    tolerance: Annotated[
        float,
        Option("Longest Newton step of a converged point, as a part of ‖θ‖.", least=1e-9, most=1e-3,
               word="tolerance-{:g}"),
    ] = 1e-6  # fmt: skip
    seed: Annotated[int, Option("Of all displacements.", least=0, word="seed{}")] = 0
    keep: Annotated[bool, Option("Also keep each distinct critical point as a checkpoint file, in points/.")] = False
    measured: Annotated[
        Measured,
        Embedded(
            leave=("dropout", "mask_seed", "batch_norm", "metrics", "precision"),
            types={"split": Literal["train", "test"]},
            help={"samples": "Of the split, one stratified subset."},
        ),
    ] = Measured(precision="fp64")

    def __post_init__(self) -> None:
        for flag, word, words in (
            ("--weight-decay", self.weight_decay, ("exclude", "include")),
            ("--split", self.measured.split, ("train", "test")),
        ):
            if word not in words:
                raise BadInput(one_of(flag, word, words))
        if not self.points:
            raise BadInput("no run is given: name one, or checkpoints of it")
        if self.displacements and not self.sizes:
            raise BadInput("--sizes: give one at least, as in --sizes 0.1,0.5")
        for size in self.sizes:
            if not 0 < size <= MOST:
                raise BadInput(f"--sizes {size:g}: a number above 0 and up to {MOST:g} is needed")

    @property
    def every(self) -> bool:
        """Whether all checkpoints of the run are meant."""
        return len(self.points) == 1 and "@" not in str(self.points[0]).rpartition("/")[2]


Drawing = Losses
