"""lossscape solutions"""

import typer

from lossscape.cli.common import QUIET, tell

EXAMPLES = """\b
Examples:
    lossscape solutions runs/mnist_mlp
    lossscape solutions runs/cifar10_dnn runs/cifar10_cnn runs/cifar10_resnet50
    lossscape solutions runs/dnn_s0 runs/dnn_s1 runs/resnet50_s0 runs/resnet50_s1 --tolerance 0.02 --window 5
"""


def command(
    runs: list[str] = typer.Argument(metavar="RUN...", help="Run directories."),
    tolerance: float = typer.Option(
        0.01,
        "--tolerance",
        min=0.0,
        help="Greatest relative change of the training loss from one epoch to the next that counts as none.",
    ),
    zero: float = typer.Option(0.01, "--zero", min=0.0, help="Greatest loss that counts as 0."),
    window: int = typer.Option(
        3,
        "--window",
        metavar="N",
        min=1,
        help="Epochs in succession for which a kind's definition must hold.",
    ),
    quiet: bool = QUIET,
) -> None:
    """Which epochs are a local, a global or a true minimum, and how many epochs each run takes to them.

    LM: the training loss T stays the same; GM: and is 0; TM: and the test loss is 0 too. Reads metrics.csv only, so
    also of runs under way. Runs that differ in nothing but their seed are taken together as mean ± std.
    """
    from lossscape.analyses.solutions.compute import solutions
    from lossscape.analyses.solutions.figure import draw
    from lossscape.analyses.solutions.kinds import Rule
    from lossscape.analyses.solutions.request import Drawing
    from lossscape.analyses.solutions.result import read
    from lossscape.runs import Run

    opened = [Run.open(path) for path in dict.fromkeys(runs)]
    folder = solutions(opened, Rule(tolerance, zero, window))
    found = read(folder)
    for line in [] if quiet else found.lines():
        typer.echo(line)
    tell(**draw(found, Drawing(), quiet))
