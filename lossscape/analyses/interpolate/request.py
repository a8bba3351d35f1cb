"""What `lossscape interpolate` is asked for."""

from dataclasses import dataclass

from lossscape.analyses.drawing import Log


@dataclass(frozen=True)
class Drawing:
    """How its figure is drawn."""

    log: Log = False
