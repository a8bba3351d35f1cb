"""The certificate of sharpness: rows drawn by chance, found again, against the checkpoint's own module in float64.

The points of a row are made again from its seed; their loss is then that of the module as anyone would call it.
"""

from typing import TYPE_CHECKING, Any

import torch

from lossscape.analyses.sharpness.request import MEASURES
from lossscape.certificate import by_hand
from lossscape.certificate.certify import fingerprint, write
from lossscape.certificate.check import Check, Kind, allowed, compare
from lossscape.certificate.module import plain_loss
from lossscape.evaluate.rows import Done, Key, Row
from lossscape.results.table import Table, watched
from lossscape.runs import Run, split_state
from lossscape.seeds import generator
from lossscape.vectors import Params, double

if TYPE_CHECKING:
    from lossscape.analyses.sharpness.compute import Rises

MODULE = Kind(
    "module", "own module in float64", "run it again with --overwrite and --precision fp64; if that fails too, the "
    "net's forward is not a fixed function of its parameters, buffers and inputs",
)  # fmt: skip
BALL = Kind("ball", "ρ", "the displacement that was found does not lie in the ball, so the result cannot be trusted")
AGAIN = 1e-3
"""Relative difference of a rise that is found again with other threads, whose ascent goes another way by rounding."""
BRACKET = 0.02
"""Relative difference of the rise at the end of a width, which is known to a thousandth."""
CHUNK = 256


def certify(source: "Rises", table: Table, run: Run, *, quiet: bool) -> None:
    """Check one row of each measure and write certificate.json. Raises RunFailed where one fails, or Interrupted."""
    stored = table.read(table.file, source.columns)
    chosen = [_drawn(source, measure) for measure in source.request.measures]
    before, checks = fingerprint(source.objective.model), list[Check]()
    with watched("certificate", len(chosen), 2 * source.cost(()), quiet=quiet) as done:
        for key in chosen:
            checks += _checks(source, key, stored[key], run, done)
    facts: dict[str, Any] = {"samples_checked": {source.request.measured.split: len(source.objective)}}
    facts |= by_hand.changed(table.folder, run.path)
    write(table.folder, checks, model_unchanged=fingerprint(source.objective.model) == before, **facts)


def _drawn(source: "Rises", measure: str) -> Key:
    """One of the rows of a measure, by chance."""
    keys = [key for key in source.keys if key[1] == measure]
    drawn = torch.randint(len(keys), (1,), generator=generator(0, "certificate", MEASURES.index(measure)))
    return keys[int(drawn)]


def _checks(source: "Rises", key: Key, row: Row, run: Run, done: Done) -> list[Check]:
    checkpoint, measure, radius, seed = key
    place = source.place(key, done)
    found = source.found(key, place)
    module = run.model(source.stations.moment(checkpoint).checkpoint).to(source.objective.device).double()

    def loss(point: Params) -> float:
        with torch.no_grad():
            for name, value in module.named_parameters():
                value.copy_(point[name])
        return plain_loss(module, source.objective, CHUNK, done)

    here = loss(double(split_state(module)[0]))
    where = f"{measure.replace('_', ' ')} at {checkpoint}, {'' if radius is None else f'ρ = {radius:g}, '}seed {seed}"
    precision = source.objective.precision
    checks = [compare(MODULE, f"loss at {checkpoint}", row["loss"], here, allowed(here, precision))]
    losses = [loss(point) for point in found.points()]
    if not losses:  # a width that was not reached
        return checks
    mean = sum(losses) / len(losses)
    value = source.request.rise if radius is None else row["value"]
    off = (BRACKET if radius is None else AGAIN) * abs(value) + allowed(mean, precision) + allowed(here, precision)
    checks.append(compare(MODULE, f"rise of {where}", value, mean - here, off))
    if found.length is not None:
        checks.append(compare(BALL, f"‖u‖ of {where}", max(found.length, radius), radius, 1e-9 * radius))
    return checks
