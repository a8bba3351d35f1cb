"""What `lossscape pair` is asked for."""

from dataclasses import dataclass

from lossscape.analyses.drawing import Export, Log


@dataclass(frozen=True)
class Drawing:
    """How its figures are drawn, and what else is written."""

    export: Export = ()
    log: Log = False
