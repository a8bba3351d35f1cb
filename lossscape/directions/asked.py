"""What may be asked of directions, and the check of it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Literal

from lossscape.directions.direction import Direction, check_same_net
from lossscape.directions.family import DIRECTIONS, NAMED
from lossscape.errors import BadInput, one_of
from lossscape.options import Option

if TYPE_CHECKING:
    from lossscape.runs import Point

    Name = str
else:
    Point = str  # as the command line gives it
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


def choose(centre: "Point", dims: int, asked: Asked = Asked()) -> Direction:
    """Check what was asked for of directions around `centre`. Raises BadInput for what does not go together."""
    own = [each.name for each in fields(asked) if each.name in DIRECTIONS and getattr(asked, each.name)]
    if asked.of is not None:
        return _made_there(centre, dims, asked, own)
    if asked.name not in NAMED:
        raise BadInput(one_of("--directions", asked.name, NAMED))
    if len(own) + (asked.name != Asked.name) > 1:
        raise BadInput(f"--directions {asked.name}, --through and --towards are three different planes: choose one")
    kind = DIRECTIONS[own[0] if own else asked.name]
    if not kind.scaled and (asked.normalize is not None or asked.ignore is not None):
        which = "--normalize" if asked.normalize is not None else "--ignore"
        raise BadInput(f"{which} is of random directions; those of {kind.name} have length 1: leave it out")
    if asked.seed and not kind.draws(dims):
        raise BadInput(f"--seed {asked.seed}: nothing is drawn for {kind.name} in {dims} dimensions; leave it out")
    return kind.choose(centre, dims, asked)


def _made_there(centre: "Point", dims: int, asked: Asked, own: Sequence[str]) -> Direction:
    from lossscape.runs import Point, point

    if own:
        raise BadInput("--directions-of: --through and --towards make directions from A; leave it out")
    there = asked.of if isinstance(asked.of, Point) else point(str(asked.of))
    check_same_net(centre.run, there.run)
    return choose(there, dims, replace(asked, of=None)).elsewhere(centre, there)
