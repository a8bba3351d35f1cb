"""The results of a run as sections of the page: read, checked, drawn, with copies of their files."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lossscape.analyses.landscape.figure import (
    build_contour,
    build_surface,
    contour_caption,
    surface_notes,
)
from lossscape.analyses.landscape.path_figure import build_path, path_caption
from lossscape.figures import captions, certificates, words
from lossscape.figures.curves import build_curve
from lossscape.figures.pages import Pages, Picture
from lossscape.figures.phrases import point_words
from lossscape.figures.reading import UNREADABLE, Problem, read_result, reason_of
from lossscape.results import (
    CERTIFICATE,
    ENGINE,
    MEASURES,
    PATH_FACTS,
    POINTS,
    RANGE,
    SETTINGS,
    Curve,
    Result,
    Surface,
)
from lossscape.text import number

if TYPE_CHECKING:
    from lossscape.runs import Run


@dataclass(frozen=True)
class Section:
    """What the page shows of one result."""

    title: str
    pictures: list[Picture]
    files: list[tuple[str, str]]
    """Name and relative address of each copied file."""
    result: Result
    anchor: str
    verdict: str
    failures: list[str]
    checks: list[certificates.CheckRow]
    facts: list[list[str]]
    engine: list[list[str]]
    measures: list[words.Row] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)


def sections_of(
    run: "Run",
    kind: Literal["interpolate", "landscape"],
    pages: Pages,
    place: Path,
    anchor: str,
    log: bool,
    hidden: Collection[str] = (),
) -> tuple[list[Section], list[Problem]]:
    """Every finished result of a run as a section with its files below `place`, and why others are left out.

    anchor: the run's on the page, which those of its sections begin with; hidden: names of folders that are shown
    elsewhere.
    """
    sections: list[Section] = []
    problems = []
    for folder in sorted(path.parent for path in run.results(kind).glob(f"*/{SETTINGS}")):
        if folder.name in hidden:
            continue
        try:
            result = read_result(folder)
            own = f"{anchor}-{kind}-{len(sections) + 1}"
            sections.append(_section(result, pages, place / kind / folder.name, own, log))
        except UNREADABLE as error:
            problems.append(Problem(f"{kind}/{folder.name}", reason_of(error)))
    return sections, problems


def _section(result: Curve | Surface, pages: Pages, place: Path, anchor: str, log: bool) -> Section:
    certificate = result.certificate
    if isinstance(result, Surface):
        pictures, curve = _surface_pictures(result, pages, place, log), None
    else:
        pictures, curve = _curve_pictures(result, pages, place, log), result
    return Section(
        title=_title(result),
        pictures=pictures,
        files=_copies(result, pages, place),
        result=result,
        anchor=anchor,
        verdict=certificates.verdict(certificate),
        failures=certificates.failures(certificate),
        checks=certificates.check_rows(certificate),
        facts=certificates.fact_rows(certificate),
        engine=certificates.engine_rows(result.engine),
        measures=words.measure_rows(curve) if curve else [],
        splits=words.measured_splits(curve) if curve else [],
    )


def _title(result: Curve | Surface) -> str:
    """What is drawn, and what tells it from others of the same ends or centre."""
    settings = result.settings
    extras = []
    if "start" in settings:
        ends = [settings[end] for end in ("start", "end")]
        same = ends[0]["run"] == ends[1]["run"]
        names = [str(end["checkpoint"]) if same else f"{end['run']}@{end['checkpoint']}" for end in ends]
        title = " to ".join(names)
        low, high = settings["range"]
        extras += [] if [low, high] == [0, 1] else [f"α from {number(low)} to {number(high)}"]
    else:
        what = "plane" if isinstance(result, Surface) else "line"
        made = settings["directions"]
        title = f"{made['kind']} {what} around {settings['centre']['checkpoint']}"
        extras += [f"directions of {made['of']['run']}@{made['of']['checkpoint']}"] if "of" in made else []
        extras += [f"seed {made['seed']}"] if "seed" in made else []
        extras.append(point_words(result).partition(" where ")[0])
    if settings.get("population"):
        extras.append(f"{max(settings['samples'].values()):,} samples")
    extras += [str(settings["precision"])] if settings["precision"] != "fp32" else []
    return ", ".join([title, *extras])


def _curve_pictures(curve: Curve, pages: Pages, place: Path, log: bool) -> list[Picture]:
    figure = build_curve([curve], log=log, captioned=False)
    name = "curve.png" if curve.coordinate == "alpha" else "line.png"
    return [
        pages.draw(
            figure, place / name, captions.curve_alt(curve), captions.curve_caption([curve], [""], log)
        )
    ]


def _surface_pictures(surface: Surface, pages: Pages, place: Path, log: bool) -> list[Picture]:
    pictures = []
    for split in surface.splits:
        suffix = "" if split == surface.splits[0] else f"-{split}"
        contour = build_contour(surface, split=split, log=log, captioned=False)
        alt = f"Contours of the {split} loss over two directions. {captions.extremes(surface, split)}"
        pictures.append(
            pages.draw(contour, place / f"contour{suffix}.png", alt, contour_caption(surface, split, log))
        )
        solid = build_surface(surface, split=split, log=log, captioned=False)
        alt = f"The {split} loss over two directions as a surface in three dimensions."
        caption = " ".join([f"The same {split} losses as heights.", *surface_notes(surface, split, log)])
        pictures.append(pages.draw(solid, place / f"surface{suffix}.png", alt, caption))
        if surface.trails:
            lines = build_path(surface, split=split, captioned=False)
            alt = f"True {split} losses and distances off the plane of the paths, against the epoch."
            caption = path_caption(surface, split)
            pictures.append(pages.draw(lines, place / f"path{suffix}.png", alt, caption))
    return pictures


def _copies(result: Result, pages: Pages, place: Path) -> list[tuple[str, str]]:
    tables = [path.name for path in sorted(result.folder.glob("*.csv")) if path.name != POINTS]
    names = [*tables, PATH_FACTS, SETTINGS, RANGE, ENGINE, CERTIFICATE, MEASURES]
    return [
        pages.copy(result.folder / name, place / name) for name in names if (result.folder / name).exists()
    ]
