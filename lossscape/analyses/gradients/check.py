"""The certificate of the gradients' flow: the last checkpoint's own module, differentiated by torch as anyone would.

In float64 and with `backward()`, which knows nothing of objectives and chunks' shares.
"""

import math
from typing import TYPE_CHECKING

import torch

from lossscape.batches import called, cast
from lossscape.certificate import by_hand
from lossscape.certificate.certify import fingerprint, write
from lossscape.certificate.check import Check, Kind, compare
from lossscape.results.table import Table, watched
from lossscape.runs import Run

if TYPE_CHECKING:
    from lossscape.analyses.gradients.compute import Flow

KIND = Kind(
    "module", "own module in float64", "run it again with --overwrite and --precision fp64; if that fails too, "
    "`lossscape gradcheck` says whether the net's gradient is that of its loss",
)  # fmt: skip
RELATIVE = {"fp64": 1e-9, "fp32": 1e-3}
"""Of the norm of a layer's gradient, and of that of the whole net."""
CHUNK = 256


def certify(source: "Flow", table: Table, run: Run, *, quiet: bool) -> None:
    """Check the gradients of the last checkpoint and write certificate.json. Raises RunFailed where one fails."""
    stored = table.read(table.file, source.columns)
    name = source.stations.moments[-1].checkpoint.label
    objective = source.objective
    before = fingerprint(objective.model)
    module = run.model(source.stations.moment(name).checkpoint).to(objective.device).double().requires_grad_(True)
    with watched("certificate", 1, len(objective), quiet=quiet) as done, torch.enable_grad():
        for start in range(0, len(objective), CHUNK):
            inputs = cast(objective.inputs[start : start + CHUNK], torch.float64)
            outputs = objective.logits(called(module, inputs), len(inputs))
            losses = objective.loss(outputs.double(), objective.targets[start : start + CHUNK])
            (losses.sum() / len(objective)).backward()
            done(len(inputs))
    slopes = {key: torch.zeros(()) if value.grad is None else value.grad for key, value in module.named_parameters()}
    whole = math.sqrt(sum(float(slope.square().sum()) for slope in slopes.values()))
    allowed = RELATIVE[objective.precision]
    checks: list[Check] = []
    for layer, names in source.layers.items():
        reference = math.sqrt(sum(float(slopes[each].square().sum()) for each in names))
        value = stored[(name, layer)]["gradient_norm"]
        tolerance = allowed * (reference + 1e-3 * whole) + 1e-12
        checks.append(compare(KIND, f"gradient norm of {layer} at {name}", value, reference, tolerance))
    facts = by_hand.changed(table.folder, run.path)
    unchanged = fingerprint(objective.model) == before
    write(table.folder, checks, model_unchanged=unchanged, samples_checked={"samples": len(objective)}, **facts)
