"""How figures are drawn: the options that several commands share."""

import shutil
from dataclasses import dataclass, replace
from typing import Annotated

from lossscape.errors import BadInput
from lossscape.figures.how import FORMATS, How, listed
from lossscape.numerals import real
from lossscape.options import Embedded, Option

EXPORTS = ("vts", "npz")
MOVIES = ("gif", "mp4")

Log = Annotated[bool, Option("Draw losses on a logarithmic scale.")]


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
    """The formats of `--format gif,pdf` of a film and its still; by default gif and png, and mp4 where ffmpeg is found.

    Raises BadInput for an unknown one, or for mp4 without ffmpeg.
    """
    found = shutil.which("ffmpeg") is not None
    if text is None:
        return MOVIES if found else MOVIES[:1]
    formats = listed("--format", text, (*MOVIES, *FORMATS))
    if "mp4" in formats and not found:
        raise BadInput(
            "--format mp4: is made by ffmpeg, which is not installed: install it (apt install ffmpeg, brew install "
            "ffmpeg), or use --format gif"
        )
    return formats


Formats = Annotated[
    tuple[str, ...] | None,
    Option(
        "Of films gif, and mp4 where ffmpeg is installed; of figures and of a film's last frame png, svg, pdf.",
        "gif,png,pdf", "--format", given=str, parse=formats_of,
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Nothing:
    """Of a result without a figure."""


@dataclass(frozen=True)
class Tables:
    """How figures without a scale of losses are drawn."""

    how: Annotated[How, Embedded(leave=("levels", "vmin", "vmax"))] = How()


@dataclass(frozen=True)
class Losses:
    """How figures are drawn that have an axis of losses, whose kind of scale is not chosen."""

    how: Annotated[How, Embedded(leave=("levels",))] = How()


@dataclass(frozen=True)
class Maps:
    """How what has a scale of losses, and lines of levels, is drawn."""

    log: Log = False
    how: How = How()

    def __post_init__(self) -> None:
        object.__setattr__(self, "how", replace(self.how, log=self.log))


@dataclass(frozen=True)
class Curves(Maps):
    """How curves of losses are drawn."""

    how: Annotated[How, Embedded(leave=("levels",))] = How()


@dataclass(frozen=True)
class Surfaces(Maps):
    """How surfaces are drawn, and what else is written."""

    export: Export = ()


@dataclass(frozen=True)
class Films:
    """How films are drawn: what those of several analyses share."""

    formats: Formats = None
    how: Annotated[How, Embedded(leave=("formats",))] = How()

    def __post_init__(self) -> None:
        if self.formats is not None:
            stills = tuple(each for each in self.formats if each in FORMATS)
            object.__setattr__(self, "how", replace(self.how, formats=stills or None))

    @property
    def movies(self) -> tuple[str, ...]:
        """The formats of the film."""
        formats = formats_of(None) if self.formats is None else self.formats
        return tuple(each for each in formats if each in MOVIES)
