"""lossscape interpolate"""

from typing import Literal

import typer

from lossscape.cli.common import (
    DEVICE,
    LOG,
    MAX_POINTS,
    OVERWRITE,
    PLAN,
    POINT_HELP,
    PRECISION,
    QUIET,
    SAMPLES,
    SCHEDULER,
    SPLIT_HELP,
    TARGETS,
    TEACHER,
    WORKERS,
    PlanName,
    Precision,
    Split,
    Targets,
    tell,
)
from lossscape.errors import BadInput

EXAMPLES = """\b
Examples:
    lossscape interpolate runs/mnist_mlp
    lossscape interpolate runs/mnist_mlp@1 runs/mnist_mlp@20 --points 101
    lossscape interpolate runs/a runs/b --range -0.5 1.5 --log
    lossscape interpolate runs/mnist_4nn_100@1 runs/mnist_4nn_100@200 --dropout keep
"""


def command(
    start: str = typer.Argument(metavar="A", help=POINT_HELP),
    end: str | None = typer.Argument(
        None, metavar="[B]", help="The same; without it the line is A@first to A@last."
    ),
    points: int = typer.Option(1001, "--points", min=2, max=MAX_POINTS, help="Values of α."),
    ends: tuple[float, float] = typer.Option(
        (0.0, 1.0), "--range", metavar="LO HI", help="Of α; may go past the ends."
    ),
    split: Split = typer.Option("both", "--split", help=SPLIT_HELP),
    samples: int | None = SAMPLES,
    targets: Targets = TARGETS,
    teacher: str | None = TEACHER,
    batch_norm: str | None = typer.Option(
        None,
        "--batch-norm",
        help="recompute (default), interpolated or frozen statistics, where the net has any.",
    ),
    dropout: Literal["off", "keep"] = typer.Option(
        "off", "--dropout", help="keep: dropout stays on, with the same seeded masks at every α."
    ),
    seed: int | None = typer.Option(None, "--seed", min=0, help="Of the masks of --dropout keep: 0."),
    precision: Precision = PRECISION,
    device: str = DEVICE,
    plan: PlanName | None = PLAN,
    workers: int | None = WORKERS,
    scheduler: str | None = SCHEDULER,
    log: bool = LOG,
    overwrite: bool = OVERWRITE,
    quiet: bool = QUIET,
) -> None:
    """Loss and accuracy along the line between two checkpoints.

    Writes curve.csv, curve.png and the curve's measures; a second call completes or redraws the same result.
    """
    if seed is not None and dropout == "off":
        raise BadInput(f"--seed {seed}: of the masks that --dropout keep draws; leave it out, or give both")
    from lossscape.analyses.interpolate.compute import interpolate, pair
    from lossscape.analyses.interpolate.figure import draw
    from lossscape.analyses.interpolate.request import Drawing
    from lossscape.analyses.interpolate.result import read
    from lossscape.runs import point

    a, b = pair(start, end)
    folder = interpolate(
        a, b, points=points, low=ends[0], high=ends[1], split=split, batch_norm=batch_norm,
        samples=samples, targets=targets, teacher=point(teacher) if teacher else None,
        dropout=(seed or 0) if dropout == "keep" else None, plan=plan, workers=workers, scheduler=scheduler,
        precision=precision, device=device, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    curve = read(folder)
    drawn = draw(curve, Drawing(log=log), quiet)
    for line in [] if quiet else curve.lines():
        typer.echo(line)
    tell(**drawn)
