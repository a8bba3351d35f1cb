"""The figures that move: their data are the results', rounded; gaps, thinning, scales, colours and words."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend import Legend

import lossscape.report
from lossscape.analyses import ANALYSES
from lossscape.analyses.compare.chart import curves_data as groups_data
from lossscape.analyses.compare.chart import rates_data
from lossscape.analyses.compare.result import Comparison
from lossscape.analyses.convexity.chart import map_data
from lossscape.analyses.convexity.result import COLUMNS, Convexity
from lossscape.analyses.curvature.chart import density_data, spectrum_data
from lossscape.analyses.curvature.result import Curvature
from lossscape.analyses.film.chart import frames_data
from lossscape.analyses.film.figure import scale_of
from lossscape.analyses.film.result import Film
from lossscape.analyses.fit.chart import fit_data
from lossscape.analyses.fit.result import Fit
from lossscape.analyses.gradients.chart import norms_data
from lossscape.analyses.gradients.result import Gradients
from lossscape.analyses.initial_values.chart import starts_data, trainings_data
from lossscape.analyses.initial_values.result import InitialValues
from lossscape.analyses.landscape.chart import path_data, planes_of
from lossscape.analyses.pair.chart import pairs_data
from lossscape.analyses.race.chart import losses_data, paths_data
from lossscape.analyses.race.result import Race
from lossscape.analyses.race.result import read as read_race
from lossscape.analyses.saddles.chart import saddles_data
from lossscape.analyses.saddles.result import Saddles
from lossscape.analyses.sharpness.chart import sharpness_data
from lossscape.analyses.sharpness.result import SUMMARY_COLUMNS, Sharpness
from lossscape.analyses.solutions.chart import solutions_data
from lossscape.analyses.solutions.result import Solutions
from lossscape.figures.charts import plain, scales
from lossscape.figures.charts.lines import curve_chart, curves_data
from lossscape.figures.charts.surfaces import layers_of, panel_data, surface_data, surfaces_data
from lossscape.figures.contours import build_contour, build_surface
from lossscape.figures.curves import build_curve
from lossscape.figures.paths import build_path
from lossscape.figures.section import Chart, Page, chart_text
from lossscape.figures.style import COLOURS, RUNS, SYMBOLS, Looks, line_style
from lossscape.figures.training import build_training, training_chart
from lossscape.results import Curve, Surface, read_curve, read_surface
from lossscape.results.tables import read_csv
from lossscape.runs import Run
from lossscape.studies.chart import errors_data, points_data, stability_data
from tests.computing import race
from tests.report_runs import BOWL, STEEP, write_curve, write_landscape, write_pairs, write_paths, write_run


def flat(data: dict[str, Any], key: str = "train_loss", panel: int = 0) -> np.ndarray:
    """The values of a panel [Y, X], NaN where there is none."""
    found = data["panels"][panel]
    values = np.array(found["values"][key]["z"], dtype=float)
    return values.reshape(len(found["y"]), len(found["x"]))


def surface_of(folder: Path, *rows: Any, **asked: Any) -> Surface:
    return read_surface(write_landscape(write_run(folder), *rows, **asked))


def test_numbers_are_rounded_and_gaps_are_null() -> None:
    given = [0.123456789, -2e-9 / 3, 0.0, np.nan, np.inf, 2e30, 123456789.0]
    assert plain.rounded(given, 4) == [0.1235, -6.667e-10, 0.0, None, None, None, 1.235e8]
    assert json.dumps(plain.rounded([0.1 + 0.2])) == "[0.3]"


@pytest.mark.parametrize(("count", "most"), [(5, 5), (101, 201), (401, 201), (400, 201), (51, 4)])
def test_thinning_keeps_the_ends_and_the_centre(count: int, most: int) -> None:
    values = np.linspace(-1, 1, count) if count % 2 else np.append(np.linspace(-1, 0.5, count - 1), 1.0)
    values[np.abs(values).argmin()] = 0.0
    kept = values[plain.chosen(values, most)]
    assert len(kept) <= most
    assert len(kept) == min(count, most)
    assert {-1.0, 0.0, 1.0} <= {*kept}
    assert (np.diff(kept) > 0).all()


def test_a_scale_holds_its_levels_and_both_kinds_of_heights() -> None:
    losses = np.geomspace(1e-3, 10, 50)
    found = scales.of_losses(losses)
    assert found["first"] == "log"
    log, linear = found["log"], found["linear"]
    assert log["texts"][0] == "0.001"
    np.testing.assert_allclose(log["ticks"], np.log10([float(text) for text in log["texts"]]), atol=1e-8)
    assert linear["texts"] == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]
    assert linear["ticks"][0] <= losses.min()
    assert linear["ticks"][-1] >= losses.max()
    for scale in (log, linear):
        assert len(scale["colours"]) == len(scale["ticks"]) - 1 == len({*scale["colours"]})


def test_a_scale_without_positive_losses_is_linear_alone() -> None:
    assert set(scales.of_losses(np.array([-1.0, 0.5]))) == {"linear", "first"}
    lost = scales.of_losses(np.array([np.nan, 1.0, 2.0, np.inf]))
    assert lost["linear"]["notes"] == ["Left open: 2 of 4 points, whose loss is infinite, undefined or above 1e30."]


def test_differences_are_white_about_0() -> None:
    found = scales.of_differences(np.array([-0.3, 0.1, 0.2]))
    scale = found[found["first"]]
    assert scale["ticks"] == [-each for each in reversed(scale["ticks"])]
    middle = len(scale["colours"]) // 2
    red, green, blue = (int(scale["colours"][middle][at : at + 2], 16) for at in (1, 3, 5))
    assert min(red, green, blue) > 200


def test_a_surface_is_that_of_the_csv(tmp_path: Path) -> None:
    surface = surface_of(tmp_path, lambda x, y: np.exp(3 * x) + y, splits=("train", "test"), error=0.01)
    data = surface_data(surface)
    assert [layer["key"] for layer in data["layers"]] == ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    np.testing.assert_allclose(flat(data), surface.values("train_loss"), rtol=5e-6)
    np.testing.assert_allclose(flat(data, "test_accuracy"), 100 * surface.values("test_accuracy"), rtol=5e-4)
    errors = np.array(data["panels"][0]["values"]["train_loss"]["stderr"])
    np.testing.assert_allclose(errors, surface.values("train_loss_stderr").ravel(), rtol=5e-3)
    assert data["panels"][0]["x"] == pytest.approx(surface.x)
    assert data["panels"][0]["marks"] == [{"x": 0.0, "y": 0.0, "text": "", "symbol": "star", "colour": "black"}]
    assert data["xlabel"] == "x (filter-normalised random direction 1)"


def test_gaps_of_a_surface_are_null_and_said(tmp_path: Path) -> None:
    data = surface_data(surface_of(tmp_path, lambda x, y: np.where(x > 0.9, np.nan, 1 + x * x + y)))
    assert np.isnan(flat(data)).sum() == 7
    assert "7 of 63 points" in data["scales"]["train_loss"]["linear"]["notes"][0]


def test_a_fine_surface_is_thinned_and_says_so(tmp_path: Path) -> None:
    surface = surface_of(tmp_path, grid=(9, 7))
    panel = panel_data(surface, "", layers_of(surface), most=5)
    assert panel["x"] == [-1.0, -0.5, 0.0, 0.5, 1.0]
    kept = surface.values("train_loss")[np.ix_(plain.chosen(surface.y, 5), plain.chosen(surface.x, 5))]
    np.testing.assert_allclose(panel["values"]["train_loss"]["z"], kept.ravel(), rtol=5e-6)
    assert panel["notes"] == ["Drawn from 5 × 5 of the 9 × 7 points; the CSV has all."]


def test_a_refined_surface_is_interpolated_and_keeps_its_points(tmp_path: Path) -> None:
    surface = surface_of(tmp_path, lambda x, y: 1 + 2 * x + y, grid=(3, 3), added=[(0.25, 0.1), (0.5, -0.3)])
    data = surface_data(surface)
    panel = data["panels"][0]
    x, y = np.meshgrid(panel["x"], panel["y"])
    np.testing.assert_allclose(flat(data), 1 + 2 * x + y, atol=1e-5)  # of a plane the interpolation is exact
    assert list(zip(panel["points"]["x"], panel["points"]["y"], strict=True))[-1] == (1.0, 1.0)
    assert len(panel["points"]["x"]) == 11
    np.testing.assert_allclose(panel["points"]["values"]["train_loss"]["z"], surface.table["train_loss"], rtol=5e-6)


def test_predicted_points_say_how_far_they_may_be_off(tmp_path: Path) -> None:
    surface = surface_of(tmp_path, grid=(3, 3))
    far = np.linspace(0, 0.08, 9)
    table = surface.table.assign(predicted=(far > 0).astype(float), estimated_error=far)
    panel = surface_data(Surface(surface.folder, surface.settings, table))["panels"][0]
    order = table.sort_values(["y", "x"])
    assert panel["predicted"] == order["predicted"].tolist()
    assert panel["error"] == pytest.approx(100 * order["estimated_error"])


def test_paths_have_their_runs_colours_moments_and_words(tmp_path: Path) -> None:
    folder = write_landscape(write_run(tmp_path))
    write_paths(folder, ["größe_網路", "a"])
    surface = read_surface(folder)
    looks = Looks((("a", tmp_path / "a"), ("b", tmp_path / "b"), ("größe_網路", tmp_path / "c")))
    data = surface_data(surface, looks=looks)
    first, second = data["panels"][0]["trails"]
    assert (first["colour"], second["colour"]) == (RUNS[2], RUNS[0])
    assert data["times"] == ["epoch 0", "epoch 1", "epoch 2"]
    assert first["moment"] == [0, 1, 2]
    assert first["label"] == "größe_網路, "
    assert first["real"]["train_loss"] == pytest.approx([1, 1 / 2, 1 / 3], rel=1e-5)
    words = "größe_網路, epoch 2: train loss 0.3333 (plane below it 0.3333); 0.02 off the plane"
    assert first["words"][2] == words
    lines = path_data(surface, looks=looks)["lines"]
    assert {(line["run"], line["colour"]) for line in lines} == {("größe_網路", RUNS[2]), ("a", RUNS[0])}
    assert next(line["y"] for line in lines if line["panel"] == "distance") == [0.0, 0.01, 0.02]


def test_points_of_a_plane_are_named_by_their_runs(tmp_path: Path) -> None:
    points = [{"run": name, "checkpoint": "epoch-0003", "sha256": "0" * 64} for name in ("a", "b", "c")]
    made = {"kind": "through", "points": points, "coordinates": [[0, 0], [0.5, 0], [0.2, 5]]}
    looks = Looks((("a", tmp_path / "a"), ("b", tmp_path / "b")))
    marks = surface_data(surface_of(tmp_path, directions=made), looks=looks)["panels"][0]["marks"]
    assert [mark["text"] for mark in marks] == ["A: a", "B: b"]  # C lies outside
    assert [mark["colour"] for mark in marks] == [RUNS[0], RUNS[1]]


def test_several_surfaces_share_one_scale(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, name) for name in "ab"]
    low, high = (
        read_surface(write_landscape(run, lambda x, y, f=f: f + x * x)) for f, run in zip((1, 3), runs, strict=True)
    )
    data = surfaces_data({"a": low, "b": high})
    assert [panel["name"] for panel in data["panels"]] == ["a", "b"]
    assert data["scales"]["train_loss"]["linear"]["low"] == 1
    assert data["scales"]["train_loss"]["linear"]["high"] == 4


def test_a_pair_has_its_difference_on_a_scale_of_its_own(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path, {"a": BOWL, "b": STEEP})
    shown = [pairs.pair(net) for net in pairs.nets]
    data = pairs_data(shown)
    assert [panel["values"]["train_loss"]["scale"] for panel in data["panels"][3:]] == [
        "losses",
        "losses",
        "differences",
    ]
    np.testing.assert_allclose(flat(data, panel=5), shown[1].difference, rtol=5e-6, atol=1e-9)
    np.testing.assert_allclose(flat(data, panel=1), shown[0].relabelled.values("train_loss"), rtol=5e-6, atol=1e-9)


def test_a_barrier_is_marked_where_and_as_high_as_it_is(tmp_path: Path) -> None:
    curve = read_curve(write_curve(write_run(tmp_path), lambda a: 2 - a + 4 * a * (1 - a), splits=("train",)))
    (mark,) = curves_data([curve])["marks"]
    assert (mark["x"], mark["low"], mark["high"]) == (0.5, 1.5, 2.5)
    assert mark["text"] == "barrier 1 above the chord at α = 0.5 (train loss)"
    straight = read_curve(write_curve(Run(tmp_path / "a"), label="straight"))
    assert curves_data([straight])["marks"] == []


def test_predicted_points_of_a_line_say_so_and_evaluated_ones_are_dots(tmp_path: Path) -> None:
    curve = read_curve(write_curve(write_run(tmp_path), lambda a: 2 - a, splits=("train",), points=5))
    known = np.array([True, False, True, False, True])
    table = curve.table.assign(predicted=(~known).astype(float), estimated_error=np.where(known, 0.0, 0.02))
    whole, dots, accuracy, _ = curves_data([Curve(curve.folder, curve.settings, table)])["lines"]
    assert (whole["y"], whole.get("marks")) == ([2, 1.75, 1.5, 1.25, 1], None)
    assert (dots["x"], dots["y"], dots["marks"]) == ([0, 0.5, 1], [2, 1.5, 1], True)
    assert whole["text"][:2] == ["α 0: 2, evaluated", "α 0.25: 1.75, predicted ± 2 % of it (estimated)"]
    assert dots["text"][1] == "α 0.5: 1.5, evaluated"
    assert accuracy["text"][1].endswith(" %, predicted")  # the error is that of losses


def test_lines_of_several_runs_have_these_runs_colours(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, name) for name in ("a", "b")]
    looks = Looks(tuple((run.name, run.path.resolve()) for run in runs))
    curves = [read_curve(write_curve(run)) for run in reversed(runs)]
    data = curves_data(curves, looks=looks)
    assert {(line["run"], line["colour"]) for line in data["lines"]} == {("b", RUNS[1]), ("a", RUNS[0])}
    assert {line["split"] for line in data["lines"]} == {"train", "test"}
    assert [rule["text"] for rule in data["rules"][:2]] == ["epoch-0001", "epoch-0003"]


MANY = [f"run-{number:02}" for number in range(20)]


def drawn_trainings(runs: Sequence[Run], looks: Looks) -> tuple[Figure, list[dict[str, Any]]]:
    page = Page(runs[0].path.parent / "page", looks=looks)
    return build_training(runs, looks=looks), training_chart(runs, page, "").data["lines"]


def drawn_curves(runs: Sequence[Run], looks: Looks) -> tuple[Figure, list[dict[str, Any]]]:
    curves = [read_curve(write_curve(run)) for run in runs]
    return build_curve(curves, looks=looks), curves_data(curves, looks=looks)["lines"]


def over_a_plane(runs: Sequence[Run]) -> Surface:
    folder = write_landscape(runs[0])
    write_paths(folder, MANY)
    return read_surface(folder)


def drawn_paths(runs: Sequence[Run], looks: Looks) -> tuple[Figure, list[dict[str, Any]]]:
    surface = over_a_plane(runs)
    (panel,) = surface_data(surface, looks=looks)["panels"]
    trails = [each | {"run": each["label"].removesuffix(", ")} for each in panel["trails"]]
    return build_contour(surface, looks=looks), trails


def drawn_heights(runs: Sequence[Run], looks: Looks) -> tuple[Figure, list[dict[str, Any]]]:
    surface = over_a_plane(runs)
    return build_surface(surface, looks=looks), path_data(surface, looks=looks)["lines"]


def drawn_distances(runs: Sequence[Run], looks: Looks) -> tuple[Figure, list[dict[str, Any]]]:
    surface = over_a_plane(runs)
    return build_path(surface, looks=looks), path_data(surface, looks=looks)["lines"]


@pytest.mark.parametrize("drawn", [drawn_trainings, drawn_curves, drawn_paths, drawn_heights, drawn_distances])
def test_each_of_twenty_runs_has_a_look_of_its_own_the_same_everywhere(drawn: Any, tmp_path: Path) -> None:
    runs = [write_run(tmp_path, name) for name in MANY]
    looks = Looks(tuple((run.name, run.path.resolve()) for run in runs))
    figure, lines = drawn(runs, looks)
    expected = {
        name: (RUNS[place % len(RUNS)], [None, *SYMBOLS.values()][place // len(RUNS)])
        for place, name in enumerate(MANY)
    }
    assert len({*expected.values()}) == len(MANY)
    assert {line["run"]: (line["colour"], line.get("symbol")) for line in lines} == expected
    (legend,) = figure.findobj(Legend)
    key = {str(text.get_text()): line for text, line in zip(legend.get_texts(), legend.legend_handles, strict=True)}
    named = {name: next(line for label, line in key.items() if label.endswith(name)) for name in MANY}
    assert {name: (line.get_color(), SYMBOLS.get(line.get_marker())) for name, line in named.items()} == expected
    drawn_so = {
        (colour, SYMBOLS.get(each.get_marker()))
        for axes in figure.axes
        for each in axes.lines
        for colour in (each.get_color(), each.get_markerfacecolor(), each.get_markeredgecolor())
    }
    assert {*expected.values()} <= drawn_so  # as the key says


def test_long_names_that_read_the_same_are_told_apart(tmp_path: Path) -> None:
    names = [f"{'a' * 30}_{each}_{'b' * 30}" for each in "12"]
    runs = [write_run(tmp_path, name) for name in names]
    curves = curves_data([read_curve(write_curve(run)) for run in runs])
    folder = write_landscape(runs[0])
    write_paths(folder, names)
    for data in (curves, path_data(read_surface(folder))):
        assert len({line["run"] for line in data["lines"]}) == 2  # each has a button of its own


def test_a_name_with_a_dot_is_whole(tmp_path: Path) -> None:
    curve = read_curve(write_curve(write_run(tmp_path)))
    page = Page(tmp_path / "page")
    charts = [curve_chart([curve], page, f"dropout-{share}.png", "") for share in (0.2, 0.5)]
    assert [chart.source for chart in charts] == ["files/dropout-0.2.js", "files/dropout-0.5.js"]


def test_planes_of_runs_are_compared_where_they_are_alike(tmp_path: Path) -> None:
    folders = [write_landscape(write_run(tmp_path, name)) for name in "ab"]
    other = write_landscape(write_run(tmp_path, "c"), x_range=(-2, 2))
    found = {name: [read_surface(folder)] for name, folder in zip("abc", [*folders, other], strict=True)}
    assert [list(group) for group in planes_of(found)] == [["a", "b"]]


def test_a_film_has_a_frame_a_moment(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    made = [write_landscape(run, lambda x, y, k=k: k + x * x, label=f"frame-{k}") for k in (3, 2, 1)]
    rows = [["plane", k, f"epoch-{k}", f"../../landscape/{folder.name}", k, k] for k, folder in enumerate(made)]
    table = pd.DataFrame(rows, columns=["film", "frame", "checkpoint", "landscape", "epoch", "step"])
    film = Film(run.path / "film" / "a", {"split": "train"}, table)
    data = frames_data(film, scale_of(film, "plane"))
    frames = data["panels"][0]["values"]["train_loss"]["frames"]
    assert data["times"] == ["epoch 0", "epoch 1", "epoch 2"]
    for frame, folder in zip(frames, made, strict=True):
        np.testing.assert_allclose(frame, read_surface(folder).values("train_loss").ravel(), rtol=5e-6)


def test_a_convexity_map_has_eigenvalues_ratio_and_loss(tmp_path: Path) -> None:
    surface = surface_of(tmp_path, grid=(3, 3))
    table = surface.table[["x", "y"]].assign(**dict.fromkeys(COLUMNS, 1.0))
    table["largest"], table["smallest"] = np.arange(1, 10.0), np.linspace(-2, 2, 9)
    table.loc[0, "largest_converged"] = 0
    data = map_data(Convexity(tmp_path, {}, table, surface))
    assert [layer["name"] for layer in data["layers"]] == ["|λmin|/λmax", "λmax", "λmin", "train loss"]
    np.testing.assert_allclose(flat(data, "largest").T.ravel(), table["largest"])
    np.testing.assert_allclose(flat(data, "ratio").T.ravel(), abs(table["smallest"]) / table["largest"], rtol=5e-6)
    kinds = [(mark["symbol"], mark["x"], mark["y"]) for mark in data["panels"][0]["marks"]]
    assert ("x-thin", -1.0, -1.0) in kinds
    assert {symbol for symbol, *_ in kinds} == {"x-thin", "circle", "star"}


def curvature(checkpoints: int) -> Curvature:
    """Of one block: eigenvalues 4, 2, −1 that fall, the last not converged; a trace of 5 ± 1; nodes 0 and 4."""
    names = [f"epoch-{k}" for k in range(checkpoints)]
    values = [
        [name, "hessian", "whole", rank, (value - k), 0.1, float(rank > 0)]
        for k, name in enumerate(names)
        for rank, value in ((1, 4.0), (2, 2.0), (-1, -1.0))
    ]
    traces = [[name, "hessian", "whole", k, 10 * k, 0.5, 0.25, 5.0, 1.0, 10**6] for k, name in enumerate(names)]
    nodes = [[name, "hessian", "whole", v, s, 4.0 * s, 0.5] for name in names for v in (0, 1) for s in (0, 1)]
    keys = ["checkpoint", "matrix", "block"]
    settings = {"loss": "cross_entropy", "matrix": "hessian", "stability": {"rule": "2/η", "limit": 3.0}}
    return Curvature(
        Path(),
        settings,
        pd.DataFrame(values, columns=[*keys, "rank", "eigenvalue", "residual", "converged"]),
        pd.DataFrame(
            traces, columns=[*keys, "epoch", "step", "loss", "gradient_norm", "trace", "trace_stderr", "parameters"]
        ),
        pd.DataFrame(nodes, columns=[*keys, "vector", "step", "node", "weight"]),
    )


def lines_of(data: dict[str, Any], panel: str) -> dict[str, dict[str, Any]]:
    return {line["run"]: line for line in data["lines"] if line["panel"] == panel}


def test_a_spectrum_shows_ranks_or_time_and_its_limit() -> None:
    one = spectrum_data(curvature(1))
    (shown,) = lines_of(one, "ranks").values()
    assert (shown["y"], shown["error"], shown["open"]) == ([4, 2, -1], [0.1] * 3, [False, False, True])
    assert shown["text"][2] == "whole, rank −1: −1 ± 0.1, not converged"
    assert [rule["y"] for rule in one["rules"]] == [0.0, 3.0]
    over = spectrum_data(curvature(3))
    assert lines_of(over, "largest")["1st from either end"]["y"] == [4, 3, 2]
    assert lines_of(over, "smallest")["1st from either end"]["open"] == [True] * 3
    trace = lines_of(over, "trace")[""]
    assert (trace["x"], trace["low"], trace["high"]) == ([0, 1, 2], [3] * 3, [7] * 3)


def test_stability_is_eigenvalues_over_the_limit_with_the_judged_band() -> None:
    data = stability_data({"net, η = 1": [("seed 0", curvature(3))], "other": [("seed 0", curvature(2))]}, 0.1, 0.5)
    assert [panel["name"] for panel in data["panels"]] == ["net, η = 1", "other"]
    largest, second, judged = [line for line in data["lines"] if line["panel"] == "0"]
    assert largest["y"] == pytest.approx([4 / 3, 1, 2 / 3], rel=1e-5)  # of a limit of 3
    assert (second["y"], second["dash"]) == (pytest.approx([2 / 3, 1 / 3, 0], rel=1e-5), "dot")
    assert (judged["x"], judged["low"], judged["high"]) == ([1, 2], [0.9] * 2, [1.1] * 2)
    assert {rule["y"] for rule in data["rules"]} == {1.0}


def test_critical_points_are_dots_of_their_seed() -> None:
    rows = [["epoch-1", loss, 1e-9, 0.0, 1, index, -1.0, loss] for loss, index in ((1.0, 0.25), (2.0, 0.5))]
    names = ["checkpoint", "loss", "gradient_norm", "gradient_curvature", "converged", "index_fraction"]
    table = pd.DataFrame(rows, columns=[*names, "smallest", "largest"])
    settings = {"split": "train", "loss": "mse", "weight_decay": "include"}
    dots, other = points_data([(f"seed {k}", Saddles(Path(), settings, table)) for k in (0, 1)])["lines"]
    assert (dots["x"], dots["y"], dots["marks"]) == ([1, 2], [0.25, 0.5], True)
    assert dots["text"][1] == "seed 0, epoch-1: loss 2, index fraction 0.5, gradient norm 1e−9"
    assert dots["colour"] != other["colour"]


def test_errors_are_lines_of_seeds_and_means_by_way_of_learning() -> None:
    rows = [["big", "labels", 0, 0.01], ["big", "labels", 1, 0.03], *(
        ["small", way, seed, (base + seed) / 100] for way, base in (("alone", 4), ("distilled", 2)) for seed in (0, 1)
    )]  # fmt: skip
    data = errors_data(pd.DataFrame(rows, columns=["net", "way", "seed", "test_errors"]))
    (panel,) = data["panels"]
    assert panel["names"] == [[0, "big net"], [1, "alone"], [2, "distilled"]]
    seeds, means = ([line for line in data["lines"] if line["run"] == name] for name in ("seeds", "means"))
    assert [line["y"] for line in seeds] == [pytest.approx([1, 4, 2]), pytest.approx([3, 5, 3])]
    assert [line["y"][0] for line in means] == pytest.approx([2, 4.5, 2.5])
    assert means[0]["text"][0] == "big net: mean 2 ± 1.4 % of 2 seeds"


def test_a_density_integrates_to_1() -> None:
    data = density_data(curvature(1), ["epoch-0"])
    curve = data["lines"][0]
    assert np.trapezoid(curve["y"], curve["x"]) == pytest.approx(1, abs=0.05)
    assert data["lines"][1]["x"] == [4, 2, -1]


def test_sharpness_shows_rises_with_intervals_and_widths() -> None:
    rows = [
        ["a", "worst", 0.1, 0, 1],
        ["a", "worst", 0.2, 0, 2],
        ["a", "width", None, 1, 0.1],
        ["a", "width", None, 2, 0.2],
    ]
    known = {"checkpoint": "a", "loss": 0.5, "epoch": 1, "step": 1}
    worst = {"measure": "worst", "low": 0.8, "high": 1.2}
    summary = [known | worst | {"rho": 0.1, "largest": 1}, known | worst | {"rho": 0.2, "largest": 2}]
    summary.append(known | {"measure": "width", "median": 0.15, "quartile1": 0.1, "quartile3": 0.2})
    table = pd.DataFrame(rows, columns=["checkpoint", "measure", "rho", "seed", "value"])
    whole = pd.DataFrame(summary, columns=list(SUMMARY_COLUMNS))
    data = sharpness_data(Sharpness(Path(), {"rise": 0.1, "loss": "mse"}, table, whole))
    worst, seeds, widths = data["lines"]
    assert (worst["x"], worst["y"], worst["low"], worst["high"]) == ([0.1, 0.2], [1, 2], [0.8] * 2, [1.2] * 2)
    assert (seeds["y"], widths["y"]) == ([1, 2], [0.1, 0.2])
    assert [(rule["text"], rule["y"]) for rule in data["rules"]] == [
        ("median", 0.15), ("1st quartile", 0.1), ("3rd quartile", 0.2),
    ]  # fmt: skip


def test_groups_have_bands_of_one_standard_deviation() -> None:
    rows = [["g", k, 1.0 - k / 4, 0.125, 0.5, 0.0625] for k in range(3)]
    names = ["train_loss_mean", "train_loss_std", "test_accuracy_mean", "test_accuracy_std"]
    curves = pd.DataFrame(rows, columns=["group", "epoch", *names])
    empty = pd.DataFrame()
    found = Comparison(Path(), {"metric": "test_accuracy"}, empty, empty, curves, empty)
    look = {"g": line_style(0, 3)}
    loss, accuracy = groups_data(found, look)["lines"]
    assert (loss["y"], loss["low"], loss["colour"]) == ([1, 0.75, 0.5], [0.875, 0.625, 0.375], COLOURS[0])
    assert accuracy["high"] == [56.25] * 3
    assert groups_data(found, look | {"lost": line_style(1, 3)})["notes"] == ["No run finished of lost."]
    curves["group"] = ["g", "h", "h"]
    lines = groups_data(found, look | {"h": line_style(len(COLOURS), 3)})["lines"]
    assert [(line["colour"], line.get("symbol")) for line in lines[1:3]] == [(COLOURS[0], None), (COLOURS[0], "square")]


def test_rates_at_which_no_run_finished_are_named() -> None:
    rows = [["sgd-lr-0.1", "sgd", 0.1, 0.5, 0.0], ["sgd-lr-9", "sgd", 9.0, np.nan, np.nan]]
    names = ["group", "method", "lr", "final_test_accuracy_mean", "final_test_accuracy_std"]
    empty = pd.DataFrame()
    table = pd.DataFrame(rows, columns=names)
    found = Comparison(Path(), {"metric": "test_accuracy"}, table, empty, empty, empty)
    data = rates_data(found)
    assert data["lines"][0]["y"] == [50, None]
    assert data["notes"] == ["No run finished of sgd-lr-9."]
    table["final_test_accuracy_mean"] = 0.5
    assert rates_data(found)["notes"] == []


def test_no_two_colours_are_alike_in_the_dark() -> None:
    """Distances of RGB in bytes, of the palette as the script of the page shows it."""
    script = (Path(lossscape.report.__file__).parent / "page.js").read_text(encoding="utf-8")
    lighter = dict(re.findall(r'"(#[0-9a-f]{6})": "(#[0-9a-f]{6})"', script))
    shown = [to_rgb(lighter.get(each.lower(), each)) for each in COLOURS]
    assert min(255 * math.dist(a, b) for a, b in combinations(shown, 2)) > 60


def test_kinds_of_solution_are_bars_of_epochs(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    kinds = ["none", "GM", "GM", ""]
    table = pd.DataFrame([["a", k, 2.0, 3.0, 0.0, kind] for k, kind in enumerate(kinds)],
                         columns=["run", "epoch", "train_loss", "test_loss", "relative_change", "kind"])  # fmt: skip
    first = {f"{kind}_{what}": np.nan for kind in ("lm", "gm", "tm") for what in ("epoch", "train_loss")}
    summary = pd.DataFrame([{"run": "a", "config": "a"} | first | {"gm_epoch": 1, "gm_train_loss": 2.0}])
    settings = {"zero": 0.01, "runs": ["a"]}
    result = Solutions(run.path / "solutions" / "one", settings, table, summary, pd.DataFrame(), pd.DataFrame())
    shades = {"none": "#e4e4e4", "LM": "#b5dfb0", "GM": "#4daf62", "TM": "#00441b", "": "white"}
    data = solutions_data(result, [line_style(0, 4) | {"color": None}], shades, {"none": "no minimum", "": "not known"})
    bars = {line["text"][0]: line["x"][:2] for line in data["lines"] if line["panel"] == "kind"}
    assert bars == {
        "a: no minimum, epochs 0 to 0": [-0.5, 0.5], "a: GM, epochs 1 to 2": [0.5, 2.5],
        "a: not known, epochs 3 to 3": [2.5, 3.5],
    }  # fmt: skip
    (dot,) = [line for line in data["lines"] if line["panel"] == "loss" and line["x"] == [1]]
    assert dot["text"] == ["a: first GM after epoch 1, train loss 2"]


def outputs(kind: str, frames: int = 3) -> Fit:
    """Of a net that gives k·x, or of classes the probability k/4 of the second, at its k-th checkpoint."""
    axes = ("x", "y")[: 1 if kind == "line" else 2]
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, 5)] * len(axes), indexing="ij"), -1).reshape(-1, len(axes))
    names = ["output_0"] if kind == "line" else ["p_0", "p_1"]
    rows = [
        [f"epoch-{k}", point, k, 10 * k, *place, *([k * place[0]] if kind == "line" else [1 - k / 4, k / 4])]
        for k in range(frames)
        for point, place in enumerate(places.tolist())
    ]
    table = pd.DataFrame(rows, columns=["checkpoint", "point", "epoch", "step", *axes, *names])
    samples = pd.DataFrame({"x": [-0.5, 0.25], "y": [0.0, 1.0], "target": [1, 0]})
    return Fit(Path(), {"points": [{"run": "a"}]}, table, samples[[*axes, "target"]])


def test_a_fit_over_a_line_has_residuals_at_each_moment() -> None:
    data = fit_data(outputs("line"))
    assert data["times"] == ["epoch 0", "epoch 1", "epoch 2"]
    curves = [line for line in data["lines"] if line["panel"] == "fit" and line["run"] == "net"]
    assert [line["moment"] for line in curves] == [0, 1, 2]
    assert [line["y"] for line in curves] == [[0, 0, 0, 0, 0], [-1, -0.5, 0, 0.5, 1], [-2, -1, 0, 1, 2]]
    missed = [line["y"] for line in data["lines"] if line["panel"] == "residuals"]
    assert missed == [[1, 0], [1.5, -0.25], [2, -0.5]]  # between inputs the output is interpolated
    low, high = data["panels"][0]["range"]
    assert low < -0.5
    assert high > 1.5  # half of the targets' span beyond them, and no more
    assert high < 2


def test_a_fit_over_a_plane_has_a_frame_a_moment_and_its_samples() -> None:
    data = fit_data(outputs("plane"))
    (panel,), (layer,) = data["panels"], data["layers"]
    assert layer["name"] == "probability of class 1"
    assert [set(frame) for frame in panel["values"]["p_1"]["frames"]] == [{0}, {25}, {50}]
    assert panel["marks"][0]["fill"] == [COLOURS[1], COLOURS[0]]
    many = fit_data(outputs("plane", 40))
    assert len(many["times"]) == 30
    assert "30 of 40 checkpoints; fit.csv has all." in many["panels"][0]["notes"]


def test_a_plane_has_x_across(tmp_path: Path) -> None:
    result = outputs("plane", 1)
    result.table["p_1"] = result.table["x"] / 4 + 0.5 + result.table["y"] / 100
    frame = np.array(fit_data(result)["panels"][0]["values"]["p_1"]["frames"][0]).reshape(5, 5)
    np.testing.assert_allclose(frame[0], [24, 36.5, 49, 61.5, 74])
    np.testing.assert_allclose(frame[:, 0], [24, 24.5, 25, 25.5, 26])


def test_critical_points_have_their_size_and_words() -> None:
    rows = [
        ["epoch-1", 0.0, 0, 0.5, 1e-9, 1, 0.25, -2.0, 3.0, "saddle"],
        ["epoch-1", 0.1, 2, 0.25, 1e-8, 1, 0.0, 1.0, 3.0, "minimum"],
        ["epoch-1", 0.1, 3, 0.75, 1e-2, 0, 0.5, -1.0, 3.0, "saddle"],
    ]
    columns = ["checkpoint", "size", "displacement", "loss", "gradient_norm", "converged", "index_fraction", "smallest",
               "largest", "kind"]  # fmt: skip
    result = Saddles(Path(), {"points": [{"run": "a"}]}, pd.DataFrame(rows, columns=columns))
    data = saddles_data(result, result.lost, ("train loss", "index fraction: share"))
    shown = lines_of(data, "index_fraction")
    assert {name: (line["x"], line["y"]) for name, line in shown.items()} == {
        "the checkpoint itself": ([0.5], [0.25]), "0.1 ‖θ‖ away": ([0.25], [0.0]), "not converged": ([0.75], [0.5]),
    }  # fmt: skip
    assert lines_of(data, "smallest")["not converged"]["y"] == [-1]
    assert shown["0.1 ‖θ‖ away"]["text"] == [
        "epoch-1, displacement 2 of 0.1 ‖θ‖: minimum, loss 0.25, index fraction 0, λ from 1 to 3, ‖∇L‖ 1e−8"
    ]


def flow(layers: int, checkpoints: int) -> Gradients:
    """Whose gradients are 10^layer + checkpoint, the last layer's 0; there is no update before the first."""
    rows = [
        [f"epoch-{k}", k, 10 * k, f"layer{index}", (10.0**index + k) * (index < layers - 1), 1.0, k or None, 2.0]
        for k in range(checkpoints)
        for index in range(layers)
    ]
    measured = ["gradient_norm", "weight_norm", "update_norm", "activation_rms"]
    table = pd.DataFrame(rows, columns=["checkpoint", "epoch", "step", "layer", *measured])
    return Gradients(Path(), {"points": [{"run": "a"}]}, table)


