"""Curvature at the checkpoints of a run: eigenvalues, trace and index, spectral density, each a table of its own.

The mathematics is in `curvature`; here are the matrices of a request, the rows that they give, and the tables.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossscape import trajectory
from lossscape.analyses.curvature.optimizer import rates_of, stability, weight_decay
from lossscape.analyses.curvature.request import Request
from lossscape.analyses.curvature.result import DENSITY, EIGENVALUES, KEYS, TRACE, WHOLE, WORDS
from lossscape.derivatives import gradient
from lossscape.evaluate.rows import Done, Key, Meter, Row
from lossscape.execution import Execution
from lossscape.files import check_writable
from lossscape.modules import ROOT, layer_of
from lossscape.objective import Objective, Plan
from lossscape.options import settings_of, words_of
from lossscape.problem import problem_of
from lossscape.results.folder import label, open_folder
from lossscape.results.table import Table, fill, once
from lossscape.runs import point_of
from lossscape.spectra import Hessian, density, eigenpairs, explicit, trace
from lossscape.spectra.curvlinops import GaussNewton, GradientCovariance, gauss_newton_operator
from lossscape.spectra.explicit import LARGEST
from lossscape.spectra.krylov import MatVec, fitting
from lossscape.spectra.lanczos import SPARE
from lossscape.spectra.points import CRITICAL, Index, exact_index, kind_of, least_index, newton_gain, newton_step
from lossscape.trajectory import Stations


def compute(request: Request, execution: Execution) -> Path:
    """Compute what lacks of the tables of a request; returns the result's folder.

    Raises BadInput, RunFailed or Interrupted.
    """
    points = [point_of(each) for each in request.points]
    centre, moments = points[0], trajectory.chosen_moments(points, request.every)
    if request.matrix != "hessian":
        gauss_newton_operator()  # said before anything is loaded
    problem = problem_of(centre, request.measured, execution.device)
    included = request.weight_decay == "include"
    decay = weight_decay(centre.run, problem.model) if included else {}
    (objective,) = problem.objectives().values()
    matrices = Matrices(request, objective.part(slice(None)), Stations(problem.model, moments), decay)
    request = replace(request, steps=min(request.steps, max(fitting(matrices.like(WHOLE)), 2)))
    own = {key: value for key, value in settings_of(request).items() if key not in ("points", "every")}
    settings = {
        "analysis": "curvature",
        **trajectory.named(centre.run, moments, request.every),
        **own,
        **({"lambda": sorted(set(decay.values()))} if included else {}),
        "critical": CRITICAL,
        **(stability(problem, included) if request.matrix == "hessian" else {}),
        **problem.settings(),
    }
    words = [*trajectory.words_of(moments, request.every), *words_of(replace(request, measured=problem.named(centre)))]
    folder = centre.run.results("curvature") / label(settings, words)
    check_writable(folder)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        found = _fill(folder, EIGENVALUES, Eigenvalues(matrices), execution)
        _fill(folder, TRACE, Traces(matrices, found), execution)
        if request.vectors:
            _fill(folder, DENSITY, Densities(matrices, request.steps), execution)
    return folder


def _fill(
    folder: Path, name: str, source: "Eigenvalues | Traces | Densities", execution: Execution
) -> Mapping[Key, Row]:
    table = Table(
        folder, f"{name}.csv", KEYS[name], WORDS, live=f".{name}.live.csv", unit="row", title=name, by_key=False
    )
    return fill(table, source, once(source.keys), total=len(source.keys), execution=execution)


@dataclass
class Matrices:
    """The matrices of a request: at every checkpoint one for each block of parameters."""

    request: Request
    objective: Objective
    stations: Stations
    decay: dict[str, float]
    """λ by parameter, of those whose λ/2·‖θ‖² is part of the objective."""

    @cached_property
    def blocks(self) -> dict[str, list[str]]:
        """Names of the parameters of each block that is asked for."""
        names, found = list(self.objective.parameters()), dict[str, list[str]]()
        for kind in self.request.blocks:
            for name in names:
                child = name.partition(".")[0] if "." in name else ROOT
                block = {"whole": WHOLE, "layer": f"layer {layer_of(name)}", "block": f"block {child}"}[kind]
                found.setdefault(block, []).append(name)
        return found

    @property
    def keys(self) -> list[Key]:
        """Checkpoint, matrix and block of each."""
        labels = [moment.checkpoint.label for moment in self.stations.moments]
        return [(each, self.request.matrix, block) for each in labels for block in self.blocks]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Parameters of each block."""
        values = self.objective.parameters()
        return {block: sum(values[name].numel() for name in names) for block, names in self.blocks.items()}

    @property
    def is_small(self) -> bool:
        """Whether all eigenvalues are computed."""
        every = sum(value.numel() for value in self.objective.parameters().values())
        return self.request.matrix == "hessian" and self.request.smallest > 0 and every <= LARGEST

    def like(self, block: str, exact: bool = False) -> Tensor:
        """A vector of a block, for its size, device and type."""
        dtype = torch.float64 if exact else self.objective.dtype
        names = self.blocks.get(block) or list(self.objective.parameters())
        size = sum(self.objective.parameters()[name].numel() for name in names)
        return torch.empty(1, dtype=dtype, device=self.objective.device).expand(size)

    def slope(self, key: Key) -> tuple[Tensor, float]:
        """The gradient by the parameters of a block, flat [n] in float64, and their length."""
        parameters, buffers = self.stations.at(key[0])
        found, names = gradient(self.objective, parameters, buffers), self.blocks[key[2]]
        slope, own = (torch.cat([each[name].double().flatten() for name in names]) for each in (found, parameters))
        return slope + self.decays(key) * own.to(slope), float(own.norm())

    def loss(self, key: Key) -> float:
        """The mean loss, with weight decay where it is asked for."""
        parameters, buffers = self.stations.at(key[0])
        decay = sum(rate * float(parameters[name].double().square().sum()) for name, rate in self.decay.items())
        return self.objective.metrics(parameters, buffers)["loss"] + decay / 2

    @cached_property
    def loss_scale(self) -> float:
        """What the gain of a Newton step is small against."""
        return self.objective.loss_scale()

    def decays(self, key: Key) -> Tensor:
        """λ of each number of a block [n], in float64."""
        parameters = self.objective.parameters()
        return rates_of(self.decay, {name: parameters[name] for name in self.blocks[key[2]]})

    def product(self, key: Key, done: Done | None, exact: bool = False) -> MatVec:
        """v ↦ A v with the matrix of a key, weight decay included where it is asked for; exact: in float64."""
        parameters, buffers = self.stations.at(key[0])
        objective, decays = self.objective, self.decays(key)
        if exact and objective.dtype != torch.float64:
            objective = objective.again(objective.model, "fp64", objective.plan)
        operator = OPERATORS[key[1]](objective, parameters, buffers, names=self.blocks[key[2]], done=done)
        return lambda vector: operator @ vector + decays * vector.to(decays)


