"""The certificate of a convexity map: eigenvalues of points drawn by chance, found again from another random vector.

That of losses and directions is the landscape's own.
"""

import math
from typing import TYPE_CHECKING

import torch

from lossscape.analyses.convexity.result import ENDS
from lossscape.certificate import by_hand, predicted
from lossscape.certificate.certify import fingerprint, write
from lossscape.certificate.check import Check, Kind, compare
from lossscape.evaluate.rows import Key
from lossscape.results.table import Table, watched
from lossscape.runs import Run
from lossscape.seeds import generator

if TYPE_CHECKING:
    from lossscape.analyses.convexity.compute import Ends

KIND = Kind(
    "eigenvalues", "from another random vector", "run it again with --overwrite, with more --products or a smaller "
    "--tolerance",
)  # fmt: skip
ROUNDING = {"fp64": 1e-9, "fp32": 1e-4}
"""Of the eigenvalue that is larger in size: what rounding of the products explains. Of a ResNet-18 in fp32 values from
two vectors were 1e-5 apart."""
KINKS = {"fp64": 0.0, "fp32": 1e-2}
"""Of the eigenvalue itself: what units explain whose input is 0 up to rounding, which other threads or another layout
may put on the other side of their kink. Of the same net that was 2e-3."""
DRAWN, SEED = 2, 1
"""Points whose eigenvalues are found again, and the seed of the vector."""


def certify(source: "Ends", table: Table, run: Run, *, quiet: bool) -> None:
    """Check and write certificate.json. Raises RunFailed where a value is not found again, or Interrupted."""
    stored = table.read(table.file, source.columns)
    converged = sorted(key for key, row in stored.items() if all(row[f"{end}_converged"] for end in ENDS))
    order = torch.randperm(len(converged), generator=generator(0, "certificate", "convexity"))[:DRAWN]
    chosen: list[Key] = [converged[index] for index in order.tolist()]
    precision = source.objective.precision
    before, checks = fingerprint(source.objective.model), list[Check]()
    with watched("certificate", len(chosen), source.cost(()), quiet=quiet) as done:
        for key in chosen:
            row, again = stored[key], source.row(key, done, SEED)
            most = max(abs(row[end]) for end in ENDS)
            for end in ENDS:
                if not again[f"{end}_converged"]:
                    continue
                known = row[f"{end}_residual"] + again[f"{end}_residual"] + KINKS[precision] * abs(row[end])
                tolerance = known + ROUNDING[precision] * most
                name = f"{end} eigenvalue at ({', '.join(f'{each:g}' for each in key)})"
                checks.append(compare(KIND, name, row[end], again[end], tolerance))
    lost = sum(not math.isfinite(row["largest"]) for row in stored.values())
    found, more = predicted.of_table(table, list(source.columns), stored)
    checks += found
    facts = more | {"points": len(stored), "converged": len(converged), "not_finite_points": lost}
    unchanged = fingerprint(source.objective.model) == before
    write(table.folder, checks, model_unchanged=unchanged, **facts, **by_hand.changed(table.folder, run.path))
