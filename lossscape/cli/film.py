"""lossscape film"""

from typing import Literal

import typer

from lossscape.cli.common import (
    DEVICE,
    IGNORE,
    LOG,
    NORMALIZE,
    OVERWRITE,
    PLAN,
    POINT_HELP,
    PRECISION,
    QUIET,
    SAMPLES,
    SEED,
    SPLIT_HELP,
    TARGETS,
    PlanName,
    Precision,
    Targets,
    grid_of,
    ignored,
    tell,
)
from lossscape.directions import Name

EXAMPLES = """\b
Examples:
    lossscape film runs/mnist_mlp
    lossscape film runs/mnist_mlp --every 10 --kind plane --grid 15 --range -0.5 0.5
    lossscape film runs/mnist_mlp --kind descent --grid 51 --fps 4
    lossscape film runs/cifar10_cnn --directions pca --samples 2000 --format gif,mp4
"""


def command(
    centre: str = typer.Argument(metavar="A", help=POINT_HELP),
    kind: Literal["both", "descent", "plane"] = typer.Option(
        "both",
        "--kind",
        help="descent: the run's path grows over a surface around A; plane: the surface around every checkpoint.",
    ),
    directions: Name | None = typer.Option(
        None,
        "--directions",
        help="Made at A: of descent pca, of plane random; or the same for both.",
        show_default=False,
    ),
    every: float = typer.Option(
        1.0,
        "--every",
        metavar="EPOCHS",
        min=1e-6,
        help="From one frame to the next; the last one comes in any case.",
    ),
    grid: str = typer.Option("25", "--grid", metavar="N|NxM", help="Points an axis."),
    both: tuple[float, float] | None = typer.Option(
        None,
        "--range",
        metavar="LO HI",
        help="Of both axes: -1 1 of random directions, else what holds the path.",
    ),
    normalize: str | None = NORMALIZE,
    ignore: str | None = IGNORE,
    seed: int = SEED,
    split: Literal["train", "test"] = typer.Option("train", "--split", help=SPLIT_HELP),
    samples: int | None = SAMPLES,
    targets: Targets = TARGETS,
    batch_norm: str | None = typer.Option(
        None,
        "--batch-norm",
        help="frozen (default: each frame's checkpoint's) or recompute, where the net has statistics.",
    ),
    precision: Precision = PRECISION,
    device: str = DEVICE,
    plan: PlanName | None = PLAN,
    fps: float = typer.Option(8.0, "--fps", min=0.1, max=50.0, help="Frames a second."),
    formats: str | None = typer.Option(
        None, "--format", metavar="gif,mp4", help="gif, and mp4 where ffmpeg is installed."
    ),
    log: bool = LOG,
    overwrite: bool = OVERWRITE,
    quiet: bool = QUIET,
) -> None:
    """Films of a training: the descent over a surface, and one fixed plane around every checkpoint.

    Frames of the plane are landscapes of the run, with the directions made at A; a second call evaluates those that
    lack, and draws the films anew.
    """
    points = grid_of(grid, 2)
    from lossscape.analyses.film.request import Drawing, formats_of

    wanted = formats_of(formats)
    from lossscape.analyses.film.compute import film
    from lossscape.analyses.film.figure import draw
    from lossscape.analyses.film.result import read
    from lossscape.runs import point

    folder = film(
        point(centre), kind=kind, directions=directions, every=every, grid=points, span=both, normalize=normalize,
        ignore=ignored(ignore) if ignore is not None else None, seed=seed, split=split,
        samples=samples, targets=targets, batch_norm=batch_norm, precision=precision, device=device, plan=plan,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    tell(**draw(read(folder), Drawing(fps=fps, formats=wanted, log=log), quiet))
