"""Studies: their files, what they judge, and both of them at their smallest scale, from nothing to the page."""

import csv
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import ConvexHull
from seeing import Page, assert_stands_alone

from lossscape.analyses.curvature.result import Curvature
from lossscape.analyses.initial_values.result import InitialValues
from lossscape.analyses.interpolate.measures import convexity_defect
from lossscape.analyses.saddles.result import Saddles
from lossscape.config import merged
from lossscape.errors import BadInput, RunFailed
from lossscape.results import read_csv, write_csv
from lossscape.runs import Run
from lossscape.studies.config import Critical, CurvatureStudy, DistillStudy, MinimumStudy, Opened
from lossscape.studies.curvature import Descent, Points, grows, judge_descents
from lossscape.studies.distill import Trained, judge_distillation, paired
from lossscape.studies.initial import keeps_size, learn_less, stay_equal
from lossscape.studies.interpolation import Line, bends, falls, likeness
from lossscape.studies.minimum import judge_epochs, judge_surfaces, together, train_net
from lossscape.studies.page import write_study_report
from lossscape.studies.race import leaves, rows_of
from lossscape.studies.run import run_study
from lossscape.studies.statements import (
    FAILS,
    HOLDS,
    OPEN,
    PARTLY,
    STATEMENTS,
    STUDY,
    Statement,
    begin_study,
    end_study,
    judged,
)
from lossscape.train import train
from lossscape.unchanged import STAMP

