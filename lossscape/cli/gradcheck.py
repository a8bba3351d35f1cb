"""lossscape gradcheck"""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lossscape.cli.common import QUIET, say, tell
from lossscape.cli.complete import points
from lossscape.measured import POINT_HELP

if TYPE_CHECKING:
    from lossscape.objective import Objective

EXAMPLES = """\b
Examples:
    lossscape gradcheck configs/digits_mlp.yaml
    lossscape gradcheck mine.yaml --set model.width=8 --samples 5
    lossscape gradcheck runs/mnist_mlp@first --directions 5 --output gradients.csv
"""
COLUMNS = ("parameter", "where", "gradient", "difference", "error", "step", "verdict")


def command(
    subject: str = typer.Argument(
        metavar="CONFIG|A", help=f"A YAML file, at its initial values; or {POINT_HELP}.", autocompletion=points
    ),
    settings: list[str] = typer.Option([], "--set", help="key=value laid over the file, as in model.width=32."),
    samples: int = typer.Option(20, "--samples", metavar="N", min=1, help="Training samples, by chance."),
    directions: int = typer.Option(2, "--directions", metavar="N", min=0, help="Random ones within each tensor."),
    coordinates: int = typer.Option(3, "--coordinates", metavar="N", min=0, help="Single numbers of each tensor."),
    seed: int = typer.Option(0, "--seed", min=0, help="Of samples, directions and numbers."),
    output: Path | None = typer.Option(None, "--output", "-o", help="CSV with a row for each of them."),
    device: str | None = typer.Option(None, "--device", help="auto, cpu, cuda or cuda:N, in place of the file's."),
    quiet: bool = QUIET,
) -> None:
    """Hold a net's gradient against finite differences in float64, in eval mode, tensor by tensor.

    Exit code 1 where one disagrees: a wrong backward pass, or a forward whose gradient is not that of its values.
    Kinks (relu, max-pooling) are told apart by looking at points nearby.
    """
    from lossscape import gradcheck
    from lossscape.errors import BadInput, RunFailed
    from lossscape.files import check_writable, sweep
    from lossscape.results import write_csv
    from lossscape.results.table import watched

    if not directions + coordinates:
        raise BadInput("--directions 0 --coordinates 0: there is nothing to check; give one of them")
    if output is not None:
        check_writable(output.parent)
    objective, learning = objective_of(subject, settings, device, samples, seed)
    parameters, buffers = objective.parameters(), objective.buffers()
    asked = gradcheck.Asked(directions, coordinates, seed, learning)
    with watched(
        "gradcheck", len(learning) * (directions + coordinates), 4 * len(objective), unit="probe", quiet=quiet
    ) as done:
        found = gradcheck.check(objective, parameters, buffers, asked, done)
    if output is not None:
        sweep(output.parent)
        write_csv(output, COLUMNS, [[getattr(each, column) for column in COLUMNS] for each in found])
    if not quiet:
        table = [["tensor", "probes", "largest relative difference", "gradient"], *gradcheck.rows(found)]
        widths = [max(len(row[index]) for row in table) for index in range(len(table[0]))]
        for name, probed, worst, verdict in table:
            say(f"{name:<{widths[0]}}  {probed:>{widths[1]}}  {worst:>{widths[2]}}  {verdict}")
    if words := gradcheck.failure(subject, objective, found):
        raise RunFailed(words)
    frozen = len(parameters) - len(learning)
    tell(
        gradients=f"{len(found):,} slopes of {len(learning):,} tensors: {gradcheck.counts(found)}",
        frozen=f"{frozen:,} tensors without requires_grad, not checked" if frozen else "",
        table=output or "",
    )


def objective_of(
    subject: str, settings: list[str], device: str | None, samples: int, seed: int
) -> "tuple[Objective, list[str]]":
    """The loss of a net over some training samples in float64, at the values of a checkpoint or those it begins with.

    With the names of the parameters that learn. Raises BadInput where the net cannot be computed in float64.
    """
    import torch

    from lossscape import data, devices, losses, models
    from lossscape.config import RunConfig, read_config
    from lossscape.derivatives import gradient
    from lossscape.errors import BadInput
    from lossscape.modules import unwrapped
    from lossscape.objective import Objective
    from lossscape.runs import point_of
    from lossscape.seeds import generator
    from lossscape.train.checks import check_outputs
    from lossscape.usercode import blamed

    if Path(subject).suffix in (".yaml", ".yml"):
        config = read_config(RunConfig, subject, settings, None, device)
        loaded = data.load(config.dataset, devices.pick(config.device))
        model = models.build(config.model, loaded.shape, loaded.outputs, config.seed)
        loss, output = losses.FAMILY.bound(config.loss), config.output
        check_outputs(model.to(loaded.train.inputs.device), loss, config, loaded)
    else:
        if settings:
            raise BadInput(f"--set {settings[0]}: is laid over a config; {subject} is a run, whose net is what it is")
        point = point_of(subject)
        loaded = point.run.dataset(devices.pick(device or "auto"))
        model, loss, output = point.run.model(point.checkpoint), point.run.loss, point.run.output
    inputs, targets = loaded.train
    chosen = torch.randperm(len(inputs), generator=generator(seed, "gradcheck"))[:samples].sort().values
    chosen = chosen.to(inputs.device)
    made = losses.over(loss, losses.positions(loss, targets))
    objective = Objective(model, made, inputs[chosen], targets[chosen], metrics=(), output=output, precision="fp64")
    with blamed("the net cannot be computed in float64:"):
        gradient(objective, objective.parameters(), objective.buffers())
    learning = [name for name, value in unwrapped(model).named_parameters() if value.requires_grad]
    if not learning:
        raise BadInput(f"{subject}: no parameter of the net has requires_grad, so there is nothing to check")
    return objective, learning
