"""What a direction is: of a line or plane around a point, asked for, checked, made, and described.

Each kind is a file of its own, which neither torch nor numpy is loaded for before `make` is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from lossscape.errors import BadInput
from lossscape.text import shortened

if TYPE_CHECKING:
    from torch import nn

    from lossscape.directions.family import Asked
    from lossscape.evaluate.subspace import Coordinates
    from lossscape.problem import Problem
    from lossscape.runs import Point, Run
    from lossscape.vectors import Params

TRAINING_ONLY = ("init", "dropout")
"""Of a model's options, those that change nothing of what it computes after training."""


@dataclass(frozen=True)
class Plane:
    """Directions, and what is known of them."""

    directions: list[Params]
    found: dict[str, Any] = field(default_factory=dict)
    """What settings.yaml's `directions` gains."""
    held: list[Coordinates] = field(default_factory=list)
    """What a range chosen for them has to hold."""


BENT = {"fp64": 1e-4, "fp32": 1e-2, "tf32": 1e-2, "bf16": 1e-2}
"""Of the largest |dᵀHd|, by the precision of a result: what those of its directions may be off when found again.
A unit whose input is 0 up to rounding may lie on the other side of its kink: of a ResNet-18 in fp32 that was 2e-3."""


class Claim(NamedTuple):
    """What settings say of directions, and the same found anew."""

    words: str
    found: float
    said: float
    slack: float = 0.0
    """What they may differ by beside rounding in float64."""


@dataclass(frozen=True)
class Direction:
    """One direction or two that were asked for, and what all kinds of them share: orthonormal ones, of no points."""

    settings: dict[str, Any]
    """settings.yaml's `directions`; what is found out in making them comes later."""
    points: tuple[Point, ...] = ()
    """Beside the centre, that the plane goes through."""
    made_at: Point | None = None
    """Where they are made: what they are scaled to, or taken around. None: the centre."""

    name: ClassVar[str]
    """In DIRECTIONS, and as `kind` in settings.yaml."""
    help: ClassVar[str] = ""
    """Of `--directions NAME`; empty where an option of its own asks for it, a field of `Asked` of the same name."""
    span: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    """The usual range; None: what holds the points of the plane."""
    by_filter: ClassVar[bool] = False
    """Whether filters are scaled, by --normalize and --ignore, and orthogonal each to its like."""
    of_runs: ClassVar[bool] = False
    """Whether they may be of several runs together, by --of-all."""
    drawn_from: ClassVar[int] = 3
    """The first of them that --seed draws."""

    @classmethod
    def choose(cls, centre: Point, dims: int, asked: Asked) -> Self:
        """Check what was asked for. Raises BadInput for what does not go together."""
        return cls({"kind": cls.name})

    def elsewhere(self, centre: Point, point: Point) -> Self:
        """The same, made at `point`, for a plane around `centre`; unchanged where they are the same checkpoint."""
        if point.checkpoint.path.resolve() == centre.checkpoint.path.resolve():
            return self
        return replace(self, settings=self.settings | {"of": point.settings()}, made_at=point)

    def words(self, centre: Point) -> list[str]:
        """The readable part of a folder's name, of what differs from the defaults."""
        seed = self.settings.get("seed")
        return [
            self.name,
            *(_label(point, centre) for point in self.points),
            *([f"seed{seed}"] if seed else []),
            *([f"directions-of-{_label(self.made_at, centre)}"] if self.made_at else []),
        ]

    def make(self, problem: Problem, centre: Point, origin: Params, dims: int, quiet: bool) -> Plane:
        """Make `dims` of them around the parameters `origin`. Raises BadInput where there are none.

        problem: gives the net and the parameters of points
        centre: whose parameters the origin is, or `made_at`'s
        """
        raise NotImplementedError

    def within(self, centre: Point) -> Sequence[Run]:
        """The runs whose checkpoints its range holds already."""
        return ()

    # what follows is of directions that were made: `settings` has what was found

    def ends(self) -> list[tuple[Point, Coordinates]]:
        """The points that the plane goes through, and where in it."""
        return list(zip(self.points, map(tuple, self.settings.get("coordinates", [])[1:]), strict=True))

    def facts(self) -> dict[str, Any]:
        """What the certificate says of them beside lengths and angles."""
        return {}

    def lengths(self, origin: Params, model: nn.Module) -> Params:
        """The norms that parts of each of them should have, in float64; empty where they are left open.

        By the name of a parameter those of its filters, or its own where there is one number, and by "" that of all
        parameters together. origin: where they were made, on the CPU; model: whose parameters these are.
        """
        import torch

        return {"": torch.ones(1, dtype=torch.float64)}

    def again(self, origin: Params, made: Sequence[Params], model: nn.Module) -> list[Params | None]:
        """Those that were drawn, drawn anew from the seed by other code than that of `make`; None for others.

        made: all of them, as they were kept; the rest as for `lengths`.
        """
        return [None] * len(made)

    def claims(self, problem: Problem, origin: Params, made: Sequence[Params]) -> list[Claim]:
        """What else settings say of them, found anew from other files."""
        return []

    @property
    def curvatures(self) -> Sequence[float]:
        """dᵀH d of the first split's mean loss along each where they were made, as settings have it; else nothing."""
        return ()

    @property
    def scaling(self) -> str:
        """How the length came about, in a word or two."""
        return "orthonormal"

    def sentence(self, count: int) -> str:
        """How `count` of them were made, as sentences."""
        raise NotImplementedError

    def axis_label(self, axis: str, number_of: int | None) -> str:
        """What an axis is; number_of: 1 or 2, None where there is one."""
        raise NotImplementedError

    def line_words(self) -> str:
        """What a line along it is."""
        raise NotImplementedError


def check_same_net(run: Run, other: Run) -> None:
    """Raise BadInput where two runs' nets are not the same function, even if their parameters have the same shapes."""
    ours, theirs = (each.sections()["model"] for each in (run, other))
    unlike = [key for key in {**ours, **theirs} if key not in TRAINING_ONLY and ours.get(key) != theirs.get(key)]
    if unlike:
        key = unlike[0]
        raise BadInput(
            f"{other.path}: has another net than {run.name}: model.{key} is {theirs.get(key)!r}, not "
            f"{ours.get(key)!r}; points of one plane have one net"
        )


def point_name(point: Mapping[str, Any]) -> str:
    """run@checkpoint of a point in settings."""
    return shortened(f"{point['run']}@{point['checkpoint']}")


def unit_words(count: int) -> str:
    """What coordinates along orthonormal directions are."""
    return "orthonormal, so x and y are distances" if count > 1 else "of length 1, so x is a distance"


def _label(point: Point, centre: Point) -> str:
    same_run = point.run.path == centre.run.path
    return point.checkpoint.label if same_run else f"{point.run.name}-{point.checkpoint.label}"
