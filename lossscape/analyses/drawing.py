"""How figures are drawn: the options that several commands share."""

import shutil
from dataclasses import dataclass
from typing import Annotated

from lossscape.errors import BadInput, one_of
from lossscape.numerals import real
from lossscape.options import Option

EXPORTS = ("vts", "npz")
MOVIES = ("gif", "mp4")

Log = Annotated[bool, Option("Draw losses on a logarithmic scale.")]


def listed(flag: str, text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The words of an option such as `vts,npz`, each once. Raises BadInput for one that is not allowed."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    for word in words:
        if word not in allowed:
            raise BadInput(one_of(flag, word, allowed))
    return words


def numbers_of(text: str, wanted: str) -> tuple[float, ...]:
    """The numbers of an option such as `0.1,0.5`, ascending, each once. Raises BadInput that says what is wanted."""
    try:
        return tuple(sorted({real(word.strip()) for word in text.split(",")}))
    except ValueError as error:
        raise BadInput(f"{text}: {error}; give {wanted}") from None


def exports_of(text: str | None) -> tuple[str, ...]:
    """The formats of `--export vts,npz`; none where it is not given. Raises BadInput."""
    return listed("--export", text, EXPORTS) if text else ()


Export = Annotated[
    tuple[str, ...], Option("Surfaces for ParaView (vts) and NumPy (npz).", "vts,npz", given=str, parse=exports_of)
]


def formats_of(text: str | None) -> tuple[str, ...]:
    """The formats of `--format gif,mp4`; by default gif, and mp4 where ffmpeg is found.

    Raises BadInput for an unknown one, or for mp4 without ffmpeg.
    """
    found = shutil.which("ffmpeg") is not None
    if text is None:
        return MOVIES if found else MOVIES[:1]
    formats = listed("--format", text, MOVIES)
    if "mp4" in formats and not found:
        raise BadInput(
            "--format mp4: is made by ffmpeg, which is not installed: install it (apt install ffmpeg, brew install "
            "ffmpeg), or use --format gif"
        )
    return formats


Formats = Annotated[
    tuple[str, ...] | None,
    Option("gif, and mp4 where ffmpeg is installed.", "gif,mp4", "--format", given=str, parse=formats_of),
]


@dataclass(frozen=True)
class Tables:
    """How a result without options is drawn."""


@dataclass(frozen=True)
class Curves:
    """How curves, or maps over losses, are drawn."""

    log: Log = False


@dataclass(frozen=True)
class Surfaces:
    """How surfaces are drawn, and what else is written."""

    export: Export = ()
    log: Log = False
