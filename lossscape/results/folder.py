"""The folder of a result: the names of its files, and its settings."""

from pathlib import Path
from typing import Any

from lossscape import yamlfile
from lossscape.errors import BadInput

SETTINGS, ENGINE, CERTIFICATE = "settings.yaml", "engine.json", "certificate.json"
POINTS = "points.csv"
"""Finished points of a result under way, in the order of their evaluation."""
DIRECTIONS = "directions.pt"
RANGE = "range.json"
MEASURES = "measures.json"
FILMS = "films.csv"
PATH, PATH_FACTS, PATHS = "path.csv", "path.json", "paths"
"""Checkpoints projected onto a plane, what is known of each path, and the folder of the runs' own live files."""
PLACES = ("epoch", "step", "x", "y", "off_plane", "in_plane", "moved")
"""Columns of a path before its losses."""


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of a result. Raises BadInput."""
    settings = yamlfile.read(folder / SETTINGS).data
    if not isinstance(settings, dict):
        raise BadInput(f"{folder / SETTINGS}: not the settings of a result")
    return settings


def finished(folder: Path, file: str) -> list[Path]:
    """The results below a folder whose final CSV is there, oldest first."""
    return sorted(
        (path.parent for path in folder.glob(f"*/{file}")), key=lambda p: ((p / file).stat().st_mtime, p)
    )
