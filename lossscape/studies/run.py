"""Any study, by its file."""

from pathlib import Path

from lossscape.files import held
from lossscape.studies.config import InterpolationStudy, Opened
from lossscape.studies.interpolation import run_interpolation
from lossscape.studies.minimum import run_minimum
from lossscape.studies.statements import STUDY, Say, Statement, begin_study, end_study


def run_study(
    opened: Opened, home: Path, *, device: str = "auto", say: Say = lambda words: None, quiet: bool = True
) -> list[Statement]:
    """Do a study, or what is left of it, and write home/study; returns what was judged.

    say: is given each part before it begins. Raises BadInput, RunFailed or Interrupted; a second call goes on.
    """
    with held(home / STUDY, "a study"):
        begin_study(home, opened.described())
        study = opened.study
        if isinstance(study, InterpolationStudy):
            statements, rows = run_interpolation(opened, study, home, device, say, quiet)
        else:
            statements, rows = run_minimum(opened, study, home, device, say, quiet)
        end_study(home, statements, rows)
    return statements
