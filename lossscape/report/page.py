"""The report: one folder with an index.html that can be read anywhere, offline, and sent to someone."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from lossscape.analyses.film.section import FilmSection, film_sections
from lossscape.analyses.pair.section import PairSection, pair_sections, pairs_together
from lossscape.analyses.solutions.section import SolutionSection, solution_sections
from lossscape.errors import BadInput
from lossscape.figures import captions, words
from lossscape.figures.curves import build_curve, names_of
from lossscape.figures.facts import Facts, facts_of
from lossscape.figures.facts import names_of as names_of_runs
from lossscape.figures.pages import Pages, Picture
from lossscape.figures.reading import UNREADABLE, Problem, read_bytes, reason_of
from lossscape.figures.training import build_training, training_alt, training_caption
from lossscape.files import check_writable, write_text
from lossscape.report.sections import Section, sections_of
from lossscape.results import Curve
from lossscape.text import number

if TYPE_CHECKING:
    from lossscape.runs import Run
    from lossscape.studies.page import Front


@dataclass(frozen=True)
class RunPart:
    """What the page shows of one run."""

    anchor: str
    name: str
    facts: Facts | None
    """None where its files cannot be read."""
    config: str
    environment: list[list[str]]
    training: Picture | None
    files: list[tuple[str, str]]
    interpolations: list[Section]
    landscapes: list[Section]
    films: list[FilmSection]
    pairs: list[PairSection]
    solutions: list[SolutionSection]
    problems: list[Problem]

    @property
    def failed(self) -> list[Section]:
        """The results whose certificate failed."""
        return [section for section in [*self.interpolations, *self.landscapes] if section.failures]


def write_report(
    runs: "Sequence[Run]",
    folder: Path,
    *,
    log: bool = False,
    front: "Callable[[Pages], Front] | None" = None,
) -> Path:
    """Write folder/index.html and its files from what the runs hold now; returns the page's path.

    log: logarithmic loss axes; front: makes what stands before the runs, of a study, in place of what compares them
    all. What cannot be read is listed with the reason. Written again from the same files it is the same to the byte.
    Raises BadInput where there is no run or the folder cannot be written.
    """
    if not runs:
        raise BadInput("no run to report on")
    check_writable(folder)
    pages = Pages(folder)
    first = front(pages) if front else None
    pairs, others = pairs_together([run.path for run in runs], pages, log)
    shown = {surface for section in pairs for surface in section.surfaces}
    parts = [_part(run, name, index, pages, log, shown) for index, (run, name) in enumerate(_named(runs), 1)]
    pictures, problems = _comparison(runs, parts, pages, log) if len(runs) > 1 and not first else ([], [])
    solutions, more = _solutions_together(runs, pages) if len(runs) > 1 else ([], [])
    page = folder / "index.html"
    title = first.title if first else parts[0].name if len(parts) == 1 else f"{len(parts)} runs"
    together = {"comparison": pictures, "solutions": solutions, "problems": [*problems, *more]}
    write_text(
        page, _render(title=title, front=first, parts=parts, **together, pairs=pairs, pair_problems=others)
    )
    return page


def _named(runs: "Sequence[Run]") -> "list[tuple[Run, str]]":
    """Runs with their names, with the folder they lie in where two share a name."""
    names = [run.name for run in runs]
    folders = [run.path.resolve().parent.name for run in runs]
    full = [
        f"{folder}/{name}" if names.count(name) > 1 else name
        for folder, name in zip(folders, names, strict=True)
    ]
    return list(zip(runs, full, strict=True))


def _part(
    run: "Run", name: str, index: int, pages: Pages, log: bool, shown: Collection[Path] = ()
) -> RunPart:
    """What the page shows of a run; shown: resolved folders of landscapes that it shows elsewhere."""
    place = pages.place(name)
    facts, training, config, files, problems = None, None, "", [], []
    for file in (run.metrics_file, run.config_file, run.environment_file):
        if file.exists():
            try:
                files.append(pages.copy(file, place / file.name))
            except BadInput as error:
                problems.append(Problem(file.name, reason_of(error)))
    try:
        config = read_bytes(run.config_file).decode(errors="replace")
        facts = facts_of(run)
        caption = training_caption([facts], names_of_runs([run]))
        figure = build_training([run], log=log, captioned=False)
        training = pages.draw(figure, place / "training.png", training_alt(facts), caption)
    except UNREADABLE as error:
        problems.append(Problem("training", reason_of(error)))
    anchor = f"run-{index}"
    interpolations, left_out = sections_of(run, "interpolate", pages, place, anchor, log)
    films, unfinished = film_sections(run.path, pages, place)
    pairs, torn = pair_sections(run.path, pages, place, log)
    hidden = {name for film in films for name in film.hidden}
    surfaces = [*shown, *(surface for pair in pairs for surface in pair.surfaces)]
    hidden |= {path.name for path in surfaces if path.parents[1] == run.path.resolve()}
    landscapes, more = sections_of(run, "landscape", pages, place, anchor, log, hidden)
    solutions, others = solution_sections(run.path, lambda names: [run], pages, place)
    return RunPart(
        anchor=anchor,
        name=name,
        facts=facts,
        config=config,
        environment=words.flat_rows(run.environment()),
        training=training,
        files=files,
        interpolations=interpolations,
        landscapes=landscapes,
        films=films,
        pairs=pairs,
        solutions=solutions,
        problems=[*problems, *left_out, *more, *unfinished, *torn, *others],
    )


def _comparison(
    runs: "Sequence[Run]", parts: Sequence[RunPart], pages: Pages, log: bool
) -> tuple[list[Picture], list[Problem]]:
    """Loss-epoch of all runs, and loss-α of all that have an interpolation."""
    pictures, problems = [], []
    place = pages.place("comparison")
    readable = [(run, part.facts) for run, part in zip(runs, parts, strict=True) if part.facts is not None]
    try:
        if len(readable) > 1:
            chosen = [run for run, _ in readable]
            figure = build_training(chosen, log=log, captioned=False)
            caption = training_caption([facts for _, facts in readable], names_of_runs(chosen))
            alt = f"Loss and accuracy by epoch of {len(chosen)} runs; the table has their last values."
            pictures.append(pages.draw(figure, place / "training.png", alt, caption))
        for index, curves in enumerate(_curves_together(parts), 1):
            figure = build_curve(curves, log=log, captioned=False)
            caption = captions.curve_caption(curves, names_of(curves), log)
            alt = f"Loss and accuracy against α of {len(curves)} curves. " + " ".join(
                map(captions.curve_alt, curves)
            )
            pictures.append(pages.draw(figure, place / f"curve-{index}.png", alt, caption))
    except UNREADABLE as error:
        problems.append(Problem("comparison", reason_of(error)))
    return pictures, problems


def _solutions_together(runs: "Sequence[Run]", pages: Pages) -> tuple[list[SolutionSection], list[Problem]]:
    """Kinds of solution of several runs that are all on the page, from the folders that they lie in."""
    known = {name: run for run, name in _named(runs)}

    def runs_of(names: list[str]) -> "list[Run]":
        return [known[name] for name in names] if known.keys() >= set(names) else []

    sections, problems = [], []
    for home in dict.fromkeys(run.path.parent for run in runs):
        found, left_out = solution_sections(home, runs_of, pages, pages.place("together"))
        sections += found
        problems += left_out
    return sections, problems


def _curves_together(parts: Sequence[RunPart]) -> list[list[Curve]]:
    """Groups of curves between equal checkpoints, one of each run.

    Where no two runs have such a pair: one group with a curve of every run.
    """
    groups: dict[tuple[Any, ...], dict[str, Curve]] = {}
    best: dict[str, Curve] = {}
    for part in parts:
        for section in part.interpolations:
            curve = section.result
            if not isinstance(curve, Curve):
                continue
            ends = (curve.settings["start"]["checkpoint"], curve.settings["end"]["checkpoint"])
            for chosen in (groups.setdefault((*ends, *curve.settings["range"]), {}), best):
                chosen[part.name] = max(chosen.get(part.name, curve), curve, key=_standing)
    several = [list(group.values()) for group in groups.values() if len(group) > 1]
    return several or ([list(best.values())] if len(best) > 1 else [])


def _standing(curve: Curve) -> tuple[bool, int]:
    """What makes one curve of a run stand for it: between the checkpoints only, and many points."""
    return curve.settings["range"] == [0, 1], len(curve.table)


def _render(**context: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template("page.html.j2").render(**context)
