"""What was asked for of films: which checkpoints are frames, the directions and ranges of each, words of a folder."""

from collections.abc import Mapping, Sequence
from typing import Any

from lossscape.directions import DIRECTIONS, Asked, Direction, choose
from lossscape.directions.plane import AXES
from lossscape.errors import BadInput
from lossscape.evaluate.subspace import axis
from lossscape.runs import Point
from lossscape.trajectory import Moment

KINDS = ("descent", "plane")
USUAL = {"descent": "pca", "plane": "random"}
"""By default: the plane that shows most of the path, and the one of landscapes."""
Ranges = dict[str, list[float]]


def every_so_often(moments: Sequence[Moment], every: float) -> list[Moment]:
    """The moments at least so many epochs apart, the first and the last among them; all where epochs are unknown."""
    shown = [moments[0]]
    for moment in moments[1:-1]:
        if not moment.epoch < shown[-1].epoch + every - 1e-9:
            shown.append(moment)
    return [*shown, *moments[1:][-1:]]


def check(
    centre: Point,
    asked: Mapping[str, str],
    moments: Sequence[Moment],
    span: tuple[float, float] | None,
) -> None:
    """Raise BadInput where the run has too few checkpoints or one range would serve for two units."""
    name, keep = centre.run.path, "keep more of them (training.checkpoint_every) and train again"
    if len(moments) < 2:
        raise BadInput(f"{name}: has one checkpoint, {moments[0].checkpoint.label}; a film needs two: {keep}")
    if span is not None and len(set(asked.values())) > 1:
        raise BadInput(
            "--range: descent is drawn over principal components and plane over random directions, whose units differ; "
            "choose one with --kind, or the same for both with --directions"
        )


def range_of(way: str, span: tuple[float, float] | None) -> Ranges:
    """The ranges of a film as far as they are known before anything is loaded."""
    given = span or DIRECTIONS[way].span
    return {f"{name}_range": [float(end) for end in given] for name in AXES} if given else {}


def check_grid(kind: str, grid: tuple[int, int], ranges: Ranges) -> None:
    """Raise BadInput for a range that is none, or a grid that leaves out the checkpoint whose frame it is."""
    for name, points in zip(AXES, grid, strict=True):
        low, high = ranges.get(f"{name}_range", (-1.0, 1.0))
        if 0.0 not in axis(points, low, high) and kind == "plane":
            raise BadInput(
                f"{points} points from {low:g} to {high:g} along {name} miss the checkpoint, whose loss every frame of "
                "the plane shows; give --grid an odd number and a range with 0 in its middle"
            )


def chosen_of(centre: Point, asked: Mapping[str, str], drawn: dict[str, Any]) -> dict[str, Direction]:
    """The directions of each film; drawn: options of those that are drawn, which are refused where none is."""
    takes = [way for way in asked.values() if DIRECTIONS[way].draws(2)] or asked.values()
    return {
        each: choose(centre, 2, Asked(way, **(drawn if way in takes else {}))) for each, way in asked.items()
    }


def words_of(
    centre: Point, settings: Mapping[str, Any], asked: Mapping[str, str], span: tuple[float, float] | None
) -> list[str]:
    """The readable part of the folder's name: the centre and grid, then what differs from the defaults."""
    words = [centre.checkpoint.label, "x".join(map(str, settings["grid"]))]
    words += [settings["kind"]] if settings["kind"] != "both" else []
    words += sorted({way for kind, way in asked.items() if way != USUAL[kind]})
    words += ["{:g}to{:g}".format(*span)] if span else []
    words += [f"every-{settings['every']:g}"] if settings["every"] != 1 else []
    for made in settings["directions"].values():
        words += [f"seed{made['seed']}"] if made.get("seed") else []
        words += [made["normalize"]] if made.get("normalize", "filter") != "filter" else []
    words += [
        settings[key] for key, usual in (("split", "train"), ("targets", "labels")) if settings[key] != usual
    ]
    words += [f"{next(iter(settings['samples'].values()))}-samples"] if "population" in settings else []
    words += ["recompute"] if settings["batch_norm"] == "recompute" else []
    return words + ([settings["precision"]] if settings["precision"] != "fp32" else [])
