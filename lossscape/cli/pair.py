"""lossscape pair"""

from typing import Literal

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
    WORKERS,
    PlanName,
    Precision,
    grid_of,
    ignored,
    tell,
)
from lossscape.errors import BadInput

EXAMPLES = """\b
Examples:
    lossscape pair runs/cifar10_dnn
    lossscape pair runs/cifar10_dnn runs/cifar10_cnn runs/cifar10_resnet50 --repeats 5
    lossscape pair runs/cifar10_dnn --targets hard --printed 20
    lossscape pair runs/cifar10_dnn --levels +0.5,x10 --export vts,npz
"""
DEFAULT_RANGE = (-1.0, 1.0)


def command(
    centres: list[str] = typer.Argument(metavar="A...", help=POINT_HELP),
    targets: Literal["soft", "hard"] = typer.Option(
        "soft", "--targets", help="What the net itself says: its whole outputs, or its classes."
    ),
    grid: str | None = typer.Option(
        None, "--grid", metavar="N|NxM", help="Points an axis, odd numbers so that the centre is one: 25."
    ),
    both: tuple[float, float] | None = typer.Option(
        None, "--range", metavar="LO HI", help="Of both axes: -1 1."
    ),
    printed: int | None = typer.Option(
        None,
        "--printed",
        metavar="K",
        min=2,
        max=3000,
        help="Steps 0 to K-1 of unit length, as Algorithm 2 is printed: --normalize unit --ignore none.",
    ),
    normalize: str | None = NORMALIZE,
    ignore: str | None = IGNORE,
    repeats: int = typer.Option(
        1, "--repeats", metavar="K", min=1, max=1000, help="Planes, of the seeds 0 to K-1, for the measures."
    ),
    levels: str = typer.Option(
        "+0.1,+1,x2",
        "--levels",
        help="Of the widths: +0.1 above the centre, x2 times the centre, 0.5 a loss.",
    ),
    samples: int | None = SAMPLES,
    batch_norm: str | None = BATCH_NORM,
    precision: Precision = PRECISION,
    device: str = DEVICE,
    plan: PlanName | None = PLAN,
    workers: int | None = WORKERS,
    scheduler: str | None = SCHEDULER,
    log: bool = LOG,
    export: str | None = EXPORT,
    overwrite: bool = OVERWRITE,
    quiet: bool = QUIET,
) -> None:
    """Landscapes of the training data against its labels and against what the net itself says, in the same planes.

    Every surface is a landscape of its run, which a second call completes; here come figures, the difference, and a
    table of measures over several planes: widths, slopes, asymmetry, convexity.
    """
    if printed and (grid or both or normalize or ignore):
        raise BadInput("--printed K sets --grid, --range, --normalize and --ignore: leave them out")
    if printed:
        grid, both, normalize, ignore = str(printed), (0.0, printed - 1.0), "unit", "none"
    points, ignore = grid_of(grid or "25", 2), ignore or "bias,norm"
    from lossscape.analyses.drawing import exports_of
    from lossscape.analyses.pair.compute import pair
    from lossscape.analyses.pair.figure import draw
    from lossscape.analyses.pair.request import Drawing
    from lossscape.analyses.pair.result import read
    from lossscape.runs import point

    formats = exports_of(export)
    folder = pair(
        [point(centre) for centre in centres], targets=targets, grid=points,
        x_range=both or DEFAULT_RANGE, y_range=both or DEFAULT_RANGE, normalize=normalize or "filter",
        ignore=ignored(ignore), repeats=repeats, levels=levels.split(","),
        samples=samples, batch_norm=batch_norm, precision=precision, device=device, plan=plan, workers=workers,
        scheduler=scheduler, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    tell(**draw(read(folder), Drawing(log=log, export=formats), quiet))
