"""Both ends of the Hessian's spectrum at every point of a plane (Li et al., NeurIPS 2018, arXiv:1712.09913, §6).

The plane and its losses are a landscape of the run, with directions, ranges and certificate of its own; here the
eigenvalues are added. Every point is begun from the same random vector, so that its row depends on nothing before it.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lossscape.analyses.convexity.check import certify
from lossscape.analyses.convexity.request import Request
from lossscape.analyses.convexity.result import COLUMNS, CSV, ENDS
from lossscape.analyses.landscape import compute as landscape
from lossscape.analyses.tolerance import settled
from lossscape.certificate.summary import is_done
from lossscape.directions import choose
from lossscape.directions.plane import AXES, stored
from lossscape.errors import BadInput
from lossscape.evaluate import Subspace
from lossscape.evaluate.order import coarse_to_fine
from lossscape.evaluate.rows import Done, Key, Meter, Row
from lossscape.execution import Execution
from lossscape.files import check_writable
from lossscape.objective import Objective, Plan
from lossscape.options import settings_of, words_of
from lossscape.problem import problem_of
from lossscape.results import read_surface
from lossscape.results.folder import label, open_folder
from lossscape.results.pictured import PictureTable, fill_picture
from lossscape.results.table import Table, fill, once
from lossscape.runs import point_of
from lossscape.spectra import Hessian, eigenpairs

OWN = ("tolerance", "map_tolerance", "products")
"""Settings beside those of the plane."""
FORESEEN = 40
"""Products that a point mostly takes."""


def compute(request: Request, execution: Execution) -> Path:
    """Evaluate the landscape and the eigenvalues that lack; returns the result's folder.

    Raises BadInput, RunFailed or Interrupted.
    """
    centre = point_of(request.centre)
    direction = choose(centre, 2, request.asked)
    problem = problem_of(centre, request.measured, execution.device)
    settings: dict[str, Any] = {"analysis": "convexity", "centre": centre.settings(), **problem.settings()}
    plane = landscape.Request(
        centre, grid=request.grid, auto_range=request.auto_range, ranges=request.ranges, asked=request.asked,
        measured=request.measured,
    )  # fmt: skip
    surface = read_surface(landscape.compute(plane, execution, landscape.Shared(problem)))
    settings |= {"surface": surface.folder.name}
    origin, buffers = problem.values(centre)
    subspace = Subspace(origin, stored(surface.folder, problem.device), buffers)
    (objective,) = problem.objectives().values()
    source = Ends(objective.part(slice(None)), subspace, request.tolerance, request.products)

    def result(of: Request) -> tuple[dict[str, Any], Path]:
        """The settings and the folder of a request."""
        own = {key: value for key, value in settings_of(of).items() if key in OWN}
        words = [centre.checkpoint.label, *words_of(replace(of, measured=problem.named(centre)), asked=named)]
        return settings | own, centre.run.results("convexity") / label(settings | own, words)

    named = direction.words(centre)
    request = replace(
        request,
        map_tolerance=settled(
            request.map_tolerance,
            lambda each: result(replace(request, map_tolerance=each))[1].exists(),
            lambda: len(surface.table) * source.timed() / (execution.workers or 1),
            execution.quiet,
            len(surface.table),
        ),
    )
    settings, folder = result(request)
    check_writable(folder)
    of_plane = ("grid", "x_range", "y_range", "auto_range", "directions")
    settings |= {key: surface.settings[key] for key in of_plane if key in surface.settings}
    with open_folder(folder, settings, overwrite=execution.overwrite):
        table = Table(folder, CSV, AXES)
        if isinstance(request.map_tolerance, float):
            axes = [surface.x.tolist(), surface.y.tolist()]
            table = PictureTable(
                folder, CSV, AXES, axes=axes, tolerance=request.map_tolerance, always=[(0.0, 0.0)], predicts=ENDS
            )
            fill_picture(table, source, execution=execution)
        else:
            points = coarse_to_fine(list(map(tuple, surface.table[list(AXES)].to_numpy().tolist())))
            fill(table, source, once(points), total=len(points), execution=execution)
        if not is_done(folder):
            certify(source, table, centre.run, quiet=execution.quiet)
    return folder


@dataclass
class Ends:
    """The largest and the smallest eigenvalue of the Hessian at each point as rows."""

    objective: Objective
    subspace: Subspace
    tolerance: float
    products: int
    columns = COLUMNS

    def cost(self, key: Key) -> int:
        """Samples of the products that a row will take, as far as that can be foreseen."""
        return FORESEEN * len(self.objective)

    def timed(self) -> float:
        """Seconds that the row of the centre takes."""
        begun = time.perf_counter()
        self.row((0.0,) * len(self.subspace.directions))
        return time.perf_counter() - begun

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of some points."""
        return [self.row(key, done) for key in keys]

    def row(self, key: Key, done: Done | None = None, seed: int = 0) -> Row:
        """The row of a point; seed: of the vector that it is begun from."""
        meter = Meter(done, self.cost(key))
        given: dict[str, Any] = {"tolerance": self.tolerance, "products": self.products, "seed": seed}
        row: Row = dict.fromkeys(self.columns, math.nan)
        try:
            hessian = Hessian(self.objective, *self.subspace.at(key), done=meter)
            like = torch.empty(1, dtype=hessian.dtype, device=hessian.device).expand(hessian.n)
            found = eigenpairs(hessian.__matmul__, like, 1, 1, **given)
        except FloatingPointError:  # where the loss is not finite
            row |= {f"{end}_converged": 0 for end in ENDS} | {"products": 1}
        except RuntimeError as error:  # an operation without a second derivative, or too little memory
            why = (str(error).splitlines() or [""])[0]
            raise BadInput(f"the Hessian cannot be computed: {why}") from error
        else:
            for index, end in zip((0, -1), ENDS, strict=True):  # of a single parameter both are the same
                value, residual = float(found.values[index]), float(found.residuals[index])
                row |= {end: value, f"{end}_residual": residual, f"{end}_converged": int(found.converged[index])}
            row["products"] = found.products
        meter.finish()
        return row
