"""The directions there are, and what figures say of those of a result, from its settings alone."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from lossscape.directions.direction import Direction
from lossscape.errors import BadInput, one_of

DIRECTIONS: dict[str, type[Direction]] = {
    each.name: each
    for each in (
        getattr(import_module(f"lossscape.directions.{home}"), kind)
        for home, kind in (
            ("random", "Random"),
            ("pca", "PrincipalComponents"),
            ("through", "Through"),
            ("towards", "Towards"),
        )
    )
}
"""By name: a file and a line for each."""
NAMED = {name: kind.help for name, kind in DIRECTIONS.items() if kind.help}
"""Those that `--directions NAME` asks for, with what it says of them; each other one has an option of its own."""


def sentence(settings: Mapping[str, Any], count: int) -> str:
    """How the directions of a result were made, as sentences; count: of them."""
    return _kind(settings).sentence(settings["directions"], count)


def axis_label(settings: Mapping[str, Any], axis: str, number_of: int | None = None) -> str:
    """x (filter-normalised random direction 1): what an axis is; number_of: 1 or 2, None where there is one."""
    return _kind(settings).axis_label(settings["directions"], axis, number_of)


def line_words(settings: Mapping[str, Any]) -> str:
    """What a line around a centre is."""
    return _kind(settings).line_words(settings["directions"])


def _kind(settings: Mapping[str, Any]) -> type[Direction]:
    name = settings["directions"]["kind"]
    if name not in DIRECTIONS:
        raise BadInput(one_of("directions.kind", name, DIRECTIONS))
    return DIRECTIONS[name]
