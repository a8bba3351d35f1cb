"""The results in a folder as sections of the page, whatever analyses made them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lossscape import manifest
from lossscape.analyses import ANALYSES
from lossscape.errors import BadInput
from lossscape.figures.section import Page, Section, Sentences
from lossscape.files import read_json
from lossscape.report.titles import told_apart
from lossscape.results.folder import SETTINGS, read_settings

UNREADABLE = (BadInput, LookupError, TypeError, ValueError, AttributeError)
"""What files that others may have changed can raise; not OSError, which a full disk raises."""


@dataclass(frozen=True)
class LeftOut:
    """A file or result that is left out."""

    name: str
    reason: str


@dataclass
class Results:
    """What a folder holds for the page."""

    sections: dict[str, list[Section]] = field(default_factory=dict)
    """By name of the analysis, in the order of ANALYSES."""
    results: dict[str, list[Any]] = field(default_factory=dict)
    problems: list[LeftOut] = field(default_factory=list)

    @property
    def groups(self) -> list[tuple[str, list[Section]]]:
        """Sections below their analysis' heading."""
        return [(ANALYSES[name].heading, sections) for name, sections in self.sections.items()]

    @property
    def shown(self) -> list[tuple[str, Section]]:
        """All sections in their order, each with its analysis' heading."""
        return [(heading, section) for heading, sections in self.groups for section in sections]

    def tell_apart(self) -> None:
        """Have the titles below a heading say what differs."""
        for name, sections in self.sections.items():
            sections[:] = told_apart(sections, [getattr(each, "settings", {}) for each in self.results[name]])


def reason_of(error: Exception) -> str:
    """What to tell a reader of an error."""
    return str(error) if isinstance(error, BadInput) else f"not readable ({type(error).__name__}: {error})"


def find(home: Path, page: Page, anchor: str, hidden: set[Path], among: Collection[Path] | None = None) -> Results:
    """The finished results below a folder as sections with their files below `page`, and why others are left out.

    anchor: what those of the sections begin with; hidden: resolved folders of results that are shown elsewhere, to
    which those are added that a result here shows; among: of results that lie beside several runs only those are
    shown whose runs are all among these resolved folders, and no others. None: `home` is a run, all are shown.
    """
    found, read = Results(), []
    for analysis in ANALYSES.values():
        for folder in sorted(path.parent for path in (home / analysis.results).glob(f"*/{SETTINGS}")):
            try:
                if among is None or (analysis.runs_of is not None and analysis.runs_of(folder) <= set(among)):
                    result = analysis.read(folder)
                    read.append((bool(result.shown), analysis, result))
            except UNREADABLE as error:
                found.problems.append(LeftOut(f"{analysis.results}/{folder.name}", reason_of(error)))
    made = {}
    for _, analysis, result in sorted(read, key=lambda each: not each[0]):  # first those that show others
        folder = result.folder
        try:
            if folder.resolve() in hidden:  # what shows it reads less of it than a section of its own would
                for file in sorted(folder.glob("*.json")):
                    read_json(file)
                continue
            made[folder] = _named(analysis.section(result, page.below(analysis.results, folder.name)), folder)
            hidden |= result.shown
        except UNREADABLE as error:
            found.problems.append(LeftOut(f"{analysis.results}/{folder.name}", reason_of(error)))
    for _, analysis, result in read:
        if result.folder in made:
            own = found.sections.setdefault(analysis.name, [])
            own.append(replace(made[result.folder], anchor=f"{anchor}-{analysis.name}-{len(own) + 1}"))
            found.results.setdefault(analysis.name, []).append(result)
    found.tell_apart()
    return found


def of_folders(folders: Sequence[Path], page: Page) -> Results:
    """The results in these folders, which no run need have made. Raises BadInput for a folder that holds none."""
    found = Results()
    for number, folder in enumerate(folders, 1):
        name = str(read_settings(folder).get("analysis"))
        if name not in ANALYSES:
            raise BadInput(f"{folder}: neither a run nor a result")
        analysis = ANALYSES[name]
        result = analysis.read(folder)
        own = page.below(*_own(number), analysis.results, folder.name)
        section = _named(analysis.section(result, own), folder)
        found.sections.setdefault(name, []).append(replace(section, anchor=f"result-{number}"))
        found.results.setdefault(name, []).append(result)
    found.tell_apart()
    return found


def _own(number: int) -> tuple[str, ...]:
    """What keeps the figures of results apart that have the same name in different places, of which this is the nth."""
    return (str(number),) if number > 1 else ()


def _named(section: Section, folder: Path) -> Section:
    """A section that names the files of its result that were changed on purpose."""
    names = manifest.accepted(folder)
    return replace(section, parts=[by_hand(names), *section.parts]) if names else section


def by_hand(names: Sequence[str]) -> Sentences:
    """What the page says of files that were changed on purpose."""
    return Sentences([f"Changed by hand since lossscape wrote them, and accepted: {', '.join(names)}."])


def together(runs: Sequence[Path], page: Page, hidden: set[Path]) -> Results:
    """The results that lie beside the runs, of runs that are all on the page."""
    among, all_of_them = {run.resolve() for run in runs}, Results()
    for index, home in enumerate(dict.fromkeys(run.absolute().parent for run in runs), 1):
        found = find(home, page.below(*_own(index)), f"together-{index}", hidden, among)
        for name in ANALYSES:
            if name in found.sections:
                all_of_them.sections.setdefault(name, []).extend(found.sections[name])
        all_of_them.problems.extend(found.problems)
    return all_of_them
