"""lossscape minimum"""

from typing import Literal

import typer

from lossscape.cli.common import DEVICE, OVERWRITE, POINT_HELP, QUIET, tell

EXAMPLES = """\b
Examples:
    lossscape minimum runs/cifar10_dnn --targets soft
    lossscape landscape runs/cifar10_dnn --targets soft
"""


def command(
    centre: str = typer.Argument(metavar="A", help=POINT_HELP),
    targets: Literal["hard", "soft"] = typer.Option(
        "soft", "--targets", help="hard: the classes that the net gives; soft: its whole outputs."
    ),
    grid: int = typer.Option(
        11, "--grid", metavar="N", min=3, max=1001, help="Points an axis of a small plane."
    ),
    reach: float = typer.Option(
        0.1, "--reach", min=1e-6, max=100.0, help="The plane goes from -reach to reach."
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Of the plane's directions."),
    device: str = DEVICE,
    overwrite: bool = OVERWRITE,
    quiet: bool = QUIET,
) -> None:
    """A true minimum: relabel the training inputs with the trained net's own outputs.

    Writes the targets and, for the data's labels and for the targets, loss, accuracy and gradient norm at the net and
    where on a small plane the loss is lower still. --targets works wherever a loss is taken: landscape, interpolate.
    """
    from lossscape.analyses.minimum.compute import minimum
    from lossscape.analyses.minimum.figure import draw
    from lossscape.analyses.minimum.request import Drawing
    from lossscape.analyses.minimum.result import read
    from lossscape.runs import point

    folder = minimum(
        point(centre), targets=targets, grid=grid, reach=reach, seed=seed, device=device, overwrite=overwrite,
        quiet=quiet,
    )  # fmt: skip
    found = read(folder)
    for line in [] if quiet else found.lines():
        typer.echo(line)
    tell(**draw(found, Drawing(), quiet))