def test_gradients_are_lines_of_layers_over_training_or_a_profile() -> None:
    names = {"gradient_norm": "gradient, ‖∇L‖", "update_norm": "update, ‖Δθ‖"}
    over = norms_data(flow(3, 2), names)
    assert {name: line["y"] for name, line in lines_of(over, "gradient_norm").items()} == {
        "layer0": [1, 2], "layer1": [10, 11], "layer2": [None, None],
    }  # fmt: skip
    assert lines_of(over, "update_norm")["layer0"]["y"] == [None, 1]
    (profile,) = norms_data(flow(3, 1), names)["lines"]  # nothing is known of updates
    assert (profile["x"], profile["y"]) == ([0, 1, 2], [1, 10, None])
    deep = norms_data(flow(40, 2), names)
    assert list(lines_of(deep, "gradient_norm"))[::13] == ["layer0", "layer39"]
    assert deep["notes"] == ["14 of 40 layers, evenly through the net; gradients.csv has all."]


def test_initial_values_by_layer_with_histograms_of_area_1() -> None:
    counts = " ".join(["1"] * 10 + ["3"] * 10)
    shares = ["std", "zeros", "saturated", "gradient_std", "gradient_zeros"]
    rows = [
        ["relu", scheme, seed, layer, *[(seed + 1) * size, 0.5, 0.0, size, 0.0], -4.0, 4.0, counts, -1.0, 1.0, counts]
        for scheme, size in (("he", 2.0), ("constant=0", 0.0))
        for seed in (0, 1)
        for layer in ("linear1", "output")
    ]
    columns = ["activation", "scheme", "seed", "layer", *shares, "low", "high", "counts", "gradient_low",
               "gradient_high", "gradient_counts"]  # fmt: skip
    empty = pd.DataFrame()
    result = InitialValues(Path(), {}, pd.DataFrame(rows, columns=columns), empty, empty, empty)
    data = starts_data(result, "relu")
    spread = lines_of(data, "std")["he"]
    assert (spread["y"], spread["low"], spread["high"]) == ([3, 3], [2, 2], [4, 4])
    assert lines_of(data, "zeros")["he"]["y"] == [50, 50]
    (histogram,) = lines_of(data, "linear1").values()  # none where σ is 0
    assert (histogram["x"][0], histogram["x"][-1]) == (pytest.approx(-4 / 3), pytest.approx(4 / 3))
    assert np.trapezoid(histogram["y"], histogram["x"]) == pytest.approx(1, rel=1e-4)
    assert lines_of(starts_data(result, "relu", "gradient_"), "gradient_std")["he"]["y"] == [2, 2]


