"""Films as sections of the page: copied as they were drawn, with the table of their frames."""

from dataclasses import dataclass
from pathlib import Path

from lossscape.analyses.film import words as film_words
from lossscape.analyses.film.result import Film, read_film
from lossscape.errors import BadInput
from lossscape.figures import certificates
from lossscape.figures.pages import Pages, Picture
from lossscape.figures.reading import UNREADABLE, Problem, reason_of
from lossscape.files import read_json
from lossscape.results import CERTIFICATE, FILMS, SETTINGS


@dataclass(frozen=True)
class FilmSection:
    """What the page shows of a run's films."""

    title: str
    pictures: list[Picture]
    failures: list[str]
    """The frames whose certificate failed."""
    hidden: set[str]
    """Landscapes that are frames of it alone, which the page does not show one by one."""
    files: list[tuple[str, str]]


def film_sections(home: Path, pages: Pages, place: Path) -> tuple[list[FilmSection], list[Problem]]:
    """Every film of a run as a section with its files below `place`, and why others are left out."""
    sections, problems = [], []
    for folder in sorted(path.parent for path in (home / "film").glob(f"*/{SETTINGS}")):
        try:
            sections.append(_section(read_film(folder), pages, place / "film" / folder.name))
        except UNREADABLE as error:
            problems.append(Problem(f"film/{folder.name}", reason_of(error)))
    return sections, problems


def _section(film: Film, pages: Pages, place: Path) -> FilmSection:
    pictures, files = [], []
    for kind in film.kinds:
        drawn = [film.folder / f"{kind}.{ending}" for ending in ("gif", "png", "mp4")]
        copies = [pages.copy(file, place / file.name) for file in drawn if file.exists()]
        shown = [address for name, address in copies if not name.endswith(".mp4")]
        if not shown:
            raise BadInput(f"{kind} is not drawn: run the command again")
        pictures.append(Picture(shown[0], film_words.alt(film, kind), _caption(film, kind), panels=2))
        files += copies
    files += [pages.copy(film.folder / name, place / name) for name in (FILMS, SETTINGS)]
    links = film.table.drop_duplicates("landscape").to_dict("records")
    return FilmSection(
        title=_title(film),
        pictures=pictures,
        failures=[
            f"{row['film']}, {row['checkpoint']}"
            for row in links
            if certificates.failures(read_json(film.folder / str(row["landscape"]) / CERTIFICATE))
        ],
        hidden={
            surface.folder.name
            for kind in film.kinds
            for surface in film.surfaces(kind)
            if "of" in surface.settings["directions"]
        },
        files=files,
    )


def _title(film: Film) -> str:
    """The centre, the frames, and what tells the film from others."""
    settings = film.settings
    extras = [" and ".join(f"{len(film.rows(kind)):,} frames of {kind}" for kind in film.kinds)]
    extras += [f"{film.split} data"] if film.split != "train" else []
    if settings.get("population"):
        extras.append(f"{max(settings['samples'].values()):,} samples")
    extras += [str(settings["precision"])] if settings["precision"] != "fp32" else []
    return ", ".join([str(settings["centre"]["checkpoint"]), *extras])


def _caption(film: Film, kind: str) -> str:
    rows = film.rows(kind)
    ends = [
        f"{film_words.when(row)}: {film_words.loss_words(film, row)}"
        for _, row in rows.iloc[[0, -1]].iterrows()
    ]
    return f"{film_words.title(film, kind)}. {'; '.join(ends)}. What it is of stands below the frames."