CONFIGS = Path(__file__).parents[1] / "configs" / "studies"
FILES = sorted(CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("scale", ["smoke", "laptop", "full"])
def test_every_scale_of_every_study_is_a_set_of_experiments(file: Path, scale: str) -> None:
    opened = Opened(file, scale)
    for net in opened.study.nets:
        assert opened.experiment(net, {"name": "a"}).name == "a"


def test_the_full_scale_is_the_published_one() -> None:
    study = Opened(CONFIGS / "interpolation.yaml", "full")
    for net, hidden in (("mnist_4nn_100", (100, 100)), ("mnist_3nn_1000", (1000,))):
        experiment = study.experiment(net, {"name": net})
        assert tuple(experiment.model.hidden) == hidden  # type: ignore[attr-defined]
        assert experiment.training.epochs == 200
        assert (experiment.dataset.name, experiment.model.dropout) == ("mnist", 0.5)  # type: ignore[attr-defined]
    minimum = Opened(CONFIGS / "minimum.yaml", "full")
    for net in ("dnn", "cnn", "resnet50"):
        experiment = minimum.experiment(net, {"name": net, "optimizer": {"lr": 0.01}})
        assert (experiment.dataset.name, experiment.optimizer.name) == ("cifar10", "adam")
        assert experiment.optimizer.lr == 0.01  # type: ignore[attr-defined]
        assert experiment.training.epochs == 100
    assert minimum.study.model_dump(include={"grid", "planes", "samples"}) == {"grid": 51, "planes": 5, "samples": None}


def test_sections_are_laid_over_one_another_and_replaced_where_the_name_is_another() -> None:
    base = {"model": {"name": "mlp", "hidden": [3]}, "seed": 1, "training": {"epochs": 2, "batch_size": 5}}
    over = {"model": {"name": "cnn"}, "training": {"epochs": 9}}
    assert merged(base, over) == {"model": {"name": "cnn"}, "seed": 1, "training": {"epochs": 9, "batch_size": 5}}
    assert merged(base, {"model": {"hidden": [4]}})["model"] == {"name": "mlp", "hidden": [4]}
    assert base["training"] == {"epochs": 2, "batch_size": 5}


WRONG: dict[str, tuple[Callable[[str], str], str, list[str]]] = {
    "kind": (lambda t: t.replace("study: interpolation", "study: interpolatoin"), "interpolation", []),
    "key": (lambda t: t.replace("points: 1001", "pionts: 1001"), "pionts", []),
    "value": (lambda t: t.replace("points: 21", "points: 2"), "points", []),
    "start": (lambda t: t.replace('"1", first', "middle"), "starts", []),
    "net's option": (lambda t: t.replace("epochs: 4", "epoch: 4"), "net mnist_4nn_100: training.epoch:", []),
    "no config": (lambda t: t.replace("../mnist_4nn_100.yaml", "nowhere.yaml"), "nowhere.yaml", []),
    "no scales": (lambda t: t[: t.index("scales:")], "names its scales", []),
    "a list": (lambda t: "[1, 2]", "study", []),
    "kinds": (lambda t: t.replace("study: interpolation", "study: [interpolation]"), "interpolation, minimum", []),
    "a scale of a number": (
        lambda t: t[: t.index("  smoke:")] + "  smoke: 3\n",
        "scales.smoke: a scale is a mapping",
        [],
    ),
    "a net that is none": (
        lambda t: t.replace("      mnist_4nn_100: {", "      mnist_4nn_10: {"),
        "'mnist_4nn_100'?",
        [],
    ),
    "twice": (lambda t: t.replace("seeds: [0]", "seeds: [3, 3]"), "seeds: value error, a value stands there twice", []),
    "no epoch 1": (lambda t: t.replace("epochs: 4", "epochs: 1"), "at least 2 epochs", []),
    "no dropout": (lambda t: t.replace("hidden: [64]", "hidden: [64], dropout: 0.0"), "keep_dropout: false", []),
    "what varies": (lambda t: t, "--set seed=7: the study itself sets seed", ["seed=7"]),
    "--set": (lambda t: t, "--set training.epochs=-1", ["training.epochs=-1"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_slips_are_told_before_anything_is_trained(name: str, tmp_path: Path) -> None:
    change, says, settings = WRONG[name]
    text = (CONFIGS / "interpolation.yaml").read_text()
    changed = change(text)
    assert settings or changed != text
    (tmp_path / "studies").mkdir()
    for config in CONFIGS.parent.glob("mnist_*.yaml"):
        shutil.copy(config, tmp_path)
    file = tmp_path / "studies" / "a.yaml"
    file.write_text(changed)
    with pytest.raises(BadInput, match=re.escape(says)):
        Opened(file, "smoke", settings)


@pytest.mark.parametrize(("key", "says"), [("grid: 51", "odd number"), ("learning_rates: [0.01, 0.001]", "twice")])
def test_slips_of_the_study_of_minima(key: str, says: str, tmp_path: Path) -> None:
    shutil.copytree(CONFIGS.parent, tmp_path / "configs")
    file = tmp_path / "configs" / "studies" / "minimum.yaml"
    wrong = {"grid: 51": "grid: 50", "learning_rates: [0.01, 0.001]": "learning_rates: [0.1, 0.1]"}[key]
    file.write_text(file.read_text().replace(key, wrong, 1))
    with pytest.raises(BadInput, match=says):
        Opened(file, "full")
    with pytest.raises(BadInput, match=r"the study itself sets optimizer\.lr"):
        Opened(CONFIGS / "minimum.yaml", "smoke", ["optimizer.lr=0.5"])
    with pytest.raises(BadInput, match="the study itself sets seed"):
        Opened(CONFIGS / "minimum.yaml", "evening", ["seed=1"])
    assert Opened(CONFIGS / "minimum.yaml", "smoke", ["seed=1"]).experiment("dnn", {}).seed == 1


def test_an_unknown_scale_is_told_with_those_that_there_are() -> None:
    with pytest.raises(BadInput, match="smoke, laptop, full"):
        Opened(CONFIGS / "interpolation.yaml", "huge")


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=30))
def test_the_convexity_defect_is_the_height_above_the_convex_hull(values: list[float]) -> None:
    loss = np.array(values)
    x = np.linspace(0, 1, len(loss))
    found = convexity_defect(x, loss)
    lifted = np.vstack([np.column_stack([x, loss]), [[0, loss.max() + 1], [1, loss.max() + 1]]])
    corners = np.sort([c for c in ConvexHull(lifted).vertices if c < len(x)])
    assert found == pytest.approx(np.max(loss - np.interp(x, x[corners], loss[corners])), abs=1e-12)


def test_the_convexity_defect_of_known_curves() -> None:
    x = np.linspace(0, 1, 101)
    assert convexity_defect(x, (x - 0.3) ** 2) == 0
    assert convexity_defect(x, -((x - 0.5) ** 2)) == pytest.approx(0.25)
    assert math.isnan(convexity_defect(x, np.where(x > 0.5, np.inf, 1.0)))


def line(net: str, loss: np.ndarray, *, kept: bool = False, rise: float = 0.0) -> Line:
    """A line with the measures that the statements look at."""
    measures = {"train": {"bump_height": rise, "barrier_chord": 0.0, "convex_fraction": 1.0}}
    x = np.linspace(0, 1, len(loss))
    table = pd.DataFrame({"train_loss": loss})
    curve: Any = SimpleNamespace(table=table, positions=x, measures=measures)
    return Line(net, 0, "1", kept, curve)


def test_statements_about_lines() -> None:
    x = np.linspace(0, 1, 101)
    convex, bent = (1 - x) ** 2, 1 - x + 0.01 * np.sin(np.pi * x / 0.3) * (x < 0.3)
    assert falls([line("a", convex), line("a", bent)], "b", "c").verdict == HOLDS
    assert falls([line("a", convex, rise=0.01)], "b", "c").verdict == FAILS
    assert falls([line("a", convex, rise=0.01), line("a", convex)], "b", "c").verdict == PARTLY
    assert bends([line("a", bent)], "a", "").verdict == HOLDS
    assert bends([line("a", convex)], "a", "").verdict == FAILS
    assert judged([]) == OPEN
    study: Any = SimpleNamespace(nets=["a", "b"], keep_dropout=True, starts=["1"])
    off, on = ([line("a", convex), line("b", convex)], [line("a", convex, kept=True), line("b", bent, kept=True)])
    assert [each.verdict for each in likeness(study, [*off, *on])] == [HOLDS]
    swapped = [replace(each, kept=not each.kept) for each in (*off, *on)]
    assert [each.verdict for each in likeness(study, swapped)] == [FAILS]
    alike = [*on, *(replace(each, kept=False) for each in on)]
    assert [each.verdict for each in likeness(study, alike)] == [OPEN]
    half = [line("a", convex, kept=True, rise=0.1), line("b", bent, kept=True)]
    assert [each.verdict for each in likeness(study, [*off, *half])] == [OPEN]
    none = [line("a", convex, rise=0.1), line("b", convex)]
    assert [each.verdict for each in likeness(study, [*none, *half])] == [PARTLY]


def test_statements_about_units_that_start_equal() -> None:
    key = {"net": "mlp", "activation": "tanh", "units": 20.0}
    equal = {**key, "scheme": "constant=1", "state": "finished", "equal_start": 20.0, "equal_end": 20.0, "moved": 20.0}
    others = {
        **key,
        "scheme": "he",
        "state": "finished",
        "equal_start": 0.0,
        "equal_end": 0.0,
        "moved": 0.0,
        "test_accuracy": 0.9,
    }
    rows = [equal | {"seed": seed, "test_accuracy": 0.1} for seed in (0, 1)]
    rows += [others | {"seed": seed} for seed in (0, 1)]
    said = stay_equal(rows)
    assert said.verdict == HOLDS
    assert (
        "40 of 40 hidden units that began equal were so after 2 trainings (2 seeds; constant=1; tanh)" in said.evidence
    )
    assert learn_less(rows).verdict == HOLDS
    parted = [rows[0] | {"equal_end": 19.0, "test_accuracy": 0.95}, *rows[1:]]
    assert stay_equal(parted).verdict == learn_less(parted).verdict == PARTLY
    lost = [row | {"state": "diverged", "test_accuracy": math.nan} for row in rows[:2]] + rows[2:]
    assert stay_equal(lost).verdict == learn_less(lost).verdict == OPEN
    assert "2 more did not finish" in stay_equal(lost).evidence
    assert stay_equal([row | {"moved": 0.0} for row in rows]).verdict == OPEN  # nothing could have parted them


@pytest.mark.parametrize(("he", "xavier", "verdict"), [(1.0, 0.3, HOLDS), (1.0, 0.8, FAILS), (0.4, 0.3, FAILS)])
def test_statements_about_the_size_of_activations(he: float, xavier: float, verdict: str) -> None:
    sizes = {"he": (3.0, 3.0 * he), "xavier": (2.0, 2.0 * xavier)}
    rows = [
        {"activation": "relu", "scheme": scheme, "seed": seed, "layer": layer, "mean": 0.6 * size, "std": 0.8 * size}
        for scheme, pair in sizes.items()
        for seed in (0, 1)
        for layer, size in zip(("a", "b", "output"), (*pair, 9.0), strict=True)
    ]
    result = InitialValues(Path("nowhere"), {}, pd.DataFrame(rows), *(pd.DataFrame() for _ in range(3)))
    assert keeps_size(result).verdict == verdict
    assert f"by a factor {he:.3g} ± 0 with he" in keeps_size(result).evidence


def test_statements_about_saddles_that_methods_leave() -> None:
    base = {"where": "saddles of nets", "run": "a", "noise": 0.0, "saddles": 5, "left": 5, "steps": 20.0}
    rows = [base | {"seed": seed, "method": method} for seed in (0, 1) for method in ("sgd", "momentum", "adam")]
    stays = [row | ({"left": 0, "steps": math.nan} if row["method"] == "sgd" else {}) for row in rows]
    said = leaves(stays, "saddles of nets", 0.0)
    assert said.verdict == HOLDS
    assert said.evidence == (
        "sgd left 0 of 10; momentum left 10 of 10, median 20 steps; adam left 10 of 10, median 20 steps; 2 seeds"
    )
    assert leaves([*stays[:3], *rows[3:]], "saddles of nets", 0.0).verdict == PARTLY
    assert leaves(rows, "saddles of nets", 0.0).verdict == FAILS
    assert leaves([row | {"left": 4} for row in rows], "saddles of nets", 0.0).verdict == FAILS
    assert leaves([row | {"saddles": 0, "left": 0} for row in rows], "saddles of nets", 0.0).verdict == OPEN
    assert leaves(stays, "saddles of nets", 0.1).verdict == OPEN


def test_statements_about_distilled_nets() -> None:
    study = Opened(CONFIGS / "distill.yaml", "laptop").study
    assert isinstance(study, DistillStudy)
    alone = [0.05, 0.052, 0.049, 0.051, 0.05]
    gains = {None: [0.03] * 5, 1.0: [0.001, -0.001, 0.0, 0.002, -0.001], 3.0: [0.01, 0.012, 0.008, 0.01, 0.011],
             20.0: [-0.01, -0.012, -0.008, -0.01, -0.011]}  # fmt: skip
    study = study.model_copy(update={"nets": {"large": "", "small": ""}})
    run = Run("nowhere")
    found = [Trained("small", None, seed, run, value, 0.1) for seed, value in enumerate(alone)]
    for temperature, own in gains.items():
        net = "large" if temperature is None else "small"
        found += [Trained(net, temperature, seed, run, alone[seed] - gain, 0.1) for seed, gain in enumerate(own)]
    said = judge_distillation(found, study)
    assert [each.verdict for each in said] == [HOLDS, OPEN, HOLDS, FAILS]
    expected = stats.ttest_rel(alone, [a - g for a, g in zip(alone, gains[3.0], strict=True)]).confidence_interval(0.95)
    assert paired(gains[3.0], 0.95)[1:] == pytest.approx(tuple(expected))
    words = f"1.02 points fewer, 95 % interval {100 * expected.low:.2f} to {100 * expected.high:.2f}"
    assert words in said[2].evidence
    assert [each.verdict for each in judge_distillation([f for f in found if f.seed == 0], study)] == [OPEN] * 4


EPOCHS: list[tuple[dict[str, list[float]], list[str]]] = [
    # first LM and GM and epochs trained of each net -> verdicts: twice (LM), longest (LM), twice (GM), CNN longer
    ({"dnn": [20, 40, 50], "cnn": [15, 20, 50], "resnet50": [10, 20, 50]}, [HOLDS, HOLDS, HOLDS, HOLDS]),
    ({"dnn": [9, 40, 50], "cnn": [9, 20, 50], "resnet50": [10, 39, 50]}, [FAILS, FAILS, FAILS, FAILS]),
    ({"dnn": [math.nan, math.nan, 50], "cnn": [12, 20, 50], "resnet50": [10, 10, 50]}, [FAILS, HOLDS, FAILS, HOLDS]),
    ({"dnn": [math.nan] * 2 + [5], "cnn": [math.nan] * 2 + [5], "resnet50": [math.nan] * 2 + [5]}, [OPEN] * 4),
    ({"dnn": [2, math.nan, 5], "cnn": [0, math.nan, 5], "resnet50": [0, math.nan, 5]}, [FAILS, HOLDS, OPEN, FAILS]),
]


@pytest.mark.parametrize(("rows", "verdicts"), EPOCHS)
def test_statements_about_epochs(rows: dict[str, list[float]], verdicts: list[str]) -> None:
    summary = pd.DataFrame([dict(zip(("lm_epoch", "gm_epoch", "epochs"), row, strict=True)) for row in rows.values()])
    study: Any = SimpleNamespace(window=1)
    found = judge_epochs([summary], list(rows), study, [[]])
    assert [each.verdict for each in found] == verdicts
    idle = judge_epochs([summary], list(rows), study, [["dnn"]])
    assert [each.verdict for each in idle] == [OPEN, OPEN, OPEN, verdicts[3]]
    seeds: Any = SimpleNamespace(window=1, seeds=[0, 1])
    twice = judge_epochs([summary] * 2, list(rows), seeds, [[], ["dnn"]])
    assert [each.verdict for each in twice] == [OPEN, OPEN, OPEN, verdicts[3]]
    assert twice[0].evidence.startswith("first LM: seed 0: ")
    assert twice[0].evidence.endswith("; dnn did not train")


@pytest.mark.parametrize(
    ("verdicts", "all_of_them"),
    [
        ([HOLDS, HOLDS], HOLDS),
        ([FAILS, FAILS], FAILS),
        ([HOLDS, OPEN, FAILS], PARTLY),
        ([HOLDS, OPEN], OPEN),
        ([FAILS, OPEN], OPEN),
        ([OPEN], OPEN),
    ],
)
def test_a_verdict_over_seeds_is_open_while_the_open_ones_may_change_it(verdicts: list[str], all_of_them: str) -> None:
    assert together(verdicts) == all_of_them


SLOPES = {  # mean slope, share, greatest slope, asymmetry of dnn, cnn, resnet50 on two planes -> verdicts
    "as published": ([[(9, 8), (3, 3), (1, 1)], [(0.1, 0.2), (0.3, 0.3), (0.9, 0.8)],
                      [(20, 30), (5, 5), (2, 2)], [(0.9, 0.8), (0.1, 0.1), (0.2, 0.2)]], [HOLDS] * 4),
    "ties": ([[(9, 8), (1, 1), (1, 1)], [(0.1, 0.2), (1, 1), (1, 1)],
              [(20, 5), (5, 5), (2, 2)], [(0.9, 0.1), (0.1, 0.8), (0.2, 0.2)]], [FAILS, FAILS, PARTLY, PARTLY]),
    "not defined": ([[(9, 8), (3, 3), (1, math.nan)], [(0.1, 0.2), (0.3, 0.3), (math.nan, math.nan)],
                     [(20, 5), (5, 5), (2, math.inf)], [(0.9, 0.8), (0.1, 0.1), (0.2, 0.2)]],
                    [HOLDS, OPEN, HOLDS, HOLDS]),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOPES)
def test_statements_about_surfaces(name: str, tmp_path: Path) -> None:
    values, verdicts = SLOPES[name]
    keys = ["mean_slope", "share_+1", "max_slope", "asymmetry"]
    nets = ["dnn", "cnn", "resnet50"]
    rows = [
        [f"{net}@last", targets, seed, "folder", *(values[k][n][seed] if targets == "soft" else 1.0 for k in range(4))]
        for n, net in enumerate(nets)
        for targets in ("labels", "soft")
        for seed in range(2)
    ]
    write_csv(tmp_path / "measures.csv", ["net", "targets", "seed", "surface", *keys], rows)
    pairs = [(tmp_path, {net: f"{net}@last" for net in nets})]
    assert [each.verdict for each in judge_surfaces(pairs, "soft", [])] == verdicts
    assert {each.verdict for each in judge_surfaces(pairs, "soft", ["cnn"])} == {OPEN}
    printed = judge_surfaces(pairs, "soft", [], printed=True)
    assert [each.verdict for each in printed] == [verdicts[0], verdicts[2]]
    assert all("as printed" in each.claim for each in printed)
    twice = judge_surfaces(pairs * 2, "soft", [])
    assert [each.verdict for each in twice] == verdicts
    assert all("of 4 planes of 2 seeds" in each.evidence for each in twice)


HALF = np.r_[np.linspace(0.5, 1.05, 6), 1.05, 0.95, 1.0, 1.02, 0.98]  # λmax / (2/η) at epochs 0, 10, … 100
DESCENTS = {  # what is changed of λmax / (2/η) and of losses that fall by zigzags -> verdicts: rises, hovers, falls
    "as published": ((), slice(0), [HOLDS, HOLDS, HOLDS]),
    "never there": ((slice(0, 11), 0.7), slice(0), [FAILS, FAILS, HOLDS]),
    "from above": ((slice(0, 5), 1.3), slice(0), [FAILS, HOLDS, HOLDS]),
    "early alone": ((slice(6, 11), 0.8), slice(0), [HOLDS, FAILS, HOLDS]),
    "above the band": ((slice(6, 11), 1.2), slice(0), [HOLDS, FAILS, HOLDS]),
    "early outside": ((slice(1, 3), 2.0), slice(0), [HOLDS, HOLDS, HOLDS]),
    "at every step": ((), slice(0, 101), [HOLDS, HOLDS, FAILS]),
}


def descent(ratio: np.ndarray, losses: np.ndarray) -> Descent:
    """A run whose eigenvalues and losses these are, with 2/η = 4."""
    names = [f"epoch-{10 * place:04}" for place in range(len(ratio))]
    table = pd.DataFrame({
        "checkpoint": names, "block": "whole", "rank": 1, "eigenvalue": 4 * ratio, "converged": 1.0
    })  # fmt: skip
    traces = pd.DataFrame({"checkpoint": names, "block": "whole", "epoch": 10.0 * np.arange(len(ratio))})
    settings = {"stability": {"limit": 4.0}}
    found = Descent("a", 0.5, 0, Run(Path("a")), Curvature(Path("a"), settings, table, traces, pd.DataFrame()))
    vars(found)["losses"] = losses
    return found


@pytest.mark.parametrize("name", DESCENTS)
def test_statements_about_gradient_descent(name: str) -> None:
    changed, smooth, verdicts = DESCENTS[name]
    ratio, losses = HALF.copy(), np.exp(-np.arange(101) / 40) * (1 + 0.1 * (np.arange(101) % 2))
    if changed:
        ratio[changed[0]] = changed[1]
    losses[smooth] = np.exp(-np.arange(101) / 40)[smooth]
    study = Opened(CONFIGS / "curvature.yaml", "laptop").study
    assert isinstance(study, CurvatureStudy)
    found = judge_descents([descent(ratio, losses)], study)
    assert [each.verdict for each in found] == verdicts
    mixed = judge_descents([descent(ratio, losses), descent(HALF, 2 - np.arange(101) / 100)], study)
    assert [each.verdict for each in mixed] == [v if v == HOLDS else PARTLY for v in verdicts[:2]] + [
        PARTLY if verdicts[2] == HOLDS else FAILS
    ]
    assert "of 2 seeds" in mixed[0].evidence


def test_gradient_descent_alone_has_the_limit() -> None:
    for setting, says in (("optimizer.name=adam", "is of gradient descent"), ("schedule.name=cosine", "constant")):
        with pytest.raises(BadInput, match=says):
            Opened(CONFIGS / "curvature.yaml", "smoke", [setting])


RISING = np.repeat(np.arange(6.0), 2)
POINTS = {  # index fractions of critical points by ascending loss -> the verdict
    "grows": (RISING, HOLDS),
    "falls": (-RISING, FAILS),
    "by chance": (RISING * 7 % 5, FAILS),
    "all alike": (np.zeros(12), FAILS),
    "few": (RISING[-7:], OPEN),
}


def points(index: np.ndarray, twice: bool = False) -> Points:
    """Critical points of ascending loss."""
    table = pd.DataFrame({
        "loss": 1 + np.arange(float(len(index))), "index_fraction": index, "smallest": -1.0, "largest": 2.0,
        "converged": 1, "gradient_curvature": 1.0, "kind": "saddle",
    })  # fmt: skip
    return Points("a", 0, Run(Path("a")), Saddles(Path("a"), {}, pd.concat([table] * (1 + twice), ignore_index=True)))


@pytest.mark.parametrize("name", POINTS)
def test_statements_about_critical_points(name: str) -> None:
    index, verdict = POINTS[name]
    critical = Critical(net="a", sizes=[1.0])
    assert grows([points(index)], critical).verdict == verdict
    assert grows([points(index, twice=True)], critical).verdict == verdict  # found twice, they are no more
    assert grows([points(index), points(RISING)], critical).verdict == {FAILS: PARTLY}.get(verdict, HOLDS)


def test_critical_points_are_of_a_net_that_there_is(tmp_path: Path) -> None:
    shutil.copytree(CONFIGS.parent, tmp_path / "configs")
    file = tmp_path / "configs" / "studies" / "curvature.yaml"
    file.write_text(file.read_text().replace("net: small", "net: smal"))
    with pytest.raises(BadInput, match=r"critical\.net.*'small'"):
        Opened(file, "laptop")


def test_epochs_of_a_run_shorter_than_the_window_say_nothing() -> None:
    rows = [
        {"lm_epoch": 4.0, "gm_epoch": math.nan, "epochs": 20},
        *[{"lm_epoch": math.nan, "gm_epoch": math.nan, "epochs": 1}] * 2,
    ]
    study: Any = SimpleNamespace(window=3)
    found = judge_epochs([pd.DataFrame(rows)], ["dnn", "cnn", "resnet50"], study, [[]])
    assert [each.verdict for each in found] == [OPEN] * 4


class Done(NamedTuple):
    """A study that was done, and its page."""

    opened: Opened
    home: Path
    statements: list[Statement]
    page: Path


def test_a_race_in_whose_net_no_saddle_was_found_has_a_page(own_run: Run, undrawn: None) -> None:
    home = own_run.path.parent
    rows = rows_of(
        SimpleNamespace(  # type: ignore[arg-type]
            settings={"starts": [(0.0, 0.0)], "noise": 0.0}, methods=["sgd"], title="saddle",
            outcomes=pd.DataFrame([{"method": "sgd", "start": 0, "outcome": "left", "steps": 3.0}]),
        ), 0, "", 0.0,
    )  # fmt: skip
    begin_study(home, {"study": "race", "scale": "smoke", "steps": 20})
    end_study(home, [leaves(rows, "saddle", 0.0)], rows)
    page = write_study_report(home)
    assert "saddle, noise 0, sgd" in page.read_text()
    assert [file.name for file in page.parent.glob("files/*/training.png")] == ["training.png"]


STATED = {"interpolation": 11, "minimum": 11, "curvature": 4, "distill": 4, "initial": 3, "race": 3}
"""Statements of each study at the smoke scale."""


@pytest.fixture(
    scope="module",
    params=[
        "interpolation",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("minimum", "curvature", "distill", "initial", "race")),
    ],
)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A study at the smoke scale."""
    opened = Opened(CONFIGS / f"{request.param}.yaml", "smoke")
    home = tmp_path_factory.mktemp("runs") / opened.name
    statements = run_study(opened, home)
    return Done(opened, home, statements, write_study_report(home))


def test_a_study_says_of_each_statement_whether_it_holds(done: Done) -> None:
    page = done.page
    with open(done.home / STUDY / STATEMENTS, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["claim"] for row in rows] == [each.claim for each in done.statements]
    assert {row["verdict"] for row in rows} <= {HOLDS, PARTLY, FAILS, OPEN}
    assert len(rows) == STATED[done.opened.study.study]
    seen = Page(page)
    assert_stands_alone(seen)
    assert "Scale smoke: it shows in seconds that all works" in seen.text
    assert "its verdicts mean nothing" in seen.text
    for row in rows:
        assert row["claim"] in seen.text
        assert f"<b>{row['verdict']}</b>" in page.read_text(encoding="utf-8")
        assert " ".join(row["evidence"].split()) in seen.text


@pytest.mark.slow
def test_the_page_is_made_again_from_the_files_alone(done: Done) -> None:
    page = done.page

    def written() -> dict[Path, bytes]:
        """All but the times of files, by which a page is left as it lies."""
        return {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file() and path.name != STAMP}

    before = written()
    shutil.rmtree(page.parent)
    code = (
        "import sys; from pathlib import Path; from lossscape.studies.page import write_study_report\n"
        f"write_study_report(Path({str(done.home)!r})); print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
    assert written() == before


def test_a_second_call_computes_nothing(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("curve.csv", "surface.csv", "metrics.csv", "measures.csv", "eigenvalues.csv", "saddles.csv")
    results = [path for path in done.home.rglob("*") if path.name in names]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in results}
    assert before

    def fail(*given: Any, **named: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("lossscape.train.loop.take_step", fail)
    monkeypatch.setattr("lossscape.evaluate.engine.Work.rows", fail)
    monkeypatch.setattr("lossscape.spectra.Hessian.__matmul__", fail)
    assert run_study(done.opened, done.home) == done.statements
    assert all(path.read_bytes() == content for path, (_, content) in before.items())


def test_a_study_called_again_is_not_gone_through_until_something_changed(
    done: Done, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("study", done.opened.path, "--scale", "smoke", "--runs", done.home.parent)
    called: list[Path] = []

    def gone_through(opened: Opened, home: Path, **named: Any) -> list[Statement]:
        called.append(home)
        return run_study(opened, home, **named)

    monkeypatch.setattr("lossscape.studies.run.run_study", gone_through)
    first, again = cli(*words, "--quiet"), cli(*words)
    assert called == [done.home]
    assert f"{done.home} is finished, and nothing of it has changed" in again.err
    assert all(each.evidence in again.out for each in done.statements)
    assert again.out.endswith(first.out)
    file = done.home / STUDY / STATEMENTS
    before = file.read_bytes()
    file.write_bytes(before[:-1])  # cut, as a table of statements none of which "holds" can be too
    assert cli(*words).code == 0
    assert len(called) == 2
    assert file.read_bytes() == before


def test_a_study_of_other_settings_does_not_keep_the_statements(tmp_path: Path) -> None:
    begin_study(tmp_path, {"study": "a"})
    end_study(tmp_path, [Statement("a", "b", HOLDS, "c, d")], [{"x": 1.5}])
    said = tmp_path / STUDY / STATEMENTS
    begin_study(tmp_path, {"study": "a"})
    assert said.read_text() == 'source,claim,verdict,evidence\na,b,holds,"c, d"\n'
    begin_study(tmp_path, {"study": "b"})
    assert not said.exists()


def two_rates() -> tuple[Opened, MinimumStudy]:
    """The study of minima at its smoke scale with a second learning rate."""
    opened = Opened(CONFIGS / "minimum.yaml", "smoke")
    assert isinstance(opened.study, MinimumStudy)
    return opened, opened.study.model_copy(update={"learning_rates": [0.01, 0.001]})


def test_the_learning_rate_is_the_first_that_trains(tmp_path: Path) -> None:
    opened, study = two_rates()
    own = {
        net: train_net(opened, study, tmp_path, net, None, "auto", lambda words: None, True) for net in ("dnn", "cnn")
    }
    assert [(each.rate, each.trains, each.epochs) for each in own["dnn"]] == [(0.01, True, 5)]
    assert [(each.rate, each.trains, each.epochs) for each in own["cnn"]] == [(0.01, False, 1), (0.001, False, 5)]
    assert [len(read_csv(each.run.metrics_file)) for each in own["cnn"]] == [2, 6]


def test_a_rate_that_fails_after_its_probe_does_not_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, study = two_rates()
    taken: list[float] = []

    def fails(experiment: Any, folder: Path, *, until: int | None = None, **named: Any) -> Any:
        taken.append(experiment.optimizer.lr)
        if until is None and experiment.optimizer.lr == 0.01:
            raise RunFailed("the loss is nan")
        return train(experiment, folder, until=until, **named)

    monkeypatch.setattr("lossscape.studies.minimum.train", fails)
    tried = train_net(opened, study, tmp_path, "dnn", None, "auto", lambda words: None, True)
    assert [(each.rate, each.trains) for each in tried] == [(0.01, False), (0.001, True)]
    assert taken == [0.01, 0.01, 0.001, 0.001]

    def no_data(*given: Any, **named: Any) -> Any:
        raise RunFailed("the download was interrupted")

    monkeypatch.setattr("lossscape.studies.minimum.train", no_data)
    with pytest.raises(RunFailed, match="download"):
        train_net(opened, study, tmp_path / "other", "dnn", None, "auto", lambda words: None, True)