def test_short_trainings_are_means_with_bands(tmp_path: Path) -> None:
    folder = tmp_path / "a-initial-values" / "initial_values" / "one"
    runs = [write_run(tmp_path / "a-initial-values", name, epochs) for name, epochs in (("he-0", 3), ("he-1", 2))]
    rows = [["relu", "he", "finished", run.name, 0.5, 0.75, 0.1, 0.2] for run in runs]
    measured = ["train_loss", "test_loss", "train_accuracy", "test_accuracy"]
    trainings = pd.DataFrame(rows, columns=["activation", "scheme", "state", "run", *measured])
    table = pd.DataFrame({"activation": ["relu"], "scheme": ["he"]})
    settings = {"experiment": {"loss": {"name": "mse"}}}
    result = InitialValues(folder, settings, table, pd.DataFrame(), trainings, pd.DataFrame())
    data = trainings_data(result, {"he": "he (1 diverged)"}, log=False)
    assert [panel["key"] for panel in data["panels"]] == ["loss relu", "accuracy relu"]
    train, test = (line for line in data["lines"] if line["panel"] == "loss relu")
    assert (train["x"], train["y"], train["run"]) == ([0, 1, 2], [2, 1, pytest.approx(2 / 3)], "he (1 diverged)")
    assert test["low"] == test["high"] == [3, 1.5, 1]
    assert data["notes"] == []
    trainings.loc[len(trainings)] = ["relu", "one", "failed", "he-0", *[np.nan] * 4]
    table.loc[1] = ["relu", "one"]
    result = InitialValues(folder, settings, table, pd.DataFrame(), trainings, pd.DataFrame())
    data = trainings_data(result, {"he": "he", "one": "one (1 of 1 diverged)"}, log=False)
    assert data["notes"] == ["No training finished of one (1 of 1 diverged)."]


