"""What is asked for of initial values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from lossscape.analyses.drawing import Losses
from lossscape.errors import BadInput
from lossscape.measured import names
from lossscape.numerals import real
from lossscape.options import Option

EXAMPLES = (
    "lossscape initial-values configs/mnist_mlp.yaml",
    "lossscape initial-values configs/mnist_mlp.yaml --activations relu,tanh --set dataset.train_size=5000 --workers 2",
    "lossscape initial-values configs/digits_mlp.yaml --schemes constant=0,normal=0.05,he --seeds 3 --epochs 0",
)
EXECUTION = ("device", "workers", "scheduler", "overwrite", "quiet")
SCHEMES = ("constant=0", "constant=1", "normal=0.01", "normal=0.1", "normal=1", "xavier", "he", "lecun")
VALUED = {"constant": "value", "normal": "std"}
"""Initial values with a number, and what the config calls it."""


def scheme_of(text: str) -> dict[str, str | float]:
    """The section `model.init` of initial values such as `normal=0.1` or `he`. Raises BadInput."""
    name, given, value = text.partition("=")
    if not given and name in VALUED:
        raise BadInput(f"--schemes {text}: give its number, as in {name}=0.1")
    if not given:
        return {"name": name}
    if name not in VALUED:
        raise BadInput(f"--schemes {text}: only {' and '.join(VALUED)} have a number, as in normal=0.1")
    try:
        return {"name": name, VALUED[name]: real(value)}
    except ValueError as error:
        raise BadInput(f"--schemes {text}: {error}") from None


def _count(what: str) -> Callable[[tuple[str, ...]], str]:
    return lambda found: "+".join(found) if len(found) < 4 else f"{len(found)}-{what}"


@dataclass(frozen=True)
class Request:
    """How a net begins under each scheme of initial values: activations and gradients by layer, then short trainings.

    Writes layers.csv, units.csv, trainings.csv, summary.csv and figures below RUNS/NAME-initial-values, where the
    trainings lie too; a second call completes or redraws the same result. Units that start equal are counted, and those
    that are still equal after training.
    """

    config: Annotated[str, Option("YAML file of the experiment.", "CONFIG", argument=True)]
    schemes: Annotated[
        tuple[str, ...],
        Option(
            f"Initial values, as in model.init: {','.join(SCHEMES)} (default), default, or your own.",
            "S,S",
            given=str,
            parse=names,
            word=_count("schemes"),
        ),
    ] = SCHEMES
    activations: Annotated[
        tuple[str, ...],
        Option(
            "Of the net, as in relu,tanh,sigmoid; default: the config's own.",
            "A,A",
            given=str,
            parse=names,
            word=_count("activations"),
        ),
    ] = ()
    samples: Annotated[
        int, Option("Training inputs for activations and gradients.", "N", least=2, word="{}-samples", always=True)
    ] = 1000
    seeds: Annotated[
        int, Option("Seeds, from the config's on.", "N", least=1, most=10_000, word="{}-seeds", always=True)
    ] = 5
    epochs: Annotated[
        int, Option("Of each short training; 0: none.", "N", least=0, most=1_000_000, word="{}-epochs", always=True)
    ] = 3
    settings: Annotated[
        tuple[str, ...], Option("key=value laid over the config, as in training.batch_size=50.", flag="--set")
    ] = ()
    runs: Annotated[str, Option("Folder that the result's own is made in.", "DIR")] = "runs"

    def __post_init__(self) -> None:
        for flag, least in (("samples", 2), ("seeds", 1), ("epochs", 0)):
            if getattr(self, flag) < least:
                raise BadInput(f"--{flag} {getattr(self, flag)}: at least {least} is needed")
        for text in self.schemes:
            scheme_of(text)


Drawing = Losses
