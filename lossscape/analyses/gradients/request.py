"""What is asked for of the gradients' flow through a net."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lossscape.analyses.drawing import Tables
from lossscape.errors import BadInput, one_of
from lossscape.measured import POINT_HELP, Measured, PointLike
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape gradients runs/mnist_mlp --all",
    "lossscape gradients runs/mnist_mlp@first runs/mnist_mlp@last --samples 2000",
)
EXECUTION = ("device", "workers", "scheduler", "overwrite", "quiet")


@dataclass(frozen=True)
class Request:
    """How gradients flow through a net: norms of gradient, weights and update and the size of activations by layer.

    Of the mean loss over the split, in eval mode, at one checkpoint, several, or all of a run; the update is what the
    weights moved by since the checkpoint before. Vanishing and exploding gradients show at a glance. A second call
    completes or redraws the same result.
    """

    points: Annotated[tuple[PointLike, ...], Option(f"{POINT_HELP}; several of one run.", "A", argument=True)]
    every: Annotated[bool, Option("Every checkpoint of the run.", flag="--all")] = False
    measured: Annotated[
        Measured,
        Embedded(
            leave=("dropout", "mask_seed", "batch_norm", "metrics"),
            types={"split": Literal["train", "test"], "precision": Literal["fp64", "fp32"]},
            help={
                "precision": "Of the arithmetic; sums are fp64.",
                "samples": "Of the split, one stratified subset: the loss is their mean.",
            },
        ),
    ] = Measured()

    def __post_init__(self) -> None:
        for flag, word, words in (
            ("--split", self.measured.split, ("train", "test")),
            ("--precision", self.measured.precision, ("fp64", "fp32")),
        ):
            if word not in words:
                raise BadInput(one_of(flag, word, words))
        if not self.points:
            raise BadInput("no checkpoint to look at; give one, as in runs/a@last")


Drawing = Tables
