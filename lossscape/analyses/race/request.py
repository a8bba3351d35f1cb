"""What a race of descent methods is asked for."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from lossscape.analyses.drawing import Films
from lossscape.analyses.grids import Ranges, grid_of
from lossscape.directions import Asked
from lossscape.errors import BadInput, short
from lossscape.measured import Measured, PointLike
from lossscape.numerals import real
from lossscape.options import Embedded, Option

EXAMPLES = (
    "lossscape race saddle",
    "lossscape race saddle --start 1,0.001 --start ridge --noise 0.01",
    "lossscape race rosenbrock --methods sgd:lr=0.001,adam:lr=0.05,adam:lr=0.2 --steps 5000",
    "lossscape race himmelblau --starts 10 --seed 3",
    "lossscape race cliff --methods sgd,momentum --clip-norm 1",
    "lossscape race runs/digits_mlp --samples 500 --starts 3",
    "lossscape race runs/digits_mlp --directions pca --methods methods.yaml",
    "lossscape race runs/digits_saddles --saddles runs/digits_saddles/saddles/all-… --displace 1e-4",
)
EXECUTION = ("device", "workers", "scheduler", "overwrite", "quiet")
RIDGE = "ridge"
STEPS = 100
"""Of a run's net, where none are given."""
STARTS, DISPLACE = 3, 1e-4
_COMMA = re.compile(r",(?![^\[]*\])")
Start = tuple[float, float] | str
"""Coordinates, or RIDGE."""


def methods_of(text: str) -> tuple[dict[str, Any], ...]:
    """The methods of `--methods sgd:lr=0.01,adam` or of a YAML file with a list of optimizers. Raises BadInput."""
    from lossscape import yamlfile

    if text.endswith((".yaml", ".yml")):
        content = yamlfile.read(Path(text)).data
        if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
            raise BadInput(f"{text}: a list of optimizers is needed, as in - {{name: sgd, lr: 0.01}}")
        return methods_from(content)
    return methods_from(_COMMA.split(text))


