"""The directions there are, what may be asked of them, and what figures say of those of a result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal

from lossscape.directions.direction import Direction, check_same_net
from lossscape.errors import BadInput, one_of
from lossscape.options import Option

DIRECTIONS: dict[str, type[Direction]] = {
    each.name: each
    for each in (
        getattr(import_module(f"lossscape.directions.{home}"), kind)
        for home, kind in (
            ("random", "Random"),
            ("pca", "PrincipalComponents"),
            ("through", "Through"),
            ("towards", "Towards"),
            ("hessian", "Leading"),
            ("hessian", "Ends"),
        )
    )
}
"""By name: a line for each, and a file for each or for a few that are alike."""
NAMED = {name: kind.help for name, kind in DIRECTIONS.items() if kind.help}
"""Those that `--directions NAME` asks for, with what it says of them; each other one has an option of its own."""
if TYPE_CHECKING:
    from lossscape.runs import Point, Run

    Name = str
else:
    Point = Run = str  # as the command line gives it
    Name = Literal[tuple(NAMED)]


def ignored(text: str) -> tuple[str, ...]:
    """The kinds of parameters that `--ignore bias,norm` names; no kind for `none`."""
    return () if text == "none" else tuple(text.split(","))


@dataclass(frozen=True)
class Asked:
    """Directions as options of a command; points are Points, or RUN[@CHECKPOINT]."""

    name: Annotated[
        Name, Option("; ".join(f"{name}: {text}" for name, text in NAMED.items()) + ".", flag="--directions")
    ] = "random"
    through: Annotated["tuple[str | Point, str | Point] | None", Option("The plane through A, B and C.", "B C")] = None
    towards: Annotated["str | Point | None", Option("x leads to B, y is random and orthogonal to it.", "B")] = None
    of: Annotated[
        "str | Point | None",
        Option(
            "Make the directions there, not at A: planes around several points are then parallel.",
            "RUN[@CHECKPOINT]",
            "--directions-of",
        ),
    ] = None
    normalize: Annotated[str | None, Option("Of random directions: filter (default), layer, global, unit or none.")] = (
        None
    )
    ignore: Annotated[
        Sequence[str] | None,
        Option(
            "Parameters that random directions leave: bias,norm (default), either of them, or none.",
            given=str,
            parse=ignored,
        ),
    ] = None
    seed: Annotated[int, Option("Of random directions.", least=0)] = 0
    together: "tuple[Run, ...]" = ()
    """The runs whose checkpoints pca is of, where it is of several; no option of its own."""


def choose(centre: "Point", dims: int, asked: Asked = Asked()) -> Direction:
    """Check what was asked for of directions around `centre`. Raises BadInput for what does not go together."""
    own = [name for name in DIRECTIONS if getattr(asked, name, None)]
    if asked.of is not None:
        from lossscape.runs import point_of

        if own:
            raise BadInput("--directions-of: --through and --towards make directions from A; leave it out")
        there = point_of(asked.of)
        check_same_net(centre.run, there.run)
        return choose(there, dims, replace(asked, of=None)).elsewhere(centre, there)
    if asked.name not in NAMED:
        raise BadInput(one_of("--directions", asked.name, NAMED))
    if len(own) + (asked.name != Asked.name) > 1:
        raise BadInput(f"--directions {asked.name}, --through and --towards are three different planes: choose one")
    kind = DIRECTIONS[own[0] if own else asked.name]
    if asked.together and not kind.of_runs:
        raise BadInput(f"--of-all is for --directions pca: directions of {kind.name} are not of runs; leave it out")
    if not kind.by_filter and (asked.normalize is not None or asked.ignore is not None):
        which = "--normalize" if asked.normalize is not None else "--ignore"
        raise BadInput(f"{which} is of random directions; those of {kind.name} have length 1: leave it out")
    if asked.seed and kind.drawn_from > dims:
        raise BadInput(f"--seed {asked.seed}: nothing is drawn for {kind.name} in {dims} dimensions; leave it out")
    return kind.choose(centre, dims, asked)


def sentence(settings: Mapping[str, Any], count: int) -> str:
    """How the directions of a result were made, as sentences; count: of them."""
    return _of(settings).sentence(count)


def axis_label(settings: Mapping[str, Any], axis: str, number_of: int | None = None) -> str:
    """x (filter-normalised random direction 1): what an axis is; number_of: 1 or 2, None where there is one."""
    return _of(settings).axis_label(axis, number_of)


def line_words(settings: Mapping[str, Any]) -> str:
    """What a line around a centre is."""
    return _of(settings).line_words()


def _of(settings: Mapping[str, Any]) -> Direction:
    made = settings["directions"]
    if made["kind"] not in DIRECTIONS:
        raise BadInput(one_of("directions.kind", made["kind"], DIRECTIONS))
    return DIRECTIONS[made["kind"]](made)
