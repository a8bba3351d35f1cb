"""lossscape landscape"""

import typer

from lossscape.cli.common import (
    BATCH_NORM,
    DEVICE,
    EXPORT,
    IGNORE,
    LOG,
    NORMALIZE,
    OVERWRITE,
    PLAN,
    POINT_HELP,
    PRECISION,
    QUIET,
    SAMPLES,
    SCHEDULER,
    SEED,
    SPLIT_HELP,
    TARGETS,
    TEACHER,
    WORKERS,
    PlanName,
    Precision,
    Split,
    Targets,
    grid_of,
    ignored,
    tell,
)  # fmt: skip
from lossscape.directions import Asked, Name
from lossscape.errors import BadInput
from lossscape.options import fields_of

EXAMPLES = """\b
Examples:
    lossscape landscape runs/mnist_mlp
    lossscape landscape runs/mnist_mlp@best --grid 25 --range -0.5 0.5 --split both --log
    lossscape landscape runs/mnist_mlp --dims 1 --grid 201 --seed 3
    lossscape landscape runs/mnist_mlp --auto-range 10 --refine 500
    lossscape landscape runs/cifar10_resnet50 --samples 2000 --precision bf16
    lossscape landscape runs/mnist_mlp --directions pca --path
    lossscape landscape runs/sgd --through runs/adam runs/sgd@first --path runs/sgd runs/adam
    lossscape landscape runs/sgd --towards runs/adam
    lossscape landscape runs/sgd@5 --directions-of runs/sgd@last
"""
ASKED = {each.name: each.option.help for each in fields_of(Asked)}


def command(
    centre: str = typer.Argument(metavar="A", help=POINT_HELP),
    runs: list[str] | None = typer.Argument(
        None, metavar="[RUN]...", help="With --path: the runs whose paths are drawn, in place of A's."
    ),
    dims: int = typer.Option(2, "--dims", min=1, max=2, help="2: a plane; 1: a line."),
    grid: str | None = typer.Option(
        None, "--grid", metavar="N|NxM", help="Points an axis: 51 of a plane, 201 of a line."
    ),
    both: tuple[float, float] | None = typer.Option(
        None,
        "--range",
        metavar="LO HI",
        help="Of both axes: -1 1; without random directions what holds the points.",
    ),
    x_range: tuple[float, float] | None = typer.Option(
        None, "--x-range", metavar="LO HI", help="Of x alone."
    ),
    y_range: tuple[float, float] | None = typer.Option(
        None, "--y-range", metavar="LO HI", help="Of y alone."
    ),
    auto_range: float | None = typer.Option(
        None,
        "--auto-range",
        metavar="FACTOR",
        help="Find the range in which the loss rises by FACTOR on every side.",
    ),
    refine: int = typer.Option(
        0,
        "--refine",
        metavar="BUDGET",
        min=0,
        max=1_000_000,
        help="Points beyond the grid, where the surface bends.",
    ),
    directions: Name = typer.Option(
        "random",
        "--directions",
        help=ASKED["name"],
    ),
    through: tuple[str, str] | None = typer.Option(
        None, "--through", metavar="B C", help="The plane through A, B and C."
    ),
    towards: str | None = typer.Option(
        None, "--towards", metavar="B", help="x leads to B, y is random and orthogonal to it."
    ),
    directions_of: str | None = typer.Option(
        None,
        "--directions-of",
        metavar="RUN[@CHECKPOINT]",
        help="Make the directions there, not at A: planes around several points are then parallel.",
    ),
    path: bool = typer.Option(
        False, "--path", help="Draw the checkpoints of A's run, or of the runs named behind, over the plane."
    ),
    normalize: str | None = NORMALIZE,
    ignore: str | None = IGNORE,
    seed: int = SEED,
    split: Split = typer.Option("train", "--split", help=SPLIT_HELP),
    samples: int | None = SAMPLES,
    targets: Targets = TARGETS,
    teacher: str | None = TEACHER,
    batch_norm: str | None = BATCH_NORM,
    precision: Precision = PRECISION,
    device: str = DEVICE,
    plan: PlanName | None = PLAN,
    workers: int | None = WORKERS,
    scheduler: str | None = SCHEDULER,
    export: str | None = EXPORT,
    log: bool = LOG,
    overwrite: bool = OVERWRITE,
    quiet: bool = QUIET,
) -> None:
    """Loss over a plane (or along a line) around a checkpoint: random, principal, or through other points.

    Writes surface.csv, directions.pt, contour.png and surface.png, with --path also path.csv and path.png; a second
    call completes or redraws the same result.
    """
    if grid is None:
        grid = "51" if dims == 2 else "201"
    points = grid_of(grid, dims)
    if dims == 1 and y_range is not None:
        raise BadInput("--y-range: a line has no y; leave it out, or draw a plane with --dims 2")
    if auto_range is not None and (both or x_range or y_range):
        raise BadInput("--auto-range finds the range: leave --range, --x-range and --y-range out")
    if export and dims == 1:
        raise BadInput("--export: writes surfaces; a line's values are in line.csv")
    if runs and not path:
        raise BadInput(f"{runs[0]}: runs behind A are for --path; did you mean --towards {runs[0]}?")
    from lossscape.analyses.drawing import exports_of
    from lossscape.analyses.landscape.compute import landscape
    from lossscape.analyses.landscape.figure import draw
    from lossscape.analyses.landscape.request import Drawing
    from lossscape.analyses.landscape.result import read
    from lossscape.runs import Run, point

    formats = exports_of(export)
    a = point(centre)
    named = [Run.open(name) for name in runs or []] or [a.run]
    folder = landscape(
        a, dims=dims, grid=points, x_range=x_range or both, y_range=y_range or both,
        auto_range=auto_range, refine=refine,
        directions=directions, through=[point(name) for name in through or ()],
        towards=point(towards) if towards else None,
        directions_of=point(directions_of) if directions_of else None, path=named if path else [],
        samples=samples, targets=targets, teacher=point(teacher) if teacher else None,
        plan=plan, workers=workers, scheduler=scheduler,
        normalize=normalize, ignore=None if ignore is None else ignored(ignore),
        seed=seed, split=split,
        batch_norm=batch_norm, precision=precision, device=device, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    tell(**draw(read(folder), Drawing(log=log, export=formats), quiet))
