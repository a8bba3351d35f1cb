"""A study's page, made from what the study wrote: what was published, whether it holds, and what says so."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from lossscape import yamlfile
from lossscape.analyses.curvature.result import Curvature
from lossscape.analyses.curvature.result import read as read_curvature
from lossscape.analyses.interpolate.result import read
from lossscape.analyses.saddles.result import read as read_saddles
from lossscape.errors import BadInput
from lossscape.figures.charts.lines import curve_chart
from lossscape.figures.facts import facts_of
from lossscape.figures.section import Chart, Page, Section, Sentences, Table
from lossscape.figures.training import shown_words, training_chart
from lossscape.report.page import write_report
from lossscape.results import read_csv
from lossscape.results.folder import MEASURES_CSV, SETTINGS
from lossscape.results.resolution import ROUGH, ROUGH_NOTE, UNRESOLVED
from lossscape.runfiles import RunFiles
from lossscape.studies.chart import errors_data, points_data, stability_data
from lossscape.studies.errors import ERRORS_CAPTION, build_errors
from lossscape.studies.stability import POINTS_CAPTION, build_points, build_stability, stability_caption
from lossscape.studies.statements import STATEMENTS, STUDY, spread
from lossscape.text import counted, number

STARTS = {"first": "the initial values", "1": "epoch 1"}
LINE_MEASURES = {
    "loss_at_0": "loss at α = 0", "loss_at_1": "loss at α = 1",
    "bump_height": "greatest rise", "barrier_chord": "barrier against the chord",
    "barrier_mean": "barrier against the mean of the ends", "convex_fraction": "convex fraction",
}  # fmt: skip
DESCENT_MEASURES = {
    "ratio_first": "λmax/(2/η) at first", "ratio_max": "at most", "epoch_reached": "epoch it is reached",
    "late_mean": "late mean", "late_share": "late share in the band", "late_loss_last": "last training loss",
}  # fmt: skip
TEXT = (
    "net", "way", "where", "method", "activation", "scheme", "state", "start", "dropout", "folder", "monotone", "run",
    "trains", UNRESOLVED,
)  # fmt: skip


def write_study_report(home: Path) -> Path:
    """Write home/report/index.html of a study: its statements and figures, then the runs; returns the page's path.

    Everything is read from home/study and the runs. Raises BadInput where the study is not finished.
    """
    settings = yamlfile.read(home / STUDY / SETTINGS).data
    measures = read_csv(home / STUDY / MEASURES_CSV, TEXT)
    if not isinstance(settings, dict) or settings.get("study") not in FRONTS:
        raise BadInput(f"{home / STUDY / SETTINGS}: not the settings of a study")
    runs, front = FRONTS[settings["study"]]
    return write_report(
        runs(home, measures),
        home / "report",
        front=lambda page: replace(front(home, settings, measures, page), note=_note(str(settings.get("scale")))),
        brief=settings["study"] in BRIEF,
        of=[home],
    )


NOTES = {
    "smoke": "it shows in seconds that all works, with toy data and nets, and its verdicts mean nothing.",
    "full": "",
}
"""What a scale is good for."""
SMALL = (
    "fewer data, epochs or seeds than were published, as the study's file says. Its verdicts mean little: they are "
    "those of a small trial, and another seed or a longer training may turn them."
)


def _note(scale: str) -> str:
    """What a reader should know of the verdicts before reading them; nothing at the scale of the publication."""
    return f"Scale {scale}: {words}" if (words := NOTES.get(scale, SMALL)) else ""


def _runs_of_lines(home: Path, measures: pd.DataFrame) -> list[RunFiles]:
    names = dict.fromkeys(Path(folder).parts[0] for folder in measures["folder"])
    return [RunFiles(home / name) for name in names]


def _interpolation(home: Path, settings: dict[str, Any], measures: pd.DataFrame, page: Page) -> Section:
    first = measures[measures["seed"] == measures["seed"].iloc[0]]
    charts = [_training(_runs_of_lines(home, first), page)]
    for (dropout, start), rows in first.groupby(["dropout", "start"], sort=False):
        curves = [read(home / folder) for folder in rows["folder"]]
        alt = f"Loss and accuracy against α from {STARTS[str(start)]}, dropout {dropout}."
        charts.append(curve_chart(curves, page, f"lines-from-{start}-dropout-{dropout}.png", alt))
    rows = [
        [str(net), STARTS[str(start)], str(dropout), *(_cell(own, key) for key in LINE_MEASURES)]
        for (net, start, dropout), own in measures.groupby(["net", "start", "dropout"], sort=False)
    ]
    seeds = measures["seed"].nunique()
    caption = (
        f"Measures of the training loss along the lines, mean ± std over {counted(seeds, 'seed')}, in units of the "
        "loss. The figures show the first seed."
    )
    if any(ROUGH in cell for row in rows for cell in row[3:]):
        caption += f" {ROUGH_NOTE}"
    table = Table(rows, ["net", "from", "dropout", *LINE_MEASURES.values()], caption, words=(1, 2))
    return Section(
        title=f"Study of linear interpolation, scale {settings['scale']}",
        parts=[_statements(home), *charts, table],
        files=_files(home, page),
    )


def _cell(lines: pd.DataFrame, key: str) -> str:
    """A measure over several lines, marked where the points of one do not resolve it."""
    words = spread(lines[key].tolist())
    rough = any(key in names.split() for names in lines.get(UNRESOLVED, []))
    return f"{words} {ROUGH}" if rough else words


def _runs_tried(home: Path, measures: pd.DataFrame) -> list[RunFiles]:
    return [RunFiles(home / name) for name in measures["run"]]


def _minimum(home: Path, settings: dict[str, Any], measures: pd.DataFrame, page: Page) -> Section:
    rows = [
        [row["net"], f"{row['learning_rate']:g}", row["run"], "yes" if row["trains"] == "True" else "no",
         f"{row['epochs']:.0f}"]
        for row in measures.to_dict("records")
    ]  # fmt: skip
    caption = (
        "Learning rates in the order in which they were tried; the surfaces are those of the last of each net. "
        "The surfaces of all nets, their measures and the epochs to each kind of solution follow below."
    )
    of_each = [name for name in ("net", "seed") if name in measures]  # a study of one seed does not name it
    chosen = _runs_tried(home, measures.drop_duplicates(of_each, keep="last"))
    table = Table(rows, ["net", "learning rate", "run", "trains", "epochs"], caption, words=(2, 3))
    return Section(
        title=f"Study of landscapes around true minima, scale {settings['scale']}",
        parts=[_statements(home), _training(chosen, page), table],
        files=_files(home, page),
    )


def _curvature(home: Path, settings: dict[str, Any], measures: pd.DataFrame, page: Page) -> Section:
    groups: dict[str, list[tuple[str, Curvature]]] = {}
    rows = []
    measures, points = measures[measures["limit"].notna()], measures[measures["limit"].isna()]
    for (net, rate, limit), own in measures.groupby(["net", "learning_rate", "limit"], sort=False):
        title = f"{net}, η = {rate:g}, 2/η = {limit:.3g}"
        groups[title] = [
            (f"seed {each['seed']:g}", read_curvature(home / each["folder"])) for each in own.to_dict("records")
        ]
        rows.append([title, *(spread(own[key].tolist()) for key in DESCENT_MEASURES)])
    band, late = settings["band"], settings["late"]
    alt = "The largest eigenvalue over 2/η by epoch, a line for each seed; the statements say where it goes."
    figure = build_stability(groups, band, late, captioned=False)
    still = page.draw(figure, "stability.png", alt, stability_caption(band, late))
    seeds = measures["seed"].nunique()
    caption = f"Mean ± std over {counted(seeds, 'seed')}; late: the last {number(100 * late)} % of the epochs."
    return Section(
        title=f"Study of curvature, scale {settings['scale']}",
        parts=[
            _statements(home),
            Chart("stability", "lines", stability_data(groups, band, late), still),
            Table(rows, ["net and rate", *DESCENT_MEASURES.values()], caption),
            *(_points(home, points, page) if len(points) else []),
            _training(_runs_of_lines(home, measures[measures["seed"] == measures["seed"].iloc[0]]), page),
        ],
        files=_files(home, page),
    )


def _points(home: Path, measures: pd.DataFrame, page: Page) -> list[Chart | Table]:
    """Critical points: index against loss, and how they go together, a seed a row."""
    records = measures.to_dict("records")
    found = [(f"seed {each['seed']:g}", read_saddles(home / each["folder"])) for each in records]
    alt = (
        "Index fraction of critical points against their loss, a colour for each seed; the table has the correlations."
    )
    rows = [
        [
            name, *(f"{each[key]:,.0f}" for key in ("starts", "critical", "distinct")),
            f"{each['loss_least']:.3g} to {each['loss_most']:.3g}",
            f"{each['index_least']:.3g} to {each['index_most']:.3g}", f"{each['rho']:.3g}", f"{each['p_value']:.2g}",
        ]
        for (name, _), each in zip(found, records, strict=True)
    ]  # fmt: skip
    head = ["run", "starts", "critical points", "distinct", "loss", "index fraction", "Spearman's ρ", "p"]
    still = page.draw(build_points(found, captioned=False), "critical-points.png", alt, POINTS_CAPTION)
    return [
        Chart("critical-points", "lines", points_data(found), still),
        Table(rows, head, "Of the distinct points, which no symmetry of the net makes of one another."),
    ]


def _runs_of_first_seed(home: Path, measures: pd.DataFrame) -> list[RunFiles]:
    return _runs_tried(home, measures[measures["seed"] == measures["seed"].iloc[0]])


def _distill(home: Path, settings: dict[str, Any], measures: pd.DataFrame, page: Page) -> Section:
    rows = [
        [
            str(net), str(way), f"{len(own)}", spread((100 * own["test_errors"]).tolist()),
            spread(own["test_loss"].tolist()),
        ]
        for (net, way), own in measures.groupby(["net", "way"], sort=False)
    ]  # fmt: skip
    alt = "Test errors of the large net, and of each small net alone and distilled; the table has the means."
    still = page.draw(build_errors(measures, captioned=False), "errors.png", alt, ERRORS_CAPTION)
    weight = number(settings["weight"])
    caption = f"Mean ± std over the seeds; distilled nets with weight {weight} of the large net's outputs."
    return Section(
        title=f"Study of distillation, scale {settings['scale']}",
        parts=[
            _statements(home),
            Chart("errors", "lines", errors_data(measures), still),
            Table(rows, ["net", "learned", "runs", "test errors in %", "test loss"], caption, words=(1,)),
            _training(_runs_of_first_seed(home, measures), page),
        ],
        files=_files(home, page),
    )


def _optimizers(home: Path, settings: dict[str, Any], measures: pd.DataFrame, page: Page) -> Section:
    judged = measures[measures["net"] != settings["compared"]]
    rows = [
        [str(net), f"{len(own)}", spread((100 * own["test_accuracy"]).tolist(), ".2f")]
        for net, own in judged.groupby("net", sort=False)
    ]
    failed = measures.loc[measures["state"] != "finished", "run"].tolist()
    said = f"{len(measures) - len(failed)} of {counted(len(measures), 'run')} finished"
    said += f"; not: {', '.join(failed)}." if failed else "."
    return Section(
        title=f"Study of optimizers, scale {settings['scale']}",
        parts=[
            _statements(home),
            Table(rows, ["net", "runs", "test accuracy (%)"], "Mean ± std over the seeds, after the last epoch."),
            Sentences([said]),
        ],
        files=_files(home, page),
    )


def _initial(home: Path, settings: dict[str, Any], measures: pd.DataFrame, page: Page) -> Section:
    rows = [
        [f"{net}, {activation}, {scheme}", f"{len(own)}", f"{(own['state'] != 'finished').sum()}",
         spread((100 * own["test_accuracy"]).tolist()),
         *(f"{own[name].sum():,.0f}" for name in ("equal_start", "equal_end"))]
        for (net, activation, scheme), own in measures.groupby(["net", "activation", "scheme"], sort=False)
    ]  # fmt: skip
    head = [
        "net, activation, scheme",
        "runs",
        "not finished",
        "test accuracy (%)",
        "hidden units equal at first",
        "after",
    ]
    caption = "Mean ± std over the trainings that finished; units of all of them together. Histograms follow below."
    return Section(
        title=f"Study of initial values, scale {settings['scale']}",
        parts=[_statements(home), Table(rows, head, caption)],
        files=_files(home, page),
    )


def _race(home: Path, settings: dict[str, Any], measures: pd.DataFrame, page: Page) -> Section:
    rows = []
    for (where, noise, method), own in measures.groupby(["where", "noise", "method"], sort=False):
        counted, left = int(own["saddles"].sum()), int(own["left"].sum())
        steps = number(float(own["steps"].median())) if left else "–"
        rows.append([f"{where}, noise {noise:g}, {method}", f"{counted:,}", f"{left:,}", steps])
    caption = f"Saddles that count, those left in {settings['steps']:,} steps, and the median of their steps."
    return Section(
        title=f"Study of methods at saddles, scale {settings['scale']}",
        parts=[_statements(home), Table(rows, ["where, noise, method", "saddles", "left", "steps"], caption)],
        files=_files(home, page),
    )


def _runs_raced(home: Path, measures: pd.DataFrame) -> list[RunFiles]:
    """Those that were raced from, and those in which no saddle was found."""
    there = sorted(file.parent.name for file in home.glob("*/config.yaml"))
    return [RunFiles(home / name) for name in dict.fromkeys([*measures["run"], *there]) if name]


FRONTS = {
    "interpolation": (_runs_of_lines, _interpolation),
    "minimum": (_runs_tried, _minimum),
    "curvature": (_runs_of_lines, _curvature),
    "distill": (_runs_of_first_seed, _distill),
    "optimizers": (_runs_tried, _optimizers),
    "initial": (_runs_tried, _initial),
    "race": (_runs_raced, _race),
}
"""By kind of study: its runs, and what stands before them on the page."""
BRIEF = ("optimizers", "initial")
"""Studies of so many runs that each has a line only."""


def _statements(home: Path) -> Table:
    table = read_csv(home / STUDY / STATEMENTS, ("source", "claim", "verdict", "evidence"))
    rows = table[["claim", "source", "verdict", "evidence"]].to_numpy().tolist()
    return Table(rows, ["statement", "by", "here", "because"], words=(1, 2, 3), bold=(2,))


def _training(runs: Sequence[RunFiles], page: Page) -> Chart:
    shown = shown_words([facts_of(run) for run in runs])
    return training_chart(runs, page, f"{shown} by epoch of {', '.join(run.name for run in runs)}.")


def _files(home: Path, page: Page) -> list[tuple[str, str]]:
    return [page.copy(home / STUDY / name) for name in (STATEMENTS, MEASURES_CSV, SETTINGS)]
