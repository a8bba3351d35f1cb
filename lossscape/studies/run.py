"""Any study, by its file."""

from pathlib import Path

from lossscape.studies.config import InterpolationStudy, Opened
from lossscape.studies.interpolation import run_interpolation
from lossscape.studies.minimum import run_minimum
from lossscape.studies.statements import Say, Statement


def run_study(
    opened: Opened, home: Path, *, device: str = "auto", say: Say = lambda words: None, quiet: bool = True
) -> list[Statement]:
    """Do a study in its folder, or what is left of it; returns what was judged.

    Raises BadInput, RunFailed or Interrupted.
    """
    study = opened.study
    if isinstance(study, InterpolationStudy):
        return run_interpolation(opened, study, home, device=device, say=say, quiet=quiet)
    return run_minimum(opened, study, home, device=device, say=say, quiet=quiet)
