"""The front of a study's page: what was published, whether it holds, and the figures and measures that say so."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lossscape.figures import captions
from lossscape.figures.curves import build_curve, names_of
from lossscape.figures.facts import facts_of
from lossscape.figures.facts import names_of as names_of_runs
from lossscape.figures.pages import Pages, Picture
from lossscape.figures.training import build_training, training_caption
from lossscape.report.page import write_report
from lossscape.results import SETTINGS
from lossscape.runs import Run
from lossscape.studies.interpolation import InterpolationResult, Line
from lossscape.studies.minimum import MinimumResult
from lossscape.studies.statements import MEASURES, STATEMENTS, STUDY, Statement, spread

Cells = list[list[str]]
STARTS = {"first": "the initial values", "1": "epoch 1"}
LINE_MEASURES = {
    "bump_height": "greatest rise", "barrier_chord": "barrier against the chord",
    "barrier_mean": "barrier against the mean of the ends", "convex_fraction": "convex fraction",
}  # fmt: skip


@dataclass(frozen=True)
class Front:
    """What stands before the runs on a study's page."""

    title: str
    statements: list[Statement]
    pictures: list[Picture]
    head: list[str]
    rows: Cells
    caption: str
    """Of the table."""
    files: list[tuple[str, str]] = field(default_factory=list)


def write_study_report(found: InterpolationResult | MinimumResult, scale: str) -> Path:
    """Write home/report/index.html of a study: its statements and figures, then the runs; returns the page's path."""

    def front(pages: Pages) -> Front:
        if isinstance(found, InterpolationResult):
            return _interpolation(found, scale, pages)
        return _minimum(found, scale, pages)

    runs = found.runs if isinstance(found, InterpolationResult) else [each.run for each in found.tried]
    return write_report(runs, found.home / "report", front=front)


def _interpolation(found: InterpolationResult, scale: str, pages: Pages) -> Front:
    place = pages.place(STUDY)
    seed = found.lines[0].seed
    runs = [run for run in found.runs if run.name.endswith(f"-seed-{seed}")]
    pictures = [_training(runs, pages, place)]
    for kept, start in dict.fromkeys((line.kept, line.start) for line in found.lines):
        curves = [
            line.curve for line in found.lines if (line.seed, line.kept, line.start) == (seed, kept, start)
        ]
        how = "on" if kept else "off"
        alt = f"Loss and accuracy against α from {STARTS[start]}, dropout {how}."
        caption = captions.curve_caption(curves, names_of(curves), False)
        figure = build_curve(curves, captioned=False)
        pictures.append(pages.draw(figure, place / f"lines-from-{start}-dropout-{how}.png", alt, caption))
    seeds = len({line.seed for line in found.lines})
    groups = dict.fromkeys((line.net, line.start, line.kept) for line in found.lines)
    rows = [
        _line_row([line for line in found.lines if (line.net, line.start, line.kept) == group])
        for group in groups
    ]
    return Front(
        title=f"Study of linear interpolation, scale {scale}",
        statements=found.statements,
        pictures=pictures,
        head=["net", "from", "dropout", "loss at α = 0", "loss at α = 1", *LINE_MEASURES.values()],
        rows=rows,
        caption=f"Measures of the training loss along the lines, mean ± std over {seeds} seed{'s'[: seeds != 1]}, in "
        "units of the loss. The figures show the first seed.",
        files=_files(found.home, pages, place),
    )


def _line_row(lines: Sequence[Line]) -> list[str]:
    first = lines[0]
    return [
        first.net, STARTS[first.start], "on" if first.kept else "off",
        spread([float(line.loss[0]) for line in lines]), spread([float(line.loss[-1]) for line in lines]),
        *(spread([float(line.curve.measures["train"][key]) for line in lines]) for key in LINE_MEASURES),
    ]  # fmt: skip


def _minimum(found: MinimumResult, scale: str, pages: Pages) -> Front:
    place = pages.place(STUDY)
    rows = [
        [each.net, f"{each.rate:g}", each.run.name, "yes" if each.trains else "no", str(each.epochs)]
        for each in found.tried
    ]
    return Front(
        title=f"Study of landscapes around true minima, scale {scale}",
        statements=found.statements,
        pictures=[_training(list(found.chosen.values()), pages, place)],
        head=["net", "learning rate", "run", "trains", "epochs"],
        rows=rows,
        caption="Learning rates in the order in which they were tried; the surfaces are those of the last of each net. "
        "The surfaces of all nets, their measures and the epochs to each kind of solution follow below.",
        files=_files(found.home, pages, place),
    )


def _training(runs: Sequence[Run], pages: Pages, place: Path) -> Picture:
    facts = [facts_of(run) for run in runs]
    caption = training_caption(facts, names_of_runs(runs))
    alt = f"Loss and accuracy by epoch of {', '.join(run.name for run in runs)}."
    return pages.draw(build_training(runs, captioned=False), place / "training.png", alt, caption)


def _files(home: Path, pages: Pages, place: Path) -> list[tuple[str, str]]:
    return [pages.copy(home / STUDY / name, place / name) for name in (STATEMENTS, MEASURES, SETTINGS)]