OPERATORS: dict[str, Any] = {"hessian": Hessian, "ggn": GaussNewton, "gradient_covariance": GradientCovariance}


@dataclass
class Eigenvalues:
    """The extreme eigenvalues of each matrix as rows, by rank: 1, 2, … from the largest, −1, … from the smallest."""

    matrices: Matrices
    columns = ("eigenvalue", "residual", "converged")

    @property
    def keys(self) -> list[Key]:
        """In descending order of the eigenvalues."""
        return [(*key, rank) for key in self.matrices.keys for rank in self._ranks(key)]

    def _ranks(self, key: Key) -> list[int]:
        request, size = self.matrices.request, self.matrices.sizes[key[2]]
        largest = min(request.largest, size)
        smallest = min(request.smallest, size - largest)
        return [*range(1, largest + 1), *range(-smallest, 0)]

    def together(self, key: Key) -> Key:
        """All of a matrix."""
        return key[:3]

    def cost(self, key: Key) -> int:
        """Samples of the products that a row will take, as far as that can be foreseen."""
        request = self.matrices.request
        return len(self.matrices.objective) * (2 + SPARE // (request.largest + request.smallest))

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of some matrices, all of each."""
        return [row for key, ranks in groupby(keys, self.together) for row in self._rows(key, list(ranks), done)]

    def _rows(self, key: Key, keys: Sequence[Key], done: Done | None) -> list[Row]:
        request, like = self.matrices.request, self.matrices.like(key[2])
        meter = Meter(done, sum(map(self.cost, keys)))
        found = eigenpairs(
            self.matrices.product(key, meter), like, request.largest, request.smallest,
            tolerance=request.tolerance, seed=request.seed,
        )  # fmt: skip
        meter.finish()
        columns = (found.values.tolist(), found.residuals.tolist(), found.converged.int().tolist())
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*columns, strict=True)]


@dataclass
class Traces:
    """Loss, gradient, trace, Frobenius norm, index and kind of point as rows, one for each matrix."""

    matrices: Matrices
    eigenvalues: Mapping[Key, Row]
    columns = (
        "epoch", "step", "parameters", "loss", "gradient_norm", "newton_step", "newton_gain", "trace", "trace_stderr",
        "frobenius",
        "frobenius_stderr", "negative", "negative_exact", "sign_tolerance", "kind",
    )  # fmt: skip

    @property
    def keys(self) -> list[Key]:
        """One for each matrix."""
        return self.matrices.keys

    def cost(self, key: Key) -> int:
        """Samples of the products that a row will take, in the mean over blocks."""
        matrices = self.matrices
        every = sum(matrices.sizes.values()) // len(matrices.sizes) if matrices.is_small else 0
        return len(matrices.objective) * (every or matrices.request.trace_vectors)

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of some matrices."""
        return [self._row(key, done) for key in keys]

    def _row(self, key: Key, done: Done | None) -> Row:
        matrices, request = self.matrices, self.matrices.request
        meter, like = Meter(done, self.cost(key)), matrices.like(key[2])
        slope, length = matrices.slope(key)
        product, hessian = matrices.product(key, meter), request.matrix == "hessian"
        step = gain = None
        if hessian:
            bent = product(slope.to(like))
            step, gain = newton_step(slope, bent, length), newton_gain(slope, bent, matrices.loss_scale)
        if matrices.is_small:
            exactly = matrices.like(key[2], exact=True)
            spectrum = explicit(matrices.product(key, meter, exact=True), len(exactly), exactly)
            estimates = (float(spectrum.values.sum()), 0.0, float(spectrum.values.norm()), 0.0)
            index: Index | None = exact_index(spectrum)
        else:
            found = trace(product, like, vectors=request.trace_vectors, seed=request.seed)
            estimates = (found.trace.value, found.trace.stderr, found.frobenius.value, found.frobenius.stderr)
            index = self._least_index(key) if hessian else None
        meter.finish()
        kind = ""
        if key[2] == WHOLE and index is not None and step is not None and gain is not None:
            kind = kind_of(index, step, gain)
        signs = (index.negative, int(index.exact), index.tolerance) if index is not None else (None, None, None)
        moment = matrices.stations.moment(key[0])
        values = (
            None if math.isnan(moment.epoch) else moment.epoch, moment.step, len(like), matrices.loss(key),
            float(slope.norm()), step, gain, *estimates, *signs, kind,
        )  # fmt: skip
        return dict(zip(self.columns, values, strict=True))

    def _least_index(self, key: Key) -> Index:
        rows = [(each[3], row) for each, row in self.eigenvalues.items() if each[:3] == key]
        values = torch.tensor([row["eigenvalue"] for _, row in rows], dtype=torch.float64)
        smallest = [row for rank, row in rows if rank < 0]
        converged = bool(smallest) and bool(smallest[-1]["converged"])
        return least_index(values, len(smallest), converged, self.matrices.objective.dtype)


@dataclass
class Densities:
    """Nodes and weights of the spectral density of each matrix as rows, by random vector and step."""

    matrices: Matrices
    steps: int
    columns = ("node", "weight")

    @property
    def keys(self) -> list[Key]:
        """The steps of every vector."""
        matrices = self.matrices
        return [
            (*key, vector, step)
            for key in matrices.keys
            for vector in range(matrices.request.vectors)
            for step in range(min(self.steps, matrices.sizes[key[2]]))
        ]

    def together(self, key: Key) -> Key:
        """The steps of a vector."""
        return key[:4]

    def cost(self, key: Key) -> int:
        """Samples of a product."""
        return len(self.matrices.objective)

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of some vectors, all of each."""
        return [row for key, own in groupby(keys, self.together) for row in self._rows(key, list(own), done)]

    def _rows(self, key: Key, keys: Sequence[Key], done: Done | None) -> list[Row]:
        meter = Meter(done, sum(map(self.cost, keys)))
        found = density(
            self.matrices.product(key, meter), self.matrices.like(key[2]), vectors=1, steps=len(keys),
            seed=self.matrices.request.seed, first=key[3],
        )  # fmt: skip
        meter.finish()
        pairs = zip(found.nodes[0].tolist(), found.weights[0].tolist(), strict=True)
        return [dict(zip(self.columns, pair, strict=True)) for pair in pairs]
