"""A study that is called again: done at once where it was finished, and nothing of it has changed since."""

from collections.abc import Sequence
from pathlib import Path

from lossscape import yamlfile
from lossscape.studies.statements import STUDY
from lossscape.unchanged import Made


def name_of(study: str, scale: str) -> str:
    """Of the folder that a study writes."""
    return f"study-{study}-{scale}"


def made_by(file: Path, scale: str, settings: Sequence[str], runs: Path, device: str) -> Made | None:
    """What this call makes, told without loading what the study's file names; None where it is no study's.

    Raises BadInput where the file cannot be read.
    """
    data = yamlfile.read(file).data
    study = data.get("study") if isinstance(data, dict) else None
    if not isinstance(study, str):
        return None
    home = runs / name_of(study, scale)
    return Made(home, home / STUDY, ["study", str(file), scale, list(settings), device])
