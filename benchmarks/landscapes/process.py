"""Workers, as the process that asks sees them. It imports no torch: a child's peak memory counts from its parent's."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks import workers


@dataclass(frozen=True)
class Place:
    """Where workers run, and on how many samples."""

    device: str
    threads: int
    samples: int | None
    """In place of the row's own."""
    cache: Path
    """An empty folder for what lossscape and torch.compile keep, so that a cold start is cold."""


class Worker(workers.Worker):
    """One side of a row in a process of its own."""

    def __init__(self, side: str, row: str, precision: str, place: Place) -> None:
        words = [side, row, precision, f"--threads={place.threads}", f"--device={place.device}"]
        if place.samples is not None:
            words.append(f"--samples={place.samples}")
        settings = {
            "LOSSSCAPE_CACHE": str(place.cache / "lossscape"),
            "TORCHINDUCTOR_CACHE_DIR": str(place.cache / "inductor"),
        }
        name = f"{side} of {row} in {precision}"
        super().__init__(name, ["benchmarks.landscapes.worker", *words], place.threads, settings)