@pytest.fixture(scope="module")
def bowl(tmp_path_factory: pytest.TempPathFactory) -> Race:
    """Two methods from three starts, 150 steps each."""
    folder = tmp_path_factory.mktemp("race")
    asked = {
        "start": ((1.0, 0.5), (2.0, 1.0), (0.5, 0.0)),
        "steps": 150,
        "methods": ({"name": "sgd"}, {"name": "adam"}),
    }
    return read_race(race(surface="valley", runs=str(folder), **asked))


def test_a_race_has_its_paths_by_moments(bowl: Race) -> None:
    data = paths_data(bowl)
    (panel,) = data["panels"]
    assert len(data["times"]) == 121
    assert (data["times"][0], data["times"][-1]) == ("step 0", "step 150")
    assert [trail["run"].partition(",")[0] for trail in panel["trails"]] == ["adam"] * 3 + ["sgd"] * 3
    trail = panel["trails"][-1]  # the first method from the first start lies on top
    path = next(path for *_, path in bowl.paths())
    assert (trail["x"][0], trail["y"][0]) == (1, 0.5)
    assert trail["x"][-1] == pytest.approx(path["x"].iloc[-1], rel=1e-5)
    assert (trail["moment"][0], trail["moment"][-1]) == (0, 120)
    assert len(trail["x"]) < 150
    moved = np.hypot(np.diff(trail["x"]), np.diff(trail["y"]))
    assert (moved[:-1] >= 2e-3 * np.ptp(panel["x"])).all()
    assert "from (1, 0.5), step 0: f(x, y) 0.3" in trail["words"][0]
    assert "Steps that lead less than a pixel away are drawn as one; paths.csv has all." in panel["notes"]
    stars, starts = panel["marks"]
    assert (stars["x"], stars["y"], starts["x"]) == ([0], [0], [1, 2, 0.5])


