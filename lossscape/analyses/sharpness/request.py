"""What is asked for of sharpness."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lossscape.analyses.drawing import Tables, numbers_of
from lossscape.errors import BadInput, one_of
from lossscape.figures.how import listed
from lossscape.measured import POINT_HELP, Measured, PointLike
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape sharpness runs/mnist_mlp --samples 2000",
    "lossscape sharpness runs/mnist_mlp --all --rho 0.1 --adaptive-rho 0.5 --seeds 3",
    "lossscape sharpness runs/mnist_mlp@first runs/mnist_mlp@last --measures worst,width --rise 0.5",
)
EXECUTION = ("device", "workers", "scheduler", "overwrite", "quiet")
MEASURES = ("worst", "average", "adaptive_worst", "adaptive_average", "width")
MOST_RADIUS = 1e6


def measures_of(text: str) -> tuple[str, ...]:
    """The words of `--measures worst,width`. Raises BadInput."""
    return listed("--measures", text, MEASURES)


def radii_of(text: str) -> tuple[float, ...]:
    """The numbers of `--rho 0.05,0.1`, ascending. Raises BadInput."""
    return numbers_of(text, "radii as in --rho 0.05,0.1")


def _radii_word(flag: str) -> Option:
    name = flag.strip("-")
    return Option(
        {
            "rho": "Radii of the balls, and the noise's length in the mean.",
            "adaptive-rho": "The same of the adaptive measures, in units of each weight's own size.",
        }[name],
        "R,R,…",
        given=str,
        parse=radii_of,
        word=lambda found: f"{name}-" + "-".join(f"{each:g}" for each in found),
    )


@dataclass(frozen=True)
class Request:
    """How sharp a checkpoint is: how far the loss rises near it, at worst and in the mean, and how wide the valley is.

    worst: the greatest rise that gradient ascent (SAM, several steps) finds in a ball of radius ρ; average: the mean
    rise over Gaussian noise; both plain and adaptive, which no rescaling of layers changes (ASAM); width: how far along
    filter-normalised random directions the loss has risen by --rise. Weight decay is no part of the loss. Over several
    seeds, with confidence intervals; at one checkpoint, several, or all of a run. A second call completes the result.
    """

    points: Annotated[tuple[PointLike, ...], Option(f"{POINT_HELP}; several of one run.", "A", argument=True)]
    every: Annotated[bool, Option("Every checkpoint of the run.", flag="--all")] = False
    measures: Annotated[
        tuple[str, ...],
        Option("Which.", ",".join(MEASURES), given=str, parse=measures_of, word=lambda found: "-".join(found)),
    ] = MEASURES
    rho: Annotated[tuple[float, ...], _radii_word("--rho")] = (0.1, 0.2, 0.5)
    adaptive_rho: Annotated[tuple[float, ...], _radii_word("--adaptive-rho")] = (0.2, 0.5, 1.0)
    rise: Annotated[
        float, Option("Of the loss, at the end of the width.", least=1e-12, most=1e12, word="rise-{:g}")
    ] = 0.1
    seeds: Annotated[
        int, Option("Starts of ascent, sets of noise and directions.", "N", least=1, most=10_000, word="{}-seeds")
    ] = 10
    seed: Annotated[int, Option("The first of them.", least=0, word="seed{}")] = 0
    ascent_steps: Annotated[
        int, Option("Of gradient ascent from each start.", "N", least=1, most=10_000, word="{}-steps")
    ] = 20
    pairs: Annotated[
        int, Option("Of noise and its negative, of each seed.", "N", least=2, most=100_000, word="{}-pairs")
    ] = 5
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
            *(("--measures", each, MEASURES) for each in self.measures),
            ("--split", self.measured.split, ("train", "test")),
            ("--precision", self.measured.precision, ("fp64", "fp32")),
        ):
            if word not in words:
                raise BadInput(one_of(flag, word, words))
        for flag, radii in (("--rho", self.rho), ("--adaptive-rho", self.adaptive_rho)):
            if not radii or not all(0 < each <= MOST_RADIUS for each in radii):
                given = ",".join(f"{each:g}" for each in radii)
                raise BadInput(f"{flag} {given}: give radii above 0, at most {MOST_RADIUS:g}, as in {flag} 0.05,0.1")
        for name, fewest in {"points": 1, "measures": 1, "seeds": 1, "ascent_steps": 1, "pairs": 2}.items():
            found = getattr(self, name)
            if (count := len(found) if isinstance(found, tuple) else found) < fewest:
                raise BadInput(f"--{name.replace('_', '-')} {count}: give {fewest} at least")
        if not self.rise > 0:
            raise BadInput(f"--rise {self.rise:g}: the loss rises by more than 0")

    def radii(self, measure: str) -> tuple[float | None, ...]:
        """The values of ρ of a measure; that of the width is none."""
        if measure == "width":
            return (None,)
        return self.adaptive_rho if measure.startswith("adaptive") else self.rho


Drawing = Tables
