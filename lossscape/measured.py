"""What losses are taken of, the same in every analysis: data, targets, BatchNorm policy, metrics, precision."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from lossscape.errors import BadInput
from lossscape.options import Option

if TYPE_CHECKING:
    from lossscape.runs import Point, Run

    PointLike: TypeAlias = str | Point
    RunLike: TypeAlias = str | Run
else:  # as the command line gives them
    PointLike = RunLike = str
POINT_HELP = "RUN[@CHECKPOINT]: runs/a, runs/a@first, @last, @best, @ema, @12 (epoch), @step-1200"
Split = Literal["train", "test", "both"]
Targets = Literal["labels", "hard", "soft"]
Precision = Literal["fp64", "fp32", "tf32", "bf16"]


def names(text: str) -> tuple[str, ...]:
    """The names of an option such as `--metrics accuracy,top5`."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",")))


@dataclass(frozen=True)
class Measured:
    """What losses and metrics are taken of."""

    split: Annotated[Split, Option("Which inputs.", word="{}")] = "train"
    targets: Annotated[
        Targets,
        Option(
            "What training inputs are held against: the data's labels, or A's outputs: hard classes, soft "
            "distributions.",
            word="{}",
        ),
    ] = "labels"
    teacher: Annotated[
        PointLike | None,
        Option(
            "Whose outputs they are, in place of A's.",
            "RUN[@CHECKPOINT]",
            word=lambda point: f"of-{point.run.name}-{point.checkpoint.label}",
        ),
    ] = None
    samples: Annotated[
        int | None,
        Option("Of each split, one stratified subset; adds standard errors.", "N", least=2, word="{}-samples"),
    ] = None
    dropout: Annotated[
        Literal["off", "keep"],
        Option("keep: dropout stays on, with the same seeded masks at every point.", word=lambda _: "dropout"),
    ] = "off"
    mask_seed: Annotated[
        int | None, Option("Of the masks of --dropout keep: 0.", flag="--seed", least=0, word="seed-{}")
    ] = None
    batch_norm: Annotated[
        str | None, Option("frozen (default: the centre's) or recompute, where the net has statistics.", word="{}")
    ] = None
    metrics: Annotated[
        tuple[str, ...] | None,
        Option(
            "Beside the loss: accuracy, top5, error, margin, entropy, brier, mae, or module:function; by default the "
            "config's.",
            "NAMES",
            given=str,
            parse=names,
            word=lambda found: "-".join(each.rpartition(":")[2] for each in found) or "loss-alone",
        ),
    ] = None
    precision: Annotated[
        Precision,
        Option(
            "Of the arithmetic (tf32: CUDA only); sums are fp64. Below fp32 some points are computed in fp32 again.",
            word="{}",
        ),
    ] = "fp32"

    def __post_init__(self) -> None:
        if self.mask_seed is not None and self.dropout == "off":
            raise BadInput(
                f"--seed {self.mask_seed}: of the masks that --dropout keep draws; leave it out, or give both"
            )
        if self.teacher is not None and self.targets == "labels":
            raise BadInput(f"--teacher {self.teacher}: whose outputs are the targets with --targets hard or soft")

    @property
    def masks(self) -> int | None:
        """The seed of the masks of dropout that stays on; None where it is off."""
        return (self.mask_seed or 0) if self.dropout == "keep" else None
