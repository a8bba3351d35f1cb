"""Results read for the page: whole and of this run, or a reason why not."""

from dataclasses import dataclass
from pathlib import Path

from lossscape.errors import BadInput
from lossscape.results import POINTS, Curve, Surface, read_csv, read_curve, read_settings, read_surface

UNREADABLE = (BadInput, LookupError, TypeError, ValueError, AttributeError)
"""What files that others may have changed can raise; not OSError, which a full disk raises."""


@dataclass(frozen=True)
class Problem:
    """A file or result that is left out."""

    name: str
    reason: str


def reason_of(error: Exception) -> str:
    """What to tell a reader of an error."""
    return str(error) if isinstance(error, BadInput) else f"not readable ({type(error).__name__}: {error})"


def read_bytes(path: Path) -> bytes:
    """A file's content. Raises BadInput where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def read_result(folder: Path) -> Curve | Surface:
    """A finished curve, random line or surface, all of its points there. Raises BadInput where it is not."""
    settings = read_settings(folder)
    grid = int(settings["points"]) if settings["analysis"] == "interpolate" else 1
    for points in settings.get("grid", []):
        grid *= int(points)
    count = grid + int(settings.get("refine") or 0)
    if not any((folder / name).exists() for name in ("curve.csv", "line.csv", "surface.csv")):
        live = folder / POINTS
        done = len(read_csv(live, live=True)) if live.exists() else 0
        raise BadInput(f"not finished: {done:,} of {count:,} points; run the command again to complete it")
    plane = (folder / "surface.csv").exists()
    result: Curve | Surface = read_surface(folder) if plane else read_curve(folder)
    if not result.splits:
        raise BadInput(f"{result.folder.name}: its CSV has no losses")
    if len(result.table) > count or len(result.table) - int(result.refined.sum()) != grid:
        raise BadInput(
            f"{result.folder.name}: holds {len(result.table):,} of {count:,} points; run the command again"
        )
    return result
