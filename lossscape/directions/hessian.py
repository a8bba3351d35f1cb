"""Eigenvectors of the Hessian at a point: along which the loss bends most, or most and least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lossscape.directions.direction import BENT, Claim, Direction, Plane, point_name, unit_words
from lossscape.errors import BadInput
from lossscape.text import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossscape.directions.family import Asked
    from lossscape.objective import Objective
    from lossscape.problem import Problem
    from lossscape.runs import Point
    from lossscape.spectra import Eigenpairs
    from lossscape.vectors import Params

TOLERANCE = 1e-4
"""Residual ‖Hd − λd‖ of a converged eigenvector, relative to |λ|."""
NOTHING = 1e-9
"""λ‖θ‖² that is rounding: the curvature along the eigenvector as long as θ."""
FORESEEN = 40
"""Products with the Hessian that two eigenvectors mostly take."""


@dataclass(frozen=True)
class Leading(Direction):
    """Eigenvectors of the two largest eigenvalues of the mean loss, without weight decay; of a line, of the largest.

    The loss is the landscape's own, on its first split and samples; where it is computed in less than fp32, the
    Hessian is fp32. BatchNorm's statistics are held. A sign is such that the number of greatest size is positive.
    """

    at: Point | None = None
    """Whose Hessian it is."""

    name = "hessian"
    help = "eigenvectors of the two largest eigenvalues of A's Hessian"
    wanted: ClassVar[tuple[str, str]] = ("largest", "second largest")
    """Which eigenvalues."""

    @classmethod
    def choose(cls, centre: Point, dims: int, asked: Asked) -> Self:
        return cls({"kind": cls.name}, at=centre)

    def make(self, problem: Problem, centre: Point, origin: Params, dims: int, quiet: bool) -> Plane:
        """Find them by Lanczos' method, from seed 0. Raises BadInput where the loss has no such directions."""
        from lossscape.results.table import watched
        from lossscape.spectra import Hessian
        from lossscape.vectors import norm
        from lossscape.vectors.orthonormal import orthonormal

        split, objective = self._objective(problem)
        buffers = self._buffers(problem, origin)
        title = f"eigenvectors of the Hessian ({split} loss)"
        with watched(title, FORESEEN, len(objective), quiet=quiet, unit="product") as done:
            try:
                hessian = Hessian(objective, origin, buffers, done=done)
                found = self._eigenpairs(hessian, dims)
            except FloatingPointError:
                raise self._refused("has numbers that are not finite") from None
            except RuntimeError as error:  # an operation without a second derivative, or too little memory
                raise self._refused(f"cannot be computed: {(str(error).splitlines() or [''])[0]}") from None
        if hessian.n < dims:
            raise self._refused(f"has {hessian.n} eigenvector alone")
        if float(found.values.abs().max()) * (norm(origin) or 1.0) ** 2 <= NOTHING:
            raise self._refused("is 0")
        columns = found.vectors.double().T
        vectors = [hessian.named(column * column[column.abs().argmax()].sign()) for column in columns]
        health = {"residuals": found.residuals.tolist(), "converged": found.converged.tolist()}
        return Plane(orthonormal(vectors), {"eigenvalues": found.values.tolist(), **health, "split": split})

    def _eigenpairs(self, hessian: Any, dims: int) -> Eigenpairs:
        import torch

        from lossscape.spectra import eigenpairs

        smallest = sum(which == "smallest" for which in self.wanted[:dims])
        like = torch.empty(1, dtype=hessian.dtype, device=hessian.device).expand(hessian.n)
        return eigenpairs(hessian.__matmul__, like, dims - smallest, smallest, tolerance=TOLERANCE)

    def _objective(self, problem: Problem) -> tuple[str, Objective]:
        """The first split's name and mean loss."""
        split, objective = next(iter(problem.objectives().items()))
        if objective.precision not in ("fp64", "fp32"):
            objective = objective.again(problem.model, "fp32", objective.plan)
        return split, objective

    def _buffers(self, problem: Problem, origin: Params) -> Params:
        assert self.at is not None
        state = self.at.checkpoint.state()
        buffers = {name: state[name].to(problem.device) for name, _ in problem.model.named_buffers() if name in state}
        statistics = problem.statistics()
        return buffers if statistics is None else statistics(origin, buffers)

    def _refused(self, why: str) -> BadInput:
        return BadInput(f"--directions {self.name}: the Hessian at {self.at} {why}; use --directions random")

    @property
    def curvatures(self) -> Sequence[float]:
        found: list[float] = self.settings.get("eigenvalues", [])
        return found

    def facts(self) -> dict[str, Any]:
        """Eigenvalues and how well they are known."""
        return {"hessian": {key: self.settings[key] for key in ("eigenvalues", "residuals", "converged")}}

    def claims(self, problem: Problem, origin: Params, made: Sequence[Params]) -> list[Claim]:
        """dᵀHd and ‖Hd − λd‖ on all samples, from products of their own."""
        from lossscape.derivatives import hessian_product
        from lossscape.vectors import combine, dot, norm

        _, objective = self._objective(problem)
        buffers, found = self._buffers(problem, origin), []
        slack = BENT[problem.measured.precision] * max(map(abs, self.curvatures))
        for index, direction in enumerate(made):
            product = hessian_product(objective, origin, direction, buffers)
            product = {name: value.cpu() for name, value in product.items()}
            value, which = self.curvatures[index], f"of the {self.wanted[index]} eigenvalue λ"
            rest = norm(combine(product, [direction], [-value]))
            found.append(Claim(f"dᵀHd {which}", dot(direction, product), value, slack))
            found.append(Claim(f"‖Hd − λd‖ {which}", rest, self.settings["residuals"][index], slack))
        return found

    def sentence(self, count: int) -> str:
        values = [f"{number(value)} ({which})" for which, value in zip(self.wanted, self.curvatures, strict=False)]
        known = zip(self.wanted, self.settings["residuals"], self.settings["converged"], strict=False)
        rough = [f" The {which} has not converged, ± {number(error, 2)}." for which, error, done in known if not done]
        where = f"A = {point_name(self.settings['of'])}" if "of" in self.settings else "the centre"
        return (
            f"Eigenvector{'s'[: count - 1]} of the Hessian of the {self.settings['split']} loss at {where}, of the "
            f"eigenvalue{'s'[: count - 1]} {' and '.join(values)}; {unit_words(count)}.{''.join(rough)}"
        )

    def axis_label(self, axis: str, number_of: int | None) -> str:
        which = (number_of or 1) - 1
        value = number(self.curvatures[which])
        return f"{axis} (eigenvector of the Hessian's {self.wanted[which]} eigenvalue, {value})"

    def line_words(self) -> str:
        return "the eigenvector of the Hessian's largest eigenvalue"


class Ends(Leading):
    """Eigenvectors of the largest and of the smallest eigenvalue."""

    name = "hessian-ends"
    help = "those of its largest and smallest one"
    wanted = ("largest", "smallest")

    @classmethod
    def choose(cls, centre: Point, dims: int, asked: Asked) -> Self:
        if dims == 1:
            raise BadInput("--directions hessian-ends is a plane: leave --dims 1 out, or take --directions hessian")
        return super().choose(centre, dims, asked)
