"""What was asked for of a plane or line: its kind, checked, and as settings and words of a folder's name."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lossscape.errors import BadInput, one_of
from lossscape.runs import Point, Run
from lossscape.trajectory import Moment, moments_of, settings_of
from lossscape.vectors.random import NORMALIZATIONS

KINDS = ("random", "pca")
IGNORABLE = ("bias", "norm")
TRAINING_ONLY = ("init", "dropout")
"""Of a model's options, those that change nothing of what it computes after training."""


@dataclass(frozen=True)
class Choice:
    """What was asked for."""

    settings: dict[str, Any]
    """settings.yaml's `directions`, as far as it is known before anything is computed."""
    points: list[Point] = field(default_factory=list)
    """Beside the centre, that the plane goes through."""
    moments: list[Moment] = field(default_factory=list)
    """Whose principal components are taken."""
    made_at: Point | None = None
    """Where the directions are made: what random ones are scaled to, components taken around. None: the centre."""

    @property
    def kind(self) -> str:
        """random, pca, through or towards."""
        return str(self.settings["kind"])

    def elsewhere(self, centre: Point, point: Point) -> "Choice":
        """The same directions, made at `point`, for a plane around `centre`; this choice where they are the same."""
        if point.checkpoint.path.resolve() == centre.checkpoint.path.resolve():
            return self
        return replace(self, settings=self.settings | {"of": point.settings()}, made_at=point)


def choose(
    centre: Point,
    dims: int,
    kind: str = "random",
    *,
    through: Sequence[Point] = (),
    towards: Point | None = None,
    of: Point | None = None,
    normalize: str | None = None,
    ignore: Sequence[str] | None = None,
    seed: int = 0,
) -> Choice:
    """Check what was asked for. Raises BadInput for what does not go together.

    of: where random directions or principal components are made, in place of the centre.
    """
    if of is not None:
        if through or towards is not None:
            raise BadInput("--directions-of: --through and --towards make directions from A; leave it out")
        check_same_net(centre.run, of.run)
        chosen = choose(of, dims, kind, normalize=normalize, ignore=ignore, seed=seed)
        return chosen.elsewhere(centre, of)
    if kind not in KINDS:
        raise BadInput(one_of("--directions", kind, KINDS))
    if sum((kind != "random", bool(through), towards is not None)) > 1:
        raise BadInput("--directions pca, --through and --towards are three different planes: choose one")
    kind = "through" if through else "towards" if towards else kind
    if kind == "random":
        return _random(normalize, ignore, seed)
    if normalize is not None or ignore is not None:
        which = "--normalize" if normalize is not None else "--ignore"
        raise BadInput(f"{which} is of random directions; those of {kind} have length 1: leave it out")
    if seed and (kind != "towards" or dims == 1):
        raise BadInput(f"--seed {seed}: nothing is drawn for {kind} in {dims} dimensions; leave it out")
    if kind == "pca":
        moments = moments_of(centre.run)
        return Choice({"kind": kind, **settings_of(centre.run, moments)}, moments=moments)
    if kind == "through" and dims == 1:
        raise BadInput("--through B C is a plane: leave --dims 1 out, or draw a line with --towards B")
    points = [towards] if towards else list(through)
    for point in points:
        check_same_net(centre.run, point.run)
    settings = {"kind": kind, "points": [each.settings() for each in (centre, *points)]}
    return Choice(settings | ({"seed": seed} if kind == "towards" and dims == 2 else {}), points)


def check_same_net(run: Run, other: Run) -> None:
    """Raise BadInput where two runs' nets are not the same function, even if their parameters have the same shapes."""
    ours, theirs = (each.config.resolved()["model"] for each in (run, other))
    unlike = [
        key for key in {**ours, **theirs} if key not in TRAINING_ONLY and ours.get(key) != theirs.get(key)
    ]
    if unlike:
        key = unlike[0]
        raise BadInput(
            f"{other.path}: has another net than {run.name}: model.{key} is {theirs.get(key)!r}, not "
            f"{ours.get(key)!r}; points of one plane have one net"
        )


def _random(normalize: str | None, ignore: Sequence[str] | None, seed: int) -> Choice:
    normalize, ignore = normalize or "filter", IGNORABLE if ignore is None else ignore
    if normalize not in NORMALIZATIONS:
        raise BadInput(one_of("--normalize", normalize, NORMALIZATIONS))
    for each in ignore:
        if each not in IGNORABLE:
            raise BadInput(one_of("--ignore", each, (*IGNORABLE, "none")))
    return Choice({"kind": "random", "seed": seed, "normalize": normalize, "ignore": sorted(ignore)})


def words(choice: Choice, centre: Point) -> list[str]:
    """The readable part of a folder's name, of what differs from the defaults."""
    made, at = choice.settings, choice.made_at
    of = [f"directions-of-{_named(at, centre)}"] if at else []
    if choice.kind == "random":
        found = [made["normalize"]] if made["normalize"] != "filter" else []
        if made["ignore"] != sorted(IGNORABLE):
            found.append("ignore-" + ("-".join(made["ignore"]) or "none"))
        return found + ([f"seed{made['seed']}"] if made["seed"] else []) + of
    names = [_named(point, centre) for point in choice.points]
    return [choice.kind, *names, *([f"seed{made['seed']}"] if made.get("seed") else []), *of]


def _named(point: Point, centre: Point) -> str:
    same_run = point.run.path == centre.run.path
    return point.checkpoint.label if same_run else f"{point.run.name}-{point.checkpoint.label}"
