"""What `lossscape film` is asked for."""

import shutil
from dataclasses import dataclass
from typing import Annotated

from lossscape.analyses.drawing import Log, listed
from lossscape.errors import BadInput
from lossscape.options import Option

FORMATS = ("gif", "mp4")


def formats_of(text: str | None) -> tuple[str, ...]:
    """The formats of `--format gif,mp4`; by default gif, and mp4 where ffmpeg is found.

    Raises BadInput for an unknown one, or for mp4 without ffmpeg.
    """
    found = shutil.which("ffmpeg") is not None
    if text is None:
        return FORMATS if found else FORMATS[:1]
    formats = listed("--format", text, FORMATS)
    if "mp4" in formats and not found:
        raise BadInput(
            "--format mp4: is made by ffmpeg, which is not installed: install it (apt install ffmpeg, brew install "
            "ffmpeg), or use --format gif"
        )
    return formats


@dataclass(frozen=True)
class Drawing:
    """How films are drawn."""

    fps: Annotated[float, Option("Frames a second.", least=0.1, most=50.0)] = 8.0
    formats: Annotated[
        tuple[str, ...] | None,
        Option("gif, and mp4 where ffmpeg is installed.", "gif,mp4", "--format", given=str, parse=formats_of),
    ] = None
    log: Log = False
