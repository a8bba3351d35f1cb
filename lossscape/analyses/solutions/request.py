"""What is asked for of kinds of solution."""

import math
from dataclasses import dataclass
from typing import Annotated

from lossscape.analyses.drawing import Losses
from lossscape.errors import BadInput
from lossscape.measured import RunLike
from lossscape.options import Option

EXAMPLES = (
    "lossscape solutions runs/mnist_mlp",
    "lossscape solutions runs/cifar10_dnn runs/cifar10_cnn runs/cifar10_resnet50",
    "lossscape solutions runs/dnn_s0 runs/dnn_s1 runs/resnet50_s0 runs/resnet50_s1 --tolerance 0.02 --window 5",
)
EXECUTION = ("quiet",)


@dataclass(frozen=True)
class Rule:
    """What ≈ means."""

    tolerance: Annotated[
        float,
        Option(
            "Greatest relative change of the training loss from one epoch to the next that counts as none.",
            least=0.0,
            word="tolerance-{:g}",
            always=True,
        ),
    ] = 0.01
    """T_{i+1} ≈ T_i where |T_{i+1} − T_i| ≤ tolerance · max(|T_i|, |T_{i+1}|), or where both are ≈ 0."""
    zero: Annotated[float, Option("Greatest loss that counts as 0.", least=0.0, word="zero-{:g}", always=True)] = 0.01
    """A loss is ≈ 0 where its magnitude is at most this, in units of the loss."""
    window: Annotated[
        int,
        Option(
            "Epochs in succession for which a kind's definition must hold.", "N", least=1, word="window-{}", always=True
        ),
    ] = 3
    """For how many epochs i, i + 1, … in succession a definition must hold for i to be of its kind; 1: as published."""

    def __post_init__(self) -> None:
        for name, value in (("tolerance", self.tolerance), ("zero", self.zero)):
            if not 0 <= value < math.inf:
                raise BadInput(f"--{name} {value:g}: give a finite number of at least 0, as in --{name} 0.01")
        if self.window < 1:
            raise BadInput(f"--window {self.window}: a definition holds over at least 1 epoch")


@dataclass(frozen=True)
class Request:
    """Which epochs are a local, a global or a true minimum, and how many epochs each run takes to them.

    LM: the training loss T stays the same; GM: and is 0; TM: and the test loss is 0 too. Reads metrics.csv only, so
    also of runs under way. Runs that differ in nothing but their seed are taken together as mean ± std.
    """

    runs: Annotated[tuple[RunLike, ...], Option("Run directories.", "RUN", argument=True)]
    rule: Rule = Rule()


Drawing = Losses
