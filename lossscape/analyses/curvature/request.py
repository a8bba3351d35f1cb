"""What is asked for of curvature."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lossscape.analyses.drawing import Tables
from lossscape.errors import BadInput, one_of
from lossscape.figures.how import listed
from lossscape.measured import POINT_HELP, Measured, PointLike
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape curvature runs/mnist_mlp",
    "lossscape curvature runs/mnist_mlp --all --vectors 0",
    "lossscape curvature runs/mnist_mlp@first runs/mnist_mlp@last --blocks whole,layer --precision fp64",
    "lossscape curvature runs/mnist_mlp --matrix ggn --samples 2000",
)
EXECUTION = ("device", "workers", "scheduler", "overwrite", "quiet")
MATRICES = ("hessian", "ggn", "gradient_covariance")
BLOCKS = ("whole", "layer", "block")
PRECISIONS = ("fp64", "fp32")


def pieces_of(text: str) -> tuple[str, ...]:
    """The pieces of `--blocks whole,layer`. Raises BadInput."""
    return listed("--blocks", text, BLOCKS)


@dataclass(frozen=True)
class Request:
    """What kind of point a checkpoint is, and how sharp: eigenvalues, trace, spectral density, index.

    Of the Hessian of the mean loss, of its Gauss-Newton matrix or of the covariance of the samples' gradients; at one
    checkpoint, several, or all of a run. A second call completes or redraws the same result.
    """

    points: Annotated[tuple[PointLike, ...], Option(f"{POINT_HELP}; several of one run.", "A", argument=True)]
    every: Annotated[bool, Option("Every checkpoint of the run.", flag="--all")] = False
    matrix: Annotated[
        Literal["hessian", "ggn", "gradient_covariance"],
        Option("Which; all but the Hessian need pip install lossscape[curvature].", word="{}"),
    ] = "hessian"
    largest: Annotated[int, Option("Largest eigenvalues.", "K", least=0, most=1000, word="{}-largest")] = 10
    smallest: Annotated[int, Option("Smallest; 0: and no index.", "K", least=0, most=1000, word="{}-smallest")] = 2
    blocks: Annotated[
        tuple[str, ...],
        Option(
            "Of all parameters (whole), of each layer's own, of each child of the net (block).",
            "whole,layer,block",
            given=str,
            parse=pieces_of,
            word=lambda found: "-".join(found),
        ),
    ] = ("whole",)
    weight_decay: Annotated[
        Literal["exclude", "include"],
        Option("include: the objective is loss + λ/2·‖θ‖² with the optimizer's λ.", word=lambda _: "weight-decay"),
    ] = "exclude"
    vectors: Annotated[
        int, Option("Random vectors of the density; 0: none.", "N", least=0, most=10_000, word="{}-vectors")
    ] = 6
    steps: Annotated[int, Option("Of Lanczos' method for each vector.", "N", least=2, most=10_000, word="{}-steps")] = (
        50
    )
    trace_vectors: Annotated[
        int, Option("Products for the trace.", "N", least=6, most=1_000_000, word="{}-trace-vectors")
    ] = 60
    tolerance: Annotated[
        float,
        Option("Residual of a converged eigenvalue, relative to it.", least=1e-12, most=0.1, word="tolerance-{:g}"),
    ] = 1e-4
    seed: Annotated[int, Option("Of all random vectors.", least=0, word="seed{}")] = 0
    measured: Annotated[
        Measured,
        Embedded(
            leave=("dropout", "mask_seed", "batch_norm", "metrics"),
            types={"split": Literal["train", "test"], "precision": Literal["fp64", "fp32"]},
            help={"precision": "Of the products; their sums are fp64."},
        ),
    ] = Measured()

    def __post_init__(self) -> None:
        allowed = {
            "--matrix": (self.matrix, MATRICES),
            "--weight-decay": (self.weight_decay, ("exclude", "include")),
            "--split": (self.measured.split, ("train", "test")),
            "--precision": (self.measured.precision, PRECISIONS),
            **{f"--blocks {each}": (each, BLOCKS) for each in self.blocks},
        }
        for flag, (word, words) in allowed.items():
            if word not in words:
                raise BadInput(one_of(flag.partition(" ")[0], word, words))
        least = {"points": 1, "blocks": 1, "vectors": 0, "steps": 2, "trace_vectors": 6, "largest": 0, "smallest": 0}
        for name, fewest in least.items():
            found = getattr(self, name)
            if (count := len(found) if isinstance(found, tuple) else found) < fewest:
                raise BadInput(f"--{name.replace('_', '-')} {count}: give {fewest} at least")
        if not self.largest + self.smallest:
            raise BadInput("--largest 0 --smallest 0: ask for one eigenvalue at least")
        if self.weight_decay == "include" and self.matrix == "gradient_covariance":
            raise BadInput(
                "--weight-decay include: is of hessian and ggn; it is the same in the gradient of every sample"
            )


Drawing = Tables
