"""Comparisons: groups over seeds, what it takes to reach a value, the bootstrap, all against numbers by hand."""

import json
import math
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.legend import Legend
from seeing import assert_inside

from lossscape import yamlfile
from lossscape.analyses.compare.compute import bootstrap_interval, compute
from lossscape.analyses.compare.figure import build_curves, build_rates, words
from lossscape.analyses.compare.request import Request, until_of
from lossscape.analyses.compare.result import Comparison, difference_rows, reach_rows, read, value_rows
from lossscape.analyses.groups import common_name, shared_names
from lossscape.errors import BadInput
from lossscape.execution import Execution
from lossscape.figures.style import COLOURS, RUNS, Looks
from lossscape.results import write_csv

COLUMNS = ["epoch", "step", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "batch_loss",
           "grad_norm", "seconds"]  # fmt: skip


def run_of(
    folder: Path, name: str, accuracies: Sequence[float], state: str = "finished", more: dict[str, Any] | None = None,
    **config: Any,
) -> Path:  # fmt: skip
    """A run of given test accuracies by epoch; the losses are 1 − accuracy, an epoch has 10 steps and takes 2 s."""
    home = folder / name
    home.mkdir(parents=True)
    base = {"name": name, "seed": 0, "dataset": {"name": "digits"}, "model": {"name": "mlp", "hidden": [3]},
            "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"epochs": 3}}  # fmt: skip
    (home / "config.yaml").write_text(yamlfile.dump(base | config))
    (home / "state.json").write_text(json.dumps({"state": state, "epoch": 3, "step": 30}))
    counts = more or {}
    rows = [
        [e, 10 * e, 0.1, 1 - a, a, 1 - a, a, 0.5, 1.0, 2.0 * e, *(each[e] for each in counts.values())]
        for e, a in enumerate(accuracies)
    ]
    write_csv(home / "metrics.csv", [*COLUMNS, *counts], rows)
    return home


def sgd(rate: float) -> dict[str, Any]:
    return {"optimizer": {"name": "sgd", "lr": rate}}


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Plain descent at two rates and Newton's method, three seeds each; one run of the larger rate has failed."""
    slow = [
        run_of(tmp_path, f"sgd-lr-0.1-seed-{s}", [0.1, 0.5, 0.7, 0.8 + s / 100], seed=s, **sgd(0.1)) for s in range(3)
    ]
    fast = [
        run_of(tmp_path, f"sgd-lr-1-seed-{s}", [0.1, 0.9, 0.8, 0.95 - s / 50], seed=s, **sgd(1.0)) for s in range(2)
    ]
    fast.append(run_of(tmp_path, "sgd-lr-1-seed-2", [0.1, 0.6], "failed", seed=2, **sgd(1.0)))
    counts = {"gradient_evaluations": [0, 4, 8, 12], "hessian_products": [0, 20, 40, 60]}
    newton = {"optimizer": {"name": "newton"}}
    second = [
        run_of(tmp_path, f"newton-seed-{s}", [0.1, 0.2, 0.9, 0.9], more=counts, seed=s, **newton) for s in range(3)
    ]
    return [*slow, *fast, *second]


def compared(runs: Sequence[Path], *until: str, **options: Any) -> Comparison:
    return read(compute(Request(tuple(map(str, runs)), until, **options), Execution()))


def test_groups_are_means_over_seeds_and_failed_runs_are_counted(runs: list[Path]) -> None:
    table = compared(runs).table.set_index("group")
    assert list(table.index) == ["sgd-lr-0.1", "sgd-lr-1", "newton"]
    assert list(table["method"]) == ["sgd", "sgd", "newton"]
    assert table.loc["sgd-lr-1", ["runs", "finished", "failed"]].tolist() == [3, 2, 1]
    finals = [0.8, 0.81, 0.82]
    assert table.loc["sgd-lr-0.1", "final_test_accuracy_mean"] == pytest.approx(np.mean(finals))
    assert table.loc["sgd-lr-0.1", "final_test_accuracy_std"] == pytest.approx(np.std(finals, ddof=1))
    fast = table.loc["sgd-lr-1"]
    assert fast["final_test_accuracy_n"] == 2
    assert fast["final_test_accuracy_mean"] == pytest.approx((0.95 + 0.93) / 2)
    assert fast["best_test_loss_mean"] == pytest.approx((0.05 + 0.07) / 2)
    assert fast["seconds_mean"] == 6
    assert math.isnan(table.loc["newton", "lr"])


def test_what_it_takes_to_reach_a_value_is_of_those_that_do_and_says_how_many(runs: list[Path]) -> None:
    found = compared(runs, "test_accuracy=0.81", "train_loss=0.06")
    table = found.table.set_index("group")
    at = "test_accuracy=0.81"
    assert table[f"{at} reached"].tolist() == [2, 2, 3]
    assert table.loc["sgd-lr-0.1", [f"{at} {cost}_mean" for cost in ("epoch", "step", "seconds")]].tolist() == [
        3,
        30,
        6,
    ]
    assert table.loc["sgd-lr-1", f"{at} gradient_evaluations_mean"] == 1  # one pass is one gradient
    newton = table.loc["newton"]
    assert newton[f"{at} gradient_evaluations_mean"] == 8
    assert newton[f"{at} hessian_products_mean"] == 40
    rows = {row[0]: row[1:] for row in reach_rows(found, "group", at)}
    assert rows["sgd-lr-0.1"] == ["2 of 3", "3 ± 0", "30 ± 0", "3 ± 0", "0 ± 0", "6 ± 0"]
    assert rows["newton"] == ["3 of 3", "2 ± 0", "20 ± 0", "8 ± 0", "40 ± 0", "4 ± 0"]
    never = {row[0]: row[1] for row in reach_rows(found, "group", "train_loss=0.06")}
    assert never == {"sgd-lr-0.1": "never (0 of 3)", "sgd-lr-1": "1 of 3", "newton": "never (0 of 3)"}
    assert [row[:3] for row in value_rows(found, "method")] == [["sgd", "0.1", "3"], ["newton", "–", "3"]]
    lines = "\n".join(found.lines())
    assert "until train_loss=0.06" in lines
    assert "| newton | – | 3 | 0 | 90.00 ± 0.00 |" in words(found)


def test_differences_are_paired_by_seed_and_refuse_an_interval_of_few(runs: list[Path]) -> None:
    found = compared(runs)
    assert found.baseline == "newton"  # no run of it has failed
    rows = {row[0]: row[1:] for row in difference_rows(found)}
    assert rows["sgd-lr-1"] == ["newton", "2", "4", "none: fewer than 3 pairs"]
    assert rows["sgd-lr-0.1"][:3] == ["newton", "3", "−9"]
    other = compared(runs, baseline="sgd-lr-0.1", metric="test_loss").differences.set_index("group")
    assert other.loc["newton", "difference"] == pytest.approx(-0.09)
    assert -0.1001 < other.loc["newton", "low"] < -0.09 < other.loc["newton", "high"] < -0.0799


def test_the_bootstrap_is_that_of_every_resample() -> None:
    values = np.array([0.3, -0.1, 0.7])
    every = np.stack(np.meshgrid(*[values] * 3), axis=-1).reshape(-1, 3).mean(axis=1)  # all 27, equally likely
    low, high = bootstrap_interval(values, 200_000, 0.8, seed=0)
    assert low == pytest.approx(np.quantile(every, 0.1), abs=1e-9)
    assert high == pytest.approx(np.quantile(every, 0.9), abs=1e-9)
    assert bootstrap_interval(values, 500, 0.9, seed=1) == bootstrap_interval(values, 500, 0.9, seed=1)


def test_figures_show_means_with_bands_and_rates(runs: list[Path]) -> None:
    found = compared(runs)
    figure = build_curves(found)
    left, right = figure.axes
    assert left.get_ylabel() == "train loss (cross-entropy, mean per sample)"
    shutil.rmtree(runs[0].parent / "sgd-lr-0.1-seed-0")  # what is drawn asks for none of the runs
    assert build_curves(read(found.folder)).axes[0].get_ylabel() == left.get_ylabel()
    lines = {line.get_label(): line for line in right.lines}
    shown = lines["sgd-lr-0.1 test_accuracy"].get_ydata()
    assert np.asarray(shown, dtype=float) == pytest.approx([90, 50, 30, 19])
    assert left.get_yscale() == "log"
    assert_inside(figure)
    rates = build_rates(found)
    (drawn,) = (each for each in rates.axes[0].containers)
    assert np.asarray(drawn.lines[0].get_xdata()).tolist() == [0.1, 1.0]
    assert np.asarray(drawn.lines[0].get_ydata()) == pytest.approx([19, 6])
    low, high = rates.axes[0].get_ylim()
    (bars,) = drawn.lines[2]
    assert all(low < end < high for segment in bars.get_segments() for end in segment[:, 1])
    assert_inside(rates)


def test_bars_of_a_wide_spread_are_within_the_figure(tmp_path: Path) -> None:
    """Of one learning rate, as where every run at another has failed."""
    runs = [run_of(tmp_path, f"lr-0.1-seed-{s}", [0.1, 0.5 + s / 10], seed=s, **sgd(0.1)) for s in range(4)]
    runs.append(run_of(tmp_path, "lr-9-seed-0", [0.1], "failed", **sgd(9.0)))
    axes = build_rates(compared(runs)).axes[0]
    (bars,) = axes.containers[0].lines[2]
    low, high = axes.get_ylim()
    ends = np.asarray(bars.get_segments()[0])[:, 1]
    assert low < ends.min() < ends.max() < high


def test_runs_named_after_learning_rates_alone_are_a_method_by_its_optimizer(tmp_path: Path) -> None:
    runs = [
        run_of(tmp_path, f"lr-{rate}-seed-{s}", [0.1, rate], seed=s, **sgd(rate))
        for rate in (0.01, 0.1)
        for s in (0, 1)
    ]
    found = compared(runs)
    assert found.table["group"].tolist() == ["lr-0.01", "lr-0.1"]
    assert found.table["method"].tolist() == ["sgd", "sgd"]
    assert not any(line.startswith("group") for line in found.lines())  # no head without a row


def test_groups_of_one_run_have_the_colours_of_the_page(runs: list[Path]) -> None:
    chosen = [runs[6], runs[0], runs[3]]
    looks = Looks(tuple((run.name, run.resolve()) for run in (runs[0], runs[3], runs[6])))
    found = compared(chosen)
    figure = build_curves(found, looks=looks)
    lines = figure.axes[0].lines
    assert "One run a group" in str(figure.caption)
    (legend,) = figure.findobj(Legend)
    assert len(legend.get_texts()) == len(chosen)  # no band
    places = [sorted(each.name for each in chosen).index(run.name) for run in chosen]
    assert [line.get_color() for line in lines] == [RUNS[place] for place in places]
    assert build_curves(compared(runs), looks=looks).axes[0].lines[0].get_color() == COLOURS[0]  # of several runs each


def test_losses_that_are_too_large_to_be_drawn_are_said(runs: list[Path]) -> None:
    table = pd.read_csv(runs[0] / "metrics.csv")
    table.loc[1, ["train_loss", "test_loss"]] = 9e30
    table.to_csv(runs[0] / "metrics.csv", index=False)
    found = compared(runs, metric="test_loss")
    assert "Left out: 2 values above 1e30." in str(build_curves(found).caption)  # means of a group at an epoch
    assert "Left out" not in str(build_rates(found).caption)  # after the last epoch there are none
    found.table.loc[0, "final_test_loss_mean"] = 1e31
    assert "Left out: 1 value above 1e30." in str(build_rates(found).caption)


def test_names_of_groups() -> None:
    assert common_name(["a-seed-1-x", "a-seed-2-x"]) == "a-x"
    assert common_name(["adam-lr-0.1", "adam-lr-1e-05"]) == "adam"
    configs = [{"seed": s, "optimizer": {"lr": r}} for r in (1, 2) for s in (0, 1)]
    names = ["a-lr-1-seed-0", "a-lr-1-seed-1", "a-lr-2-seed-0", "a-lr-2-seed-1"]
    assert shared_names(names, configs) == ["a-lr-1", "a-lr-1", "a-lr-2", "a-lr-2"]
    assert shared_names(names, configs, ("seed", "optimizer.lr")) == ["a"] * 4


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "--until": ({"until": ("accuracy",)}, "write METRIC=VALUE"),
    "its value": ({"until": ("test_accuracy=much",)}, "write METRIC=VALUE"),
    "its metric": ({"until": ("test_acuracy=0.9",)}, "did you mean 'test_accuracy'"),
    "--metric": ({"metric": "accuracy"}, "--metric 'accuracy' is not known"),
    "--baseline": ({"baseline": "sdg"}, "--baseline 'sdg' is not known"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(case: str, runs: list[Path]) -> None:
    options, message = WRONG[case]
    with pytest.raises(BadInput, match=message):
        compute(Request(tuple(map(str, runs)), **options), Execution())


def test_until_is_read_as_it_is_written() -> None:
    assert (until_of("test_accuracy=0.97").metric, until_of("train_loss = 1e-2").value) == ("test_accuracy", 0.01)


def test_runs_of_numbers_without_epochs_are_refused(tmp_path: Path) -> None:
    empty = run_of(tmp_path, "empty", [])
    with pytest.raises(BadInput, match="no epoch yet"):
        compared([empty])
    (empty / "metrics.csv").unlink()
    with pytest.raises(BadInput, match="no such file; train the run first"):
        compared([empty])


@pytest.mark.usefixtures("undrawn")
def test_the_command_and_the_page_know_sweeps(tmp_path: Path, cli: Callable[..., Any]) -> None:
    file = tmp_path / "sweep.yaml"
    base = {
        "device": "cpu", "dataset": {"name": "synthetic", "shape": [1, 2, 2], "train": 20, "test": 10},
        "model": {"name": "mlp", "hidden": [2]}, "optimizer": {"name": "sgd"},
        "training": {"epochs": 1, "batch_size": 10},
    }  # fmt: skip
    product = {"optimizer.lr": [0.1, 1e15], "seed": [0, 1]}
    file.write_text(yamlfile.dump({"name": "s", "base": base, "product": product}))
    assert cli("sweep", file, "--runs", tmp_path, "-q").code == 0
    answer = cli("compare", tmp_path / "s", "--until", "test_accuracy=0.9", "--until", "train_loss=9")
    assert answer.code == 0, answer.err
    assert "until train_loss=9" in answer.out
    (folder,) = (tmp_path / "s" / "compare").iterdir()
    bare = compute(Request((str(tmp_path / "s"),)), Execution())
    assert re.fullmatch(r"all-[0-9a-f]{8}", bare.name)  # which no shell takes for an option
    assert {"table.md", "curves.png", "rates.png", "table.png"} <= {path.name for path in folder.iterdir()}
    assert cli("report", tmp_path / "s").code == 0
    page = (tmp_path / "s" / "report" / "index.html").read_text()
    assert "4 runs: 2 finished, 2 failed." in page
    assert "rates.png" in page
    assert "lr-1e+15-seed-0" in page
