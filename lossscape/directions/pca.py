"""Principal components of a run's checkpoints around the centre."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from lossscape.directions.direction import Claim, Direction, Plane, point_name, unit_words
from lossscape.errors import BadInput
from lossscape.progress import Progress
from lossscape.signals import Interrupted, stop_on_signals
from lossscape.text import counted, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from lossscape.directions.family import Asked
    from lossscape.problem import Problem
    from lossscape.runs import Point, Run
    from lossscape.trajectory import Moment
    from lossscape.vectors import Params
    from lossscape.vectors.pca import Components, Loader


@dataclass(frozen=True)
class PrincipalComponents(Direction):
    """The leading components of θₖ − θ, without a mean taken away."""

    runs: tuple[Run, ...] = ()
    """Whose checkpoints they are of."""
    moments: tuple[tuple[Moment, ...], ...] = ()
    """Of each of the runs."""

    name = "pca"
    help = "principal components of A's checkpoints"
    span = None
    of_runs = True

    @classmethod
    def choose(cls, centre: Point, dims: int, asked: Asked) -> Self:
        """All checkpoints of the run of `centre`, or of several runs. Raises BadInput where they are too few."""
        from lossscape.trajectory import moments_of, settings_of

        first, *others = asked.together or (centre.run,)
        runs = (first, *sorted(others, key=lambda run: str(run.path.resolve())))  # however they are named
        moments = tuple(tuple(moments_of(run)) for run in runs)
        own = centre.checkpoint.path.resolve()
        if sum(moment.checkpoint.path.resolve() != own for each in moments for moment in each) == 1 < dims:
            raise BadInput(
                f"{centre.run.path}: has one checkpoint beside {centre}, and two principal components need two: keep "
                "more of them (training.checkpoint_every) and train again, or use --directions random"
            )
        known = [settings_of(run, each) for run, each in zip(runs, moments, strict=True)]
        return cls({"kind": cls.name, **({"runs": known} if others else known[0])}, runs=runs, moments=moments)

    def words(self, centre: Point) -> list[str]:
        first, *others = super().words(centre)
        return [first, *([f"of-{len(self.runs)}-runs"] if len(self.runs) > 1 else []), *others]

    def make(self, problem: Problem, centre: Point, origin: Params, dims: int, quiet: bool) -> Plane:
        """Load the checkpoints one by one, so that they need not fit into memory."""
        from lossscape.trajectory import check_values
        from lossscape.vectors.pca import loadings, principal_components

        every = [moment for moments in self.moments for moment in moments]
        check_values(every, problem.model)
        loaders = [loader(problem, moment) for moment in every]
        title = f"principal components of {counted(len(loaders), 'checkpoint')}"
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
        return Plane(found.directions, {"explained": found.shares, **self._of_each(found)}, [(0.0,) * dims, *held])

    def _of_each(self, found: Components) -> dict[str, Any]:
        """Where they are of several runs, the part of each run's own Σ‖θₖ − θ‖² along each; 0 of a run without any."""
        if len(self.runs) == 1:
            return {}
        shares, first = [], 0
        for moments in self.moments:
            rows = slice(first, first := first + len(moments))
            whole = found.squares[rows].sum()
            shares.append(((found.coordinates[rows] ** 2).sum(axis=0) / (whole or 1.0)).tolist())
        return {"explained_of_each": shares}

    def within(self, centre: Point) -> Sequence[Run]:
        return self.runs

    def facts(self) -> dict[str, Any]:
        """The part of Σ‖θₖ − θ‖² along each, of all checkpoints and of each of several runs."""
        made = self.settings
        named = zip(self.runs, made.get("explained_of_each", ()), strict=False)
        each = [{"run": run.name, "shares": shares} for run, shares in named]
        return {"explained_variance": made["explained"], **({"explained_variance_of_each": each} if each else {})}

    def claims(self, problem: Problem, origin: Params, made: Sequence[Params]) -> list[Claim]:
        found = [_shares(problem, moments, origin, made) for moments in self.moments]
        whole = sum(squares for squares, _ in found)
        along = [sum(parts) / whole for parts in zip(*(parts for _, parts in found), strict=True)]
        names = [f"part of Σ‖θₖ − θ‖² along component {index}" for index in range(1, len(made) + 1)]
        claims = list(map(Claim, names, along, self.settings["explained"]))
        each = zip(self.runs, found, self.settings.get("explained_of_each", []), strict=False)
        for run, (squares, parts), said in each:
            own = (part / (squares or 1.0) for part in parts)
            claims += map(Claim, (f"{name}, of {shortened(run.name)}" for name in names), own, said)
        return claims

    def sentence(self, count: int) -> str:
        made = self.settings
        it, around = ("A", f"A = {point_name(made['of'])}") if "of" in made else ("θ", "the centre θ")
        are = "directions are the first two principal components"
        which = are if count > 1 else "direction is the first principal component"
        runs = made.get("runs") or [made]
        names = [shortened(str(run["run"])) for run in runs]
        whose = names[0] if len(names) == 1 else f"{len(names)} runs together"
        shares = zip(names, made.get("explained_of_each", ()), strict=False)
        each = [f"{name} {_percents(own)}" for name, own in shares]
        own = f" (of each run's own: {', '.join(each)})" if each else ""
        return (
            f"The {which} of the {counted(sum(run['checkpoints'] for run in runs), 'checkpoint')} θₖ of {whose} around "
            f"{around} (of θₖ − {it}, no mean taken away): {_percents(made['explained'])} of Σ‖θₖ − {it}‖²{own}; "
            f"{unit_words(count)}."
        )

    def axis_label(self, axis: str, number_of: int | None) -> str:
        which = number_of or 1
        return (
            f"{axis} (principal component {which}, {100 * self.settings['explained'][which - 1]:.1f} % of the variance)"
        )

    def line_words(self) -> str:
        return "the first principal component"


def _percents(shares: Sequence[float]) -> str:
    return " and ".join(f"{100 * share:.1f} %" for share in shares)


def _shares(
    problem: Problem, moments: Sequence[Moment], origin: Params, made: Sequence[Params]
) -> tuple[float, list[float]]:
    """Σ‖θₖ − θ‖² of checkpoints, and the part of it along each direction, not divided by it."""
    from lossscape.vectors import dot
    from lossscape.vectors.between import between

    whole, along = 0.0, [0.0 for _ in made]
    for moment in moments:
        state = loader(problem, moment)()
        delta = between(origin, {name: state[name].to(value) for name, value in origin.items()})
        whole += dot(delta, delta)
        along = [part + dot(delta, each) ** 2 for part, each in zip(along, made, strict=True)]
    return whole, along


def loader(problem: Problem, moment: Moment) -> Loader:
    """What loads a checkpoint's parameters, as far as they are asked for. Raises BadInput where they do not fit."""
    from lossscape.runs import check_state

    def load() -> Mapping[str, Tensor]:
        state = moment.checkpoint.state(mapped=True)
        check_state(problem.model, state, str(moment.checkpoint.path))
        return state

    return load