def test_a_race_has_losses_and_distances_by_step(bowl: Race) -> None:
    data = losses_data(bowl)
    path = next(path for *_, path in bowl.paths())
    first = {line["panel"]: line for line in data["lines"][:2]}
    assert first["loss"]["y"] == pytest.approx(path["loss"], rel=1e-5)
    assert first["distance"]["y"] == pytest.approx(np.hypot(path["x"], path["y"]), rel=1e-5)
    assert (data["rules"][0]["y"], data["notes"]) == (bowl.level, [])
    few = bowl.table[(bowl.table["start"] == 0) & (bowl.table["step"] <= 3)]
    table = pd.concat([few.assign(start=start) for start in range(150)])
    many = replace(bowl, settings=bowl.settings | {"starts": [[1.0, 0.5]] * 150, "steps": 3}, table=table)
    thin = losses_data(many)
    assert len(thin["lines"]) == 2 * 200  # of two methods from a hundred starts, in two panels
    assert thin["notes"] == ["From the first 100 of 150 starts; paths.csv has all."]
    assert len(paths_data(many)["panels"][0]["trails"]) == 60


RESULTS = {
    "interpolate": lambda run: (write_curve(run, error=0.01), "curve.csv", ["alpha"]),
    "landscape": lambda run: (write_landscape(run), "surface.csv", ["y", "x"]),
    "line": lambda run: (write_landscape(run, grid=[5]), "line.csv", ["x"]),
}


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("made", RESULTS)
def test_every_section_has_a_chart_of_its_table(made: str, tmp_path: Path) -> None:
    folder, file, axes = RESULTS[made](write_run(tmp_path))
    analysis = ANALYSES["landscape" if made == "line" else made]
    section = analysis.section(analysis.read(folder), Page(tmp_path / "page"))
    (chart,) = [part for part in section.parts if isinstance(part, Chart)]
    drawn = json.loads(chart_text(chart).removeprefix("lossscape.given(").rstrip(";)\n"))[1]
    table = read_csv(folder / file).sort_values(axes)
    if chart.type == "surfaces":
        shown = {key: own["z"] for key, own in drawn["panels"][0]["values"].items()}
    else:
        shown = {f"{line['split']}_{line['panel']}": line["y"] for line in drawn["lines"]}
        assert drawn["lines"][0]["x"] == pytest.approx(table[axes[0]])
    assert set(shown) >= {"train_loss", "train_accuracy"}
    for key, values in shown.items():
        factor = 100 if key.endswith("accuracy") else 1
        np.testing.assert_allclose(values, factor * table[key], rtol=5e-4 if factor > 1 else 5e-6)
