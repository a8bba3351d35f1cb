"""Kinds of solution as sections of the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lossscape.analyses.solutions.figure import build_solutions
from lossscape.analyses.solutions.result import Solutions, read_solutions
from lossscape.analyses.solutions.words import (
    first_rows,
    mean_rows,
    ratio_words,
    solutions_alt,
    solutions_caption,
)
from lossscape.figures.facts import facts_of
from lossscape.figures.pages import Pages, Picture
from lossscape.figures.reading import UNREADABLE, Problem, reason_of
from lossscape.results import SETTINGS, read_settings
from lossscape.text import number

if TYPE_CHECKING:
    from lossscape.runs import Run


@dataclass(frozen=True)
class SolutionSection:
    """What the page shows of the kinds of solution of one run or several."""

    title: str
    picture: Picture
    firsts: list[list[str]]
    """Run, epochs, and the first epoch of each kind."""
    means: list[list[str]]
    """The same of each config with several runs, as mean ± standard deviation."""
    ratios: list[str]
    files: list[tuple[str, str]]


def solution_sections(
    home: Path, runs_of: "Callable[[list[str]], Sequence[Run]]", pages: Pages, place: Path
) -> tuple[list[SolutionSection], list[Problem]]:
    """Every result below a folder as a section with its files below `place`, and why others are left out.

    runs_of: the runs of a result's names; none where they are not all on the page, and the result is not shown.
    """
    sections, problems = [], []
    for folder in sorted(path.parent for path in (home / "solutions").glob(f"*/{SETTINGS}")):
        try:
            if runs := runs_of(read_settings(folder)["runs"]):
                sections.append(
                    _section(read_solutions(folder), runs, pages, place / "solutions" / folder.name)
                )
        except UNREADABLE as error:
            problems.append(Problem(f"solutions/{folder.name}", reason_of(error)))
    return sections, problems


def _section(solutions: Solutions, runs: "Sequence[Run]", pages: Pages, place: Path) -> SolutionSection:
    rule = solutions.settings
    caption = solutions_caption(solutions, [facts_of(run) for run in runs])
    figure = build_solutions(solutions, runs, captioned=False)
    files = [*sorted(solutions.folder.glob("*.csv")), solutions.folder / SETTINGS]
    return SolutionSection(
        title=f"tolerance {number(rule['tolerance'])}, zero {number(rule['zero'])}, window {rule['window']}",
        picture=pages.draw(figure, place / "solutions.png", solutions_alt(solutions), caption),
        firsts=first_rows(solutions),
        means=mean_rows(solutions),
        ratios=ratio_words(solutions),
        files=[pages.copy(file, place / file.name) for file in files],
    )
