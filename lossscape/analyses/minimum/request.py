"""What `lossscape minimum` is asked for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Drawing:
    """How it is drawn: there is nothing to choose."""
