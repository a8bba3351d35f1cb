"""The certificate of a fit: the last checkpoint's own module, called as anyone would, in float64."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from lossscape.batches import cast
from lossscape.certificate import by_hand
from lossscape.certificate.certify import fingerprint, write
from lossscape.certificate.check import Check, Kind, compare
from lossscape.outputs import logits_of
from lossscape.results.table import Table, watched
from lossscape.runs import Run

if TYPE_CHECKING:
    from lossscape.analyses.fit.compute import Outputs

KIND = Kind("module", "own module in float64", "run it again with --overwrite and --precision fp64")
TOLERANCE = {"fp64": 1e-9, "fp32": 1e-4}
"""Of an output, relative to the largest that is compared."""
COMPARED = 16
"""Inputs, spread over the grid."""
MOST_OUTPUTS = 8


def certify(source: "Outputs", table: Table, run: Run, *, quiet: bool) -> None:
    """Check outputs of the last checkpoint and write certificate.json. Raises RunFailed where one fails."""
    stored = table.read(table.file, source.columns)
    name = source.stations.moments[-1].checkpoint.label
    objective = source.objective
    before = fingerprint(objective.model)
    places = np.unique(np.linspace(0, len(objective) - 1, COMPARED).round().astype(int))
    module = run.model(source.stations.moment(name).checkpoint).to(objective.device).double().eval()
    with watched("certificate", 1, len(places), quiet=quiet) as done, torch.no_grad():
        inputs = cast(objective.inputs[torch.from_numpy(places).to(objective.device)], torch.float64)
        given = source.values(logits_of(module(inputs), len(places), run.output)).cpu().numpy()
        done(len(places))
    allowed = TOLERANCE[objective.precision] * max(float(np.abs(given).max()), 1e-9)
    names = [column for column in source.columns if column.startswith(("p_", "output_"))]
    checks: list[Check] = [
        compare(KIND, f"{column} at input {place} at {name}", float(stored[(name, int(place))][column]), value, allowed)
        for row, place in zip(given.tolist(), places, strict=True)
        for column, value in zip(names[:MOST_OUTPUTS], row[:MOST_OUTPUTS], strict=True)
    ]
    facts = by_hand.changed(table.folder, run.path)
    unchanged = fingerprint(objective.model) == before
    write(table.folder, checks, model_unchanged=unchanged, samples_checked={"inputs": len(places)}, **facts)
