"""Principal components of a run's checkpoints around the centre."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from lossscape.directions.direction import Claim, Direction, Plane, point_name, unit_words
from lossscape.errors import BadInput
from lossscape.progress import Progress
from lossscape.signals import Interrupted, stop_on_signals
from lossscape.text import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from lossscape.directions.family import Asked
    from lossscape.problem import Problem
    from lossscape.runs import Point, Run
    from lossscape.trajectory import Moment
    from lossscape.vectors import Params
    from lossscape.vectors.pca import Loader


@dataclass(frozen=True)
class PrincipalComponents(Direction):
    """The leading components of θₖ − θ, without a mean taken away."""

    moments: tuple[Moment, ...] = ()

    name = "pca"
    help = "principal components of A's checkpoints"
    span = None

    @classmethod
    def choose(cls, centre: Point, dims: int, asked: Asked) -> Self:
        """All checkpoints of the run of `centre`. Raises BadInput where they are too few."""
        from lossscape.trajectory import moments_of, settings_of

        moments = moments_of(centre.run)
        own = centre.checkpoint.path.resolve()
        if sum(moment.checkpoint.path.resolve() != own for moment in moments) == 1 < dims:
            raise BadInput(
                f"{centre.run.path}: has one checkpoint beside {centre}, and two principal components need two: keep "
                "more of them (training.checkpoint_every) and train again, or use --directions random"
            )
        return cls({"kind": cls.name, **settings_of(centre.run, moments)}, moments=tuple(moments))

    def make(self, problem: Problem, centre: Point, origin: Params, dims: int, quiet: bool) -> Plane:
        """Load the checkpoints one by one, so that they need not fit into memory."""
        from lossscape.trajectory import check_values
        from lossscape.vectors.pca import loadings, principal_components

        check_values(self.moments, problem.model)
        loaders = [loader(problem, moment) for moment in self.moments]
        title = f"principal components of {len(loaders)} checkpoints"
        with (
            stop_on_signals() as stop,
            Progress(title, loadings(origin, len(loaders)), "checkpoints", quiet=quiet) as progress,
        ):

            def done(loaded: int) -> None:
                if stop.number is not None:
                    raise Interrupted(stop.number, "the same command once more")
                progress.advance(loaded)

            try:
                found = principal_components(origin, loaders, dims, done)
            except ValueError as error:
                spans = {0: "are all the centre itself", 1: "lie on a line through it"}[int(error.args[0])]
                raise BadInput(
                    f"{centre.run.path}: the checkpoints around {centre} {spans}: {dims} principal components need "
                    "more; train on, keep more of them (training.checkpoint_every_steps), or draw a line with --dims 1"
                ) from None
        held = [tuple(coordinates) for coordinates in found.coordinates.tolist()]
        return Plane(found.directions, {"explained": found.shares}, [(0.0,) * dims, *held])

    def within(self, centre: Point) -> Run | None:
        return (self.made_at or centre).run

    def facts(self) -> dict[str, Any]:
        """The part of Σ‖θₖ − θ‖² along each."""
        return {"explained_variance": self.settings["explained"]}

    def claims(self, problem: Problem, origin: Params, made: Sequence[Params]) -> list[Claim]:
        from lossscape.vectors import dot
        from lossscape.vectors.between import between

        whole, along = 0.0, [0.0 for _ in made]
        for moment in self.moments:
            state = loader(problem, moment)()
            delta = between(origin, {name: state[name].to(value) for name, value in origin.items()})
            whole += dot(delta, delta)
            along = [part + dot(delta, each) ** 2 for part, each in zip(along, made, strict=True)]
        names = (f"part of Σ‖θₖ − θ‖² along component {index}" for index in range(1, len(made) + 1))
        return list(map(Claim, names, (part / whole for part in along), self.settings["explained"]))

    def sentence(self, count: int) -> str:
        made = self.settings
        shares = " and ".join(f"{100 * share:.1f} %" for share in made["explained"])
        it, around = ("A", f"A = {point_name(made['of'])}") if "of" in made else ("θ", "the centre θ")
        are = "directions are the first two principal components"
        which = are if count > 1 else "direction is the first principal component"
        return (
            f"The {which} of the {made['checkpoints']:,} checkpoints θₖ of {shortened(str(made['run']))} around "
            f"{around} (of θₖ − {it}, no mean taken away): {shares} of Σ‖θₖ − {it}‖²; {unit_words(count)}."
        )

    def axis_label(self, axis: str, number_of: int | None) -> str:
        which = number_of or 1
        return (
            f"{axis} (principal component {which}, {100 * self.settings['explained'][which - 1]:.1f} % of the variance)"
        )

    def line_words(self) -> str:
        return "the first principal component"


def loader(problem: Problem, moment: Moment) -> Loader:
    """What loads a checkpoint's parameters, as far as they are asked for. Raises BadInput where they do not fit."""
    from lossscape.runs import check_state

    def load() -> Mapping[str, Tensor]:
        state = moment.checkpoint.state(mapped=True)
        check_state(problem.model, state, str(moment.checkpoint.path))
        return state

    return load
