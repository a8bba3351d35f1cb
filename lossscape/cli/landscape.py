"""lossscape landscape"""

from typing import Literal

import typer

from lossscape.cli.common import (
    DEVICE,
    LOG,
    OVERWRITE,
    POINT_HELP,
    PRECISION,
    QUIET,
    SPLIT_HELP,
    Precision,
    Split,
    grid_of,
    tell,
)  # fmt: skip
from lossscape.errors import BadInput

EXAMPLES = """\b
Examples:
    lossscape landscape runs/mnist_mlp
    lossscape landscape runs/mnist_mlp@best --grid 25 --range -0.5 0.5 --split both --log
    lossscape landscape runs/mnist_mlp --dims 1 --grid 201 --seed 3
"""
DEFAULT_RANGE = (-1.0, 1.0)


def command(
    centre: str = typer.Argument(metavar="A", help=POINT_HELP),
    dims: int = typer.Option(2, "--dims", min=1, max=2, help="2: a plane; 1: a line."),
    grid: str | None = typer.Option(
        None, "--grid", metavar="N|NxM", help="Points an axis: 51 of a plane, 201 of a line."
    ),
    both: tuple[float, float] | None = typer.Option(
        None, "--range", metavar="LO HI", help="Of both axes: -1 1."
    ),
    x_range: tuple[float, float] | None = typer.Option(
        None, "--x-range", metavar="LO HI", help="Of x alone."
    ),
    y_range: tuple[float, float] | None = typer.Option(
        None, "--y-range", metavar="LO HI", help="Of y alone."
    ),
    directions: Literal["random"] = typer.Option(
        "random", "--directions", help="random: normal numbers, made orthogonal."
    ),
    normalize: str = typer.Option("filter", "--normalize", help="filter, layer, global, unit or none."),
    ignore: str = typer.Option(
        "bias,norm", "--ignore", help="Parameters that stay put: bias,norm, either of them, or none."
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Of the directions."),
    split: Split = typer.Option("train", "--split", help=SPLIT_HELP),
    batch_norm: str | None = typer.Option(
        None,
        "--batch-norm",
        help="frozen (default: the centre's) or recompute, where the net has statistics.",
    ),
    precision: Precision = PRECISION,
    device: str = DEVICE,
    log: bool = LOG,
    overwrite: bool = OVERWRITE,
    quiet: bool = QUIET,
) -> None:
    """Loss over a plane (or along a line) of random directions around a checkpoint.

    Writes surface.csv, directions.pt, contour.png and surface.png; a second call completes or redraws the same result.
    """
    if grid is None:
        grid = "51" if dims == 2 else "201"
    points = grid_of(grid, dims)
    if dims == 1 and y_range is not None:
        raise BadInput("--y-range: a line has no y; leave it out, or draw a plane with --dims 2")
    from lossscape.analyses import landscape
    from lossscape.report.curves import draw_curve
    from lossscape.report.surfaces import draw_contour, draw_surface
    from lossscape.results import read_curve, read_surface
    from lossscape.runs import point

    folder = landscape(
        point(centre), dims=dims, grid=points,
        x_range=x_range or both or DEFAULT_RANGE, y_range=y_range or both or DEFAULT_RANGE,
        normalize=normalize, ignore=[] if ignore == "none" else ignore.split(","), seed=seed, split=split,
        batch_norm=batch_norm, precision=precision, device=device, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    if dims == 1:
        draw_curve([read_curve(folder)], folder / "line.png", log=log)
        tell(line=folder / "line.csv", figure=folder / "line.png", directions=folder / "directions.pt")
        return
    surface = read_surface(folder)
    shown = "test" if split == "test" else "train"
    draw_contour(surface, folder / "contour.png", split=shown, log=log)
    draw_surface(surface, folder / "surface.png", split=shown, log=log)
    tell(
        surface=folder / "surface.csv", contour=folder / "contour.png", figure=folder / "surface.png",
        directions=folder / "directions.pt",
    )  # fmt: skip