def methods_from(given: Sequence[str | Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Methods as the sections of a config would name them, from these or from texts as `adam:lr=0.1:betas=[0.9,0.99]`.

    Raises BadInput for a text that is none.
    """
    from lossscape import yamlfile

    found = []
    for each in given:
        if not isinstance(each, str):
            found.append(dict(each))
            continue
        name, *options = each.strip().split(":")
        method: dict[str, Any] = {"name": name}
        for option in options:
            key, equals, value = option.partition("=")
            if not (key and equals and value):
                raise BadInput(f"--methods {short(each)}: write NAME:key=value:…, as in sgd:lr=0.01")
            method[key] = yamlfile.scalar(value, f"--methods {each}")
        found.append(method)
    return tuple(found)


def _coordinate(given: "str | float") -> float:
    number = real(given.strip()) if isinstance(given, str) else float(given)
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def start_of(given: "str | Sequence[float]") -> Start:
    """A starting point from `0.5,0`, `ridge` or two numbers. Raises BadInput."""
    if given == RIDGE:
        return RIDGE
    try:
        x, y = map(_coordinate, given.split(",") if isinstance(given, str) else given)
    except (TypeError, ValueError):
        raise BadInput(
            f"--start {short(given)}: give two numbers as in --start 0.5,0, or ridge (finite ones are needed)"
        ) from None
    return x, y


@dataclass(frozen=True)
class Request:
    """Descent methods side by side on a function of two numbers, or on the loss of a run's net.

    SURFACE is saddle, monkey_saddle, valley, beale, rosenbrock, himmelblau, plateau, cliff or noisy_bowl; or
    RUN[@CHECKPOINT], in whose plane of two directions the methods then descend, or with --saddles in all parameters.
    Writes paths.csv, race.csv, figures and an animation; a second call completes or redraws the same result.
    """

    surface: Annotated[PointLike, Option("A surface's name, or RUN[@CHECKPOINT].", "SURFACE", argument=True)]
    methods: Annotated[
        tuple[dict[str, Any], ...] | None,
        Option(
            "Optimizers, as sgd:lr=0.01,momentum:lr=0.01:momentum=0.9, or a YAML file with a list of them; without lr "
            "what suits the surface.",
            "METHODS",
            given=str,
            parse=methods_of,
            word=lambda methods: "-".join(dict.fromkeys(str(each.get("name", "")) for each in methods)),
        ),
    ] = None
    start: Annotated[
        tuple[Any, ...], Option("Where they begin, once or several times: X,Y, or ridge: exactly on a saddle's.",
                                "X,Y|ridge")
    ] = ()  # fmt: skip
    starts: Annotated[
        int | None, Option("Drawn over the window, in place of --start; of saddles, displacements of each.", "N",
                           least=1, most=10_000, word="{}-starts")
    ] = None  # fmt: skip
    seed: Annotated[int, Option("Of drawn starts and of noise.", least=0, word="seed{}")] = 0
    steps: Annotated[int | None, Option("Of each method.", "N", least=1, most=100_000, word="{}-steps")] = None
    noise: Annotated[
        float, Option("Standard deviation of each number of a gradient, added anew at every step.", "SIGMA", least=0,
                      most=1e9, word="noise{:g}")
    ] = 0.0  # fmt: skip
    clip_norm: Annotated[
        float | None, Option("Longest gradient that a method is given; full-batch methods are not clipped.", "NORM",
                             least=1e-9, most=1e9, word="clip{:g}")
    ] = None  # fmt: skip
    tolerance: Annotated[
        float, Option("A minimum is reached within this part of the window's longer side.", least=1e-9, most=0.5,
                      word="tolerance-{:g}")
    ] = 0.01  # fmt: skip
    grid: Annotated[
        tuple[int, ...] | None,
        Option("Points an axis of the surface that is drawn: 51 of a run, 101 of a function.", "N|NxM", given=str),
    ] = None
    ranges: Annotated[Ranges, Embedded(help={"range": "Of both axes: the surface's usual window."})] = Ranges()
    asked: Annotated[Asked, Embedded(leave=("seed",))] = Asked()
    directions_seed: Annotated[int, Option("Of random directions of a run's plane.", least=0)] = 0
    saddles: Annotated[
        str | None,
        Option("Begin at the saddles that `lossscape saddles --keep` kept there, and descend in all parameters.",
               "FOLDER", word=lambda _: "saddles"),
    ] = None  # fmt: skip
    displace: Annotated[
        float, Option("With --saddles: how far from them, as a part of ‖θ‖; 0: exactly there.", least=0, most=1,
                      word="displaced-{:g}")
    ] = DISPLACE  # fmt: skip
    home: Annotated[str, Option("Folder that holds races of functions, in races/.", "FOLDER", "--runs")] = "runs"
    measured: Annotated[
        Measured,
        Embedded(
            leave=("dropout", "mask_seed", "batch_norm", "metrics"),
            types={"split": Literal["train", "test"], "precision": Literal["fp64", "fp32"]},
        ),
    ] = Measured()

    def __post_init__(self) -> None:
        given: Any = self.methods
        if given is not None:
            object.__setattr__(self, "methods", methods_of(given) if isinstance(given, str) else methods_from(given))
        start: Any = self.start
        one = isinstance(start, str) or (start and isinstance(start[0], float | int))
        object.__setattr__(self, "start", tuple(map(start_of, (start,) if one else start)))
        if self.start and self.starts:
            raise BadInput("--start gives where methods begin, --starts draws it: choose one")
        if self.grid is not None:
            object.__setattr__(self, "grid", grid_of(self.grid))
        if self.displace != DISPLACE and not self.saddles:
            raise BadInput("--displace: is how far from the saddles of --saddles methods begin; give both")
        object.__setattr__(self, "asked", replace(self.asked, seed=self.directions_seed))


@dataclass(frozen=True)
class Drawing(Films):
    """How races are drawn."""

    fps: Annotated[float, Option("Frames a second.", least=0.1, most=50.0)] = 12.0
    frames: Annotated[int, Option("Of the animation, at most, evenly over the steps.", least=2, most=5000)] = 100
