"""Paired landscapes as sections of the page: of one net in its run's part, of several nets in a part of their own."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from lossscape.analyses.pair.figure import SOLIDS, build_pairs, pair_caption
from lossscape.analyses.pair.measure_words import Cells, measure_cells, table_caption
from lossscape.analyses.pair.result import ORIGINAL, Pair, Pairs, read_pairs
from lossscape.analyses.pair.words import at_centre, rows
from lossscape.directions.random import NORMALIZATIONS
from lossscape.figures import certificates, phrases
from lossscape.figures.pages import Pages, Picture
from lossscape.figures.reading import UNREADABLE, Problem, reason_of
from lossscape.files import read_json
from lossscape.results import CERTIFICATE, SETTINGS, read_settings
from lossscape.text import number


@dataclass(frozen=True)
class PairSection:
    """What the page shows of one study of paired landscapes."""

    title: str
    nets: list[str]
    pictures: list[Picture]
    """Of all nets."""
    singles: list[Picture]
    """Of each of several nets."""
    cells: Cells
    caption: str
    """Of the table of measures."""
    failures: list[str]
    """The surfaces whose certificate failed."""
    surfaces: list[Path]
    """Resolved folders of all surfaces, which the page does not show once more."""
    files: list[tuple[str, str]]


def pair_sections(
    home: Path, pages: Pages, place: Path, log: bool, among: Collection[Path] | None = None
) -> tuple[list[PairSection], list[Problem]]:
    """Every study below a folder as a section with its files below `place`, and why others are left out.

    among: the resolved folders of the runs on the page; a study with a net of another run is not shown. None: all are.
    """
    sections, problems = [], []
    for folder in sorted(path.parent for path in (home / "pairs").glob(f"*/{SETTINGS}")):
        try:
            named = {net["run"] for net in read_settings(folder)["nets"]}
            if among is not None and not named <= {path.name for path in among}:
                continue
            pairs = read_pairs(folder)
            if among is None or pairs.runs <= set(among):
                sections.append(_section(pairs, pages, place / "pairs" / folder.name, log))
        except UNREADABLE as error:
            problems.append(Problem(f"pairs/{folder.name}", reason_of(error)))
    return sections, problems


def pairs_together(runs: Sequence[Path], pages: Pages, log: bool) -> tuple[list[PairSection], list[Problem]]:
    """Studies of several nets of runs that are all on the page, from the folders that the runs lie in."""
    sections, problems = [], []
    among = {path.resolve() for path in runs}
    for home in dict.fromkeys(path.absolute().parent for path in runs):
        found, left_out = pair_sections(home, pages, pages.place("together"), log, among)
        sections += found
        problems += left_out
    return sections, problems


def _section(pairs: Pairs, pages: Pages, place: Path, log: bool) -> PairSection:
    shown = [pairs.pair(net) for net in pairs.nets]
    cells = measure_cells(pairs)
    caption = table_caption(pairs, cells)
    pictures: list[Picture] = []
    singles: list[Picture] = []
    for name, nets, figure in build_pairs(pairs, log=log, captioned=False):
        told = "The same losses and differences as heights."
        told = told if name == SOLIDS else pair_caption(pairs, nets, log=log)
        picture = pages.draw(figure, place / name, _alt([p for p in shown if p.net in nets], pairs), told)
        (pictures if nets == pairs.nets else singles).append(picture)
    files = [
        pages.copy(pairs.folder / name, place / name) for name in ("measures.csv", "summary.csv", SETTINGS)
    ]
    return PairSection(
        title=_title(pairs, shown),
        nets=pairs.nets,
        pictures=pictures,
        singles=singles,
        cells=cells,
        caption=caption,
        failures=_failures(pairs),
        surfaces=[(pairs.folder / surface).resolve() for surface in pairs.measures["surface"]],
        files=files,
    )


def _title(pairs: Pairs, shown: Sequence[Pair]) -> str:
    """The nets, and what tells the study from others of the same nets."""
    settings, made = shown[0].original.settings, pairs.settings["directions"]
    nets = pairs.nets if len(pairs.nets) > 1 else [str(pairs.settings["nets"][0]["checkpoint"])]
    extras = [f"{pairs.targets} targets", phrases.point_words(shown[0].original)]
    for axis in ("x", "y"):
        low, high = pairs.settings[f"{axis}_range"]
        extras += [] if [low, high] == [-1, 1] else [f"{axis} from {number(low)} to {number(high)}"]
    if made["normalize"] != "filter":
        how = NORMALIZATIONS[made["normalize"]][0]
        extras.append(f"directions {how}")
    extras.append(f"{pairs.planes} plane{'s'[: pairs.planes != 1]}")
    if settings.get("population"):
        extras.append(f"{max(settings['samples'].values()):,} samples")
    extras += [str(settings["precision"])] if settings["precision"] != "fp32" else []
    return ", ".join([" and ".join(nets), *extras])


def _alt(shown: Sequence[Pair], pairs: Pairs) -> str:
    """What a reader who cannot see a figure should know."""
    nets = " ".join(f"{pair.net}: {at_centre(pair)}" for pair in shown)
    return (
        f"Losses against labels, against {pairs.targets} targets, and their difference over a plane. {nets}"
    )


def _failures(pairs: Pairs) -> list[str]:
    """The surfaces whose certificate failed, in words."""
    held = dict(zip((ORIGINAL, pairs.targets), rows(pairs.targets), strict=False))
    return [
        f"{row['net']} against {held[row['targets']]}, seed {row['seed']:.0f}"
        for row in pairs.measures.to_dict("records")
        if certificates.failures(read_json(pairs.folder / row["surface"] / CERTIFICATE))
    ]
