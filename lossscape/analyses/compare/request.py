"""What is asked for of a comparison."""

import re
from dataclasses import dataclass
from typing import Annotated

from lossscape.analyses.drawing import Curves
from lossscape.errors import BadInput
from lossscape.measured import RunLike
from lossscape.numerals import real
from lossscape.options import Option

EXAMPLES = (
    "lossscape compare runs/rates",
    "lossscape compare runs/rates --until test_accuracy=0.95 --until train_loss=0.1",
    "lossscape compare runs/sgd_s0 runs/sgd_s1 runs/adam_s0 runs/adam_s1 --metric test_loss --baseline sgd",
)
EXECUTION = ("quiet",)


@dataclass(frozen=True)
class Until:
    """A value that a metric is to reach."""

    metric: str
    """A column of metrics.csv."""
    value: float
    """At least, of an accuracy and its like; at most, of a loss."""

    def __str__(self) -> str:
        """As it is given."""
        return f"{self.metric}={self.value:g}"


def until_of(text: str) -> Until:
    """The value that `test_accuracy=0.97` names. Raises BadInput."""
    metric, sign, value = text.partition("=")
    try:
        if not sign or not re.fullmatch(r"(train|test)_\w+", metric.strip()):
            raise ValueError("no metric of a split and a value")
        return Until(metric.strip(), real(value.strip()))
    except ValueError as error:
        raise BadInput(f"--until {text}: {error}; write METRIC=VALUE, as in --until test_accuracy=0.97") from None


@dataclass(frozen=True)
class Request:
    """Compare runs over their seeds: final and best values, and what it takes to reach a value.

    Runs that differ in nothing but their seed are a group, as mean ± standard deviation; groups that differ in their
    learning rate are a method. Reads metrics.csv only, so also of runs under way; a sweep stands for all of its runs.
    """

    runs: Annotated[tuple[RunLike, ...], Option("Run directories, or those of sweeps.", "RUN|SWEEP", argument=True)]
    until: Annotated[
        tuple[str, ...],
        Option(
            "Epochs, steps, gradient evaluations and seconds to reach it; several times for several.", "METRIC=VALUE",
            word=lambda found: "+".join(str(until_of(each)).replace("=", "-") for each in found),
        ),
    ] = ()  # fmt: skip
    metric: Annotated[
        str | None,
        Option("What is drawn, ranked and tested; by default test_accuracy, or else test_loss.", "METRIC", word="{}"),
    ] = None
    baseline: Annotated[
        str | None,
        Option("The group that the others are held against; by default the best.", "GROUP", word="against-{}"),
    ] = None
    resamples: Annotated[int, Option("Of the bootstrap.", "N", least=100, most=1_000_000, word="{}-resamples")] = 10_000
    confidence: Annotated[
        float, Option("Of the bootstrap's interval.", least=0.5, most=0.999, word="confidence-{:g}")
    ] = 0.95
    seed: Annotated[int, Option("Of the bootstrap.", least=0, word="seed{}")] = 0

    def __post_init__(self) -> None:
        for text in self.until:
            until_of(text)
        if not self.runs:
            raise BadInput("no run is given: name runs, or a sweep")

    @property
    def values(self) -> list[Until]:
        """What is to be reached, each once."""
        return list(dict.fromkeys(map(until_of, self.until)))


Drawing = Curves
