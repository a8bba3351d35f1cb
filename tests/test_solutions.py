"""Kinds of solution: the definitions on losses made by hand, what holds for all losses, tables, figure, page."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
import pytest
from computing import solutions
from conftest import forget
from hypothesis import given
from hypothesis import strategies as st

from lossscape import yamlfile
from lossscape.analyses.groups import common_name
from lossscape.analyses.solutions.figure import build_solutions
from lossscape.analyses.solutions.kinds import KINDS, OPEN, Rule, kinds
from lossscape.analyses.solutions.result import Solutions
from lossscape.analyses.solutions.result import read as read_solutions
from lossscape.errors import BadInput
from lossscape.report import write_report
from lossscape.runs import Run, metrics_columns
from tests.conftest import Answer
from tests.report_runs import table, write_run
from tests.seeing import assert_inside, png_size, words_of

COLUMNS = metrics_columns([f"{split}_{name}" for split in ("train", "test") for name in ("loss", "accuracy")])

INF, NAN = float("inf"), float("nan")


class Case(NamedTuple):
    """Losses of epochs in succession and the kind of each: n(one), L(M), G(M), T(M), ?: not known."""

    train: Sequence[float]
    test: Sequence[float]
    kinds: str
    window: int = 1
    tolerance: float = 0.01
    zero: float = 0.01


ONES = (1.0,) * 9
CASES = {
    "falling": Case([8, 4, 2, 1], ONES, "nnn?"),
    "a_plateau": Case([2, 2, 2, 2, 2], ONES, "LLLL?"),
    "a_plateau_over_three": Case([2, 2, 2, 2, 2], ONES, "LL???", window=3),
    "too_short_for_the_window": Case([2, 2, 2], ONES, "???", window=3),
    "just_long_enough": Case([2, 2, 2, 2], ONES, "L???", window=3),
    "one_epoch_by_accident": Case([8, 8, 4, 2, 2], ONES, "LnnL?"),
    "no_accident_over_two": Case([8, 8, 4, 2, 2, 2], ONES, "nnnL??", window=2),
    "within_the_tolerance": Case([100, 101, 100, 99.5], ONES, "LLL?"),
    "beyond_the_tolerance": Case([100, 102, 100, 98], ONES, "nnn?"),
    "of_the_greater_loss": Case([1, 2, 1], ONES, "LL?", tolerance=0.5),
    "less_than_of_the_greater": Case([1, 2, 1], ONES, "nn?", tolerance=0.49),
    "each_step_counts_not_their_sum": Case([100, 99.5, 99, 98.5, 98], ONES, "LL???", window=3),
    "falling_far_below_zero": Case([1, 0.1, 0.005, 0.001, 0.0001], ONES, "nnGG?"),
    "below_zero_and_out_again": Case([0.005, 0.02, 0.005, 0.004], ONES, "nnG?"),
    "across_zero_within_the_tolerance": Case([0.00999, 0.01001, 0.00999, 0.00998], ONES, "GLG?"),
    "true": Case([0.005, 0.004, 0.003], [0.01, 0.001, 9], "TT?"),
    "true_while_the_test_loss_is": Case([0.005, 0.004, 0.003, 0.002], [0.02, 0.001, 0.02, 0], "GTG?"),
    "true_over_two": Case([0.005, 0.004, 0.003, 0.002, 0.001], [1, 0, 0, 1, 0], "GTG??", window=2),
    "all_in_turn": Case(
        [5, 2, 2, 2, 0.009, 0.008, 0.007, 0.006, 0.005], [5, 4, 4, 4, 1, 0.009, 0.009, 0.009, 1], "nLnnGTT??", window=2
    ),
    "exactly_zero": Case([0, 0, 0], [0, 0, 0], "TT?", tolerance=0.0, zero=0.0),
    "nothing_tolerated": Case([1, 1, 1 + 1e-9], ONES, "Ln?", tolerance=0.0, zero=0.0),
    "a_low_test_loss_alone": Case([1, 1, 1], [0, 0, 0], "LL?"),
    "nan": Case([1, NAN, 1, 1, 1], ONES, "nnLL?"),
    "nan_twice": Case([NAN, NAN, NAN], [NAN, NAN, NAN], "nn?"),
    "infinite": Case([1, INF, INF, 1, 1], ONES, "nnnL?"),
    "test_loss_nan": Case([0, 0, 0], [NAN, INF, 0], "GG?"),
    "negative": Case([-5, -5.01, -4, -0.001, 0.001, 0.002], [-0.001] * 6, "LnnTT?"),
    "enormous": Case([1e308, -1e308, 1e308], ONES, "nn?"),
    "one_epoch": Case([1.0], ONES, "?"),
}
SIGNS = {"?": OPEN} | {kind[0]: index for index, kind in enumerate(KINDS)}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_kinds_of_losses_made_by_hand(case: Case) -> None:
    rule = Rule(case.tolerance, case.zero, case.window)
    train, test = np.array(case.train, dtype=float), np.array(case.test[: len(case.train)], dtype=float)
    found = kinds(train, test, rule)
    assert found.tolist() == [SIGNS[sign] for sign in case.kinds]


def by_definition(train: Sequence[float], test: Sequence[float], rule: Rule) -> list[int]:
    """The definitions word for word, epoch by epoch."""

    def alike(a: float, b: float) -> bool:
        both_zero = abs(a) <= rule.zero and abs(b) <= rule.zero
        return both_zero or abs(b - a) / max(abs(a), abs(b)) <= rule.tolerance

    found = []
    for i in range(len(train)):
        ahead = range(i, i + rule.window)
        if i + rule.window >= len(train):
            found.append(OPEN)
            continue
        local = all(alike(train[j], train[j + 1]) for j in ahead)
        at_zero = local and all(abs(train[j]) <= rule.zero for j in ahead)
        true = at_zero and all(abs(test[j]) <= rule.zero for j in ahead)
        found.append(local + at_zero + true)
    return found


LOSSES = st.lists(
    st.tuples(*[st.sampled_from([0.0, 0.001, 0.004, 0.0041, 0.5, 0.502, 0.52, 1.0]) | st.floats(0, 9)] * 2),
    min_size=1,
    max_size=20,
).map(lambda pairs: np.array(pairs).T)
RULES = st.builds(Rule, st.floats(0, 0.5), st.floats(0, 0.6), st.integers(1, 4))


def first(found: np.ndarray, kind: int) -> float:
    """The first epoch of a kind or a stronger one; infinite where there is none."""
    reached = np.nonzero(found >= kind)[0]
    return float(reached[0]) if len(reached) else INF


@given(LOSSES, RULES)
def test_kinds_are_those_of_the_definitions(losses: np.ndarray, rule: Rule) -> None:
    found = kinds(*losses, rule)
    assert found.tolist() == by_definition(*losses.tolist(), rule)
    assert first(found, 1) <= first(found, 2) <= first(found, 3)


@given(LOSSES, RULES, st.floats(0, 1), st.floats(0, 1), st.integers(0, 3))
def test_more_tolerance_finds_more_and_a_longer_window_less(
    losses: np.ndarray, rule: Rule, tolerance: float, zero: float, window: int
) -> None:
    found = kinds(*losses, rule)
    for wider in (
        Rule(rule.tolerance + tolerance, rule.zero, rule.window),
        Rule(rule.tolerance, rule.zero + zero, rule.window),
    ):
        assert (kinds(*losses, wider) >= found).all()
    longer = kinds(*losses, Rule(rule.tolerance, rule.zero, rule.window + window))
    assert (longer <= found).all()


@given(LOSSES, RULES, st.integers(0, 5), st.integers(-8, 8))
def test_later_and_in_other_units(losses: np.ndarray, rule: Rule, later: int, power: int) -> None:
    """Epochs before that fall shift what is found, and units of the losses change nothing."""
    found = kinds(*losses, rule)
    begin = 100.0 * 4.0 ** np.arange(later, 0, -1)
    shifted = kinds(*np.hstack([[begin, begin], losses]), rule)
    assert shifted[later:].tolist() == found.tolist()
    scaled = kinds(*(losses * 2.0**power), Rule(rule.tolerance, rule.zero * 2.0**power, rule.window))
    assert scaled.tolist() == found.tolist()


@given(LOSSES, RULES, st.integers(2, 4))
def test_a_net_that_takes_twice_the_epochs_has_its_global_minimum_twice_as_late(
    losses: np.ndarray, rule: Rule, times: int
) -> None:
    """Of losses that fall: every value kept for `times` epochs."""
    falling = np.sort(losses)[:, ::-1]
    fast, slow = kinds(*falling, rule), kinds(*np.repeat(falling, times, axis=1), rule)
    for kind in (2, 3):
        if first(fast, kind) < INF:
            assert first(slow, kind) == times * first(fast, kind)


def write_losses(
    folder: Path, name: str, train: Sequence[float], test: Sequence[float] = ONES * 20, **changes: Any
) -> Run:
    """A run with these losses; changes: of its config."""
    run = write_run(folder, name, epochs=1)
    config = yamlfile.read(run.config_file).data
    run.config_file.write_text(yamlfile.dump({**config, "seed": 0, **changes}))
    rows = [
        [e, e, 0.1, t, 0.5, v, 0.5, 1.0 if e else None, 0.5 if e else None, e]
        for e, (t, v) in enumerate(zip(train, test, strict=False))
    ]
    run.metrics_file.write_text(table(COLUMNS, rows))
    return run


def falls(epochs: int, after: int, low: float = 0.001) -> list[float]:
    """Losses of so many epochs that halve before `after` and then stay."""
    return [2.0 * 0.5**e if e < after else low for e in range(epochs + 1)]


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV as text."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_run(tmp_path: Path, cli: Callable[..., Answer]) -> None:
    run = write_losses(tmp_path, "a", [4, 2, 2, 2, 2, 0.005, 0.004, 0.003, 0.002, 0.001, 0.001], [4] * 6 + [0.001] * 5)
    answer = cli("solutions", run.path)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[:2] == [
        "run  epochs  first LM  first GM  first TM",
        "a        10         1         5         6",
    ]
    (folder,) = (run.path / "solutions").iterdir()
    assert folder.name.startswith("tolerance-0.01-zero-0.01-window-3-")
    assert {file.name for file in folder.iterdir()} == {
        ".lock", ".made", "digests.jsonl", "settings.yaml",
        "epochs.csv", "summary.csv", "solutions.png", "solutions.txt",
    }  # fmt: skip
    rows = rows_of(folder / "epochs.csv")
    assert [row["kind"] for row in rows] == ["none", "LM", "none", "none", "none", "GM", "TM", "TM", "", "", ""]
    assert [float(row["train_loss"]) for row in rows[:3]] == [4.0, 2.0, 2.0]
    assert [row["relative_change"] for row in rows[:3]] == ["0.5", "0.0", "0.0"]
    assert rows[-1]["relative_change"] == ""
    (summary,) = rows_of(folder / "summary.csv")
    assert (summary["run"], summary["config"], summary["seed"], summary["epochs"]) == ("a", "a", "0", "10")
    assert [summary[f"{kind}_epoch"] for kind in ("lm", "gm", "tm")] == ["1", "5", "6"]
    assert [summary[f"gm_{loss}"] for loss in ("train_loss", "test_loss")] == ["0.005", "4.0"]
    assert [summary[f"least_{loss}"] for loss in ("train_loss", "test_loss")] == ["0.001", "0.001"]
    assert png_size(folder / "solutions.png")[0] == 1500
    again = cli("solutions", run.path, "--quiet")
    assert [line.split()[0] for line in again.out.splitlines()] == ["epochs", "summary", "figure"]
    assert len(list((run.path / "solutions").iterdir())) == 1
    assert cli("solutions", run.path, "--window", 1, "--tolerance", 0.6, "--zero", 1e-3).code == 0
    (other,) = (run.path / "solutions").glob("tolerance-0.6-zero-0.001-window-1-*")
    (summary,) = rows_of(other / "summary.csv")
    assert [summary[f"{kind}_epoch"] for kind in ("lm", "gm", "tm")] == ["0", "9", "9"]


def test_several_seeds_and_nets(tmp_path: Path, cli: Callable[..., Answer]) -> None:
    lasts = {"dnn": (10, 12, 17), "resnet": (5, 5, 8)}
    runs = [
        write_losses(tmp_path / "runs", f"{net}_s{seed}", falls(30, last), seed=seed, model={"name": net})
        for net, of_net in lasts.items()
        for seed, last in enumerate(of_net)
    ]
    answer = cli("solutions", *(run.path for run in runs))
    assert answer.code == 0, answer.err
    (folder,) = (tmp_path / "runs" / "solutions").iterdir()
    assert folder.name.startswith("dnn_s0+dnn_s1+dnn_s2+resnet_s0+")
    assert len(folder.name.encode()) <= 255
    # halving from 2 a loss is at most 0.01 from epoch 8 on
    reached = {net: [float(min(last, 8)) for last in of_net] for net, of_net in lasts.items()}
    configs = {row["config"]: row for row in rows_of(folder / "configs.csv")}
    assert list(configs) == ["dnn", "resnet"]
    for net, firsts in reached.items():
        assert configs[net]["gm_reached"] == "3"
        assert float(configs[net]["gm_mean"]) == pytest.approx(mean(firsts))
        assert float(configs[net]["gm_std"]) == pytest.approx(stdev(firsts))
        assert [configs[net][f"tm_{what}"] for what in ("reached", "mean", "std")] == ["0", "", ""]
    ratios = {(row["kind"], row["config"]): row for row in rows_of(folder / "ratios.csv")}
    ratio = ratios["GM", "dnn"]
    assert (ratio["other"], ratio["relation"]) == ("resnet", "equal")
    assert float(ratio["ratio"]) == pytest.approx(8 / 6)
    assert float(ratio["ratio_std"]) == pytest.approx(8 / 6 * np.hypot(0, stdev([5, 5, 8]) / 6))
    assert float(ratios["GM", "resnet"]["ratio"]) == pytest.approx(6 / 8)
    assert [ratios["TM", "dnn"][key] for key in ("ratio", "ratio_std", "relation")] == ["", "", ""]
    assert "GM: dnn takes 1.33 ± 0.38 times the epochs of resnet\n" in answer.out
    assert "resnet                  3  6.0 ± 1.7  6.0 ± 1.7   –\n" in answer.out
    assert answer.out.count(" times ") == 2


def test_a_kind_that_not_all_runs_reach_bounds_the_ratio(tmp_path: Path) -> None:
    slow = [
        write_losses(tmp_path, f"slow-seed{seed}", losses, seed=seed, model={"name": "slow"})
        for seed, losses in enumerate((falls(30, 4), [1 + 2.0**-e for e in range(31)]))
    ]
    fast = write_losses(tmp_path, "fast", falls(30, 2))
    folder = solutions([*slow, fast])
    (config, _) = rows_of(folder / "configs.csv")
    assert [config[key] for key in ("config", "runs", "gm_reached", "gm_mean", "gm_std")] == [
        "slow", "2", "1", "4.0", "",
    ]  # fmt: skip
    found = {(row["kind"], row["config"]): row for row in rows_of(folder / "ratios.csv")}
    # the one that does not reach it could at epoch 28 at the earliest, the first whose kind is not known
    assert (found["GM", "slow"]["ratio"], found["GM", "slow"]["relation"]) == (str((4 + 28) / 2 / 2), "at least")
    assert (found["GM", "fast"]["ratio"], found["GM", "fast"]["relation"]) == (str(2 / ((4 + 28) / 2)), "at most")
    assert found["LM", "slow"]["relation"] == "equal"
    caption = words_of(build_solutions(read_solutions(folder)))
    assert "slow, mean ± std over its 2 runs: LM 5.0 ± 1.4; GM 4.0 (1 of 2); TM –." in caption


def test_a_minimum_before_training_has_no_ratio(tmp_path: Path) -> None:
    runs = [write_losses(tmp_path, "still", [2.0] * 9), write_losses(tmp_path, "b", falls(9, 3), seed=1, loss={})]
    ratios = rows_of(solutions(runs) / "ratios.csv")
    firsts = {(row["kind"], row["config"], row["other"]): row["ratio"] for row in ratios}
    assert firsts["LM", "b", "still"] == ""
    assert firsts["LM", "still", "b"] == "0.0"


def test_runs_are_taken_together_by_their_configs(tmp_path: Path) -> None:
    def configs(*runs: Run) -> list[str]:
        return [row["config"] for row in rows_of(solutions(runs) / "summary.csv")]

    losses = falls(5, 2)
    a = write_losses(tmp_path, "net_s1", losses, seed=1, device="cuda")
    b = write_losses(tmp_path, "net_s2", losses, seed=2)
    c = write_losses(tmp_path, "net_s3", losses, seed=3, precision="bf16")
    d = write_losses(tmp_path, "net_s4", losses, seed=4, precision="bf16")
    assert configs(a, b, c) == ["net", "net", "net_s3"]
    assert configs(a, b, c, d) == ["net (net_s1)", "net (net_s1)", "net (net_s3)", "net (net_s3)"]


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (["alone_s1"], "alone_s1"),
        (["dnn_s0", "dnn_s1"], "dnn"),
        (["dnn_s1", "dnn_s10", "dnn_s12"], "dnn"),
        (["dnn-seed1", "dnn-seed12"], "dnn"),
        (["dnnseed1", "dnnseed2"], "dnn"),
        (["results0", "results1"], "results"),
        (["mnist_3nn_1000", "mnist_3nn_1000_b"], "mnist_3nn_1000"),
        (["実験_s0", "実験_s1"], "実験"),
        (["a", "b", "c"], "a and 2 more"),
        (["1/same", "2/same"], "1/same and 1 more"),
    ],
)
def test_common_name(names: list[str], name: str) -> None:
    assert common_name(names) == name


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [write_losses(tmp_path / place, "same", falls(9, 3)) for place in ("1", "2")]
    odd = write_losses(tmp_path, 'a, "b"', falls(9, 3))
    folder = solutions([*runs, odd])
    assert folder.parent == tmp_path / "1" / "solutions"
    found = read_solutions(folder)
    assert found.summary["run"].tolist() == ["1/same", "2/same", 'a, "b"']
    assert found.table.groupby("run").size().tolist() == [10, 10, 10]


def test_a_run_under_way_is_read_as_it_is(tmp_path: Path, cli: Callable[..., Answer]) -> None:
    run = write_losses(tmp_path, "a", falls(9, 3))
    whole = run.metrics_file.read_text()
    run.metrics_file.write_text(whole + "10,6000,0.1,0.00")
    assert cli("solutions", run.path).code == 0
    (folder,) = (run.path / "solutions").iterdir()
    assert rows_of(folder / "summary.csv")[0]["epochs"] == "9"
    run.metrics_file.write_text(whole + "10,6000,0.1,0.001,0.5,1.0,0.5,1.0,0.5,1.0\n")
    assert cli("solutions", run.path).code == 0
    assert rows_of(folder / "summary.csv")[0]["epochs"] == "10"
    assert rows_of(folder / "epochs.csv")[7]["kind"] == "GM"


def test_fewer_epochs_than_the_window_have_no_kinds(tmp_path: Path, cli: Callable[..., Answer]) -> None:
    run = write_losses(tmp_path, "a", [2.0, 2.0])
    answer = cli("solutions", run.path)
    assert answer.code == 0
    assert answer.out.splitlines()[1].split() == ["a", "1", "–", "–", "–"]


def broken(change: Callable[[Run], object]) -> Callable[[Path], Run]:
    """A run whose files were changed."""

    def make(folder: Path) -> Run:
        run = write_losses(folder, "a", falls(9, 3))
        change(run)
        return run

    return make


def swap(old: str, new: str) -> Callable[[Path], Run]:
    """A run with another text in its metrics."""
    return broken(lambda run: run.metrics_file.write_text(run.metrics_file.read_text().replace(old, new)))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (broken(lambda run: run.metrics_file.unlink()), "metrics.csv: no such file; train the run first"),
        (broken(lambda run: run.metrics_file.write_text("")), "no epoch yet"),
        (broken(lambda run: run.metrics_file.write_text(",".join(COLUMNS) + "\n")), "no epoch yet"),
        (lambda folder: write_losses(folder, "a", [2.0]), "no epoch yet after the initial values"),
        (swap("train_loss", "loss"), "lacks the column train_loss"),
        (swap("\n4.0,", "\n7.0,"), "not whole numbers one after the other"),
        (swap("\n4.0,", "\nnan,"), "not whole numbers one after the other"),
        (swap("\n0.0,", "\n-1.0,"), "not whole numbers one after the other"),
        (swap("\n4.0,", "\nfour,"), "not a table of numbers"),
        (broken(lambda run: run.metrics_file.write_bytes(b"\xff\n")), "cannot be read as CSV"),
        (broken(lambda run: run.config_file.write_text("- 1\n")), "config.yaml: not the config of a run"),
        (broken(lambda run: run.config_file.write_text("seed: x\n")), "config.yaml: not the config of a run"),
    ],
)
def test_broken_runs_are_refused(
    make: Callable[[Path], Run], says: str, tmp_path: Path, cli: Callable[..., Answer]
) -> None:
    run = make(tmp_path)
    answer = cli("solutions", run.path)
    assert answer.code == 2, answer
    assert says in answer.err
    assert answer.err.count("\n") == 1
    assert not (run.path / "solutions").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("a --tolerance nan", "--tolerance"),
        ("a --zero inf", "--zero: 'inf': a finite number is needed"),
        ("a --tolerance -1", "--tolerance"),
        ("a --zero -0.1", "--zero"),
        ("a --window 0", "--window"),
        ("a --window 1.5", "--window"),
        ("a ./a", "a: given twice"),
        ("a b", "b: no such run"),
        ("a@3", "a@3: no such run"),
        ("", "RUN"),
    ],
)
def test_bad_options_are_refused(
    words: str, says: str, tmp_path: Path, cli: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_losses(tmp_path, "a", falls(9, 3))
    monkeypatch.chdir(tmp_path)
    answer = cli("solutions", *words.split())
    assert answer.code == 2, answer
    assert says in answer.err
    assert not (run.path / "solutions").exists()


def test_bad_input_from_python(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--window 0"):
        Rule(window=0)
    with pytest.raises(BadInput, match="--tolerance nan: give a finite number of at least 0"):
        Rule(tolerance=NAN)
    with pytest.raises(BadInput, match="no run"):
        solutions([])
    run = write_losses(tmp_path, "a", falls(9, 3))
    found = read_solutions(solutions([run]))
    forget(found.folder)
    (found.folder / "summary.csv").write_text("run,epochs\na,x\n")
    with pytest.raises(BadInput, match=r"summary.csv: not a table of numbers"):
        read_solutions(found.folder)
    (found.folder / "summary.csv").unlink()
    with pytest.raises(BadInput, match=r"summary.csv: no such file"):
        read_solutions(found.folder)


def test_tables_read_back_exactly(tmp_path: Path) -> None:
    train = [1 / 3, 0.1 + 0.2, NAN, INF, 5e-324, 0.0]
    found = read_solutions(solutions([write_losses(tmp_path, "nan", train)], window=1))
    np.testing.assert_array_equal(found.table["train_loss"], train)
    assert found.table["kind"].tolist() == ["none", "none", "none", "none", "GM", ""]
    assert found.summary["least_train_loss"].tolist() == [0.0]
    assert found.configs.empty
    assert found.ratios.empty


def solved(folder: Path, runs: Sequence[Run], **rule: Any) -> Solutions:
    """The kinds of solution of runs."""
    return read_solutions(solutions(runs, **rule))


def test_the_figure_shows_losses_kinds_and_first_epochs(tmp_path: Path) -> None:
    a = write_losses(tmp_path, "a", [4, 2, 2, 2, 2, *falls(8, 0, 0.004)], [4] * 8 + [0.001] * 6)
    b = write_losses(tmp_path, "b", falls(5, 5, 0.1), precision="bf16")
    found = solved(tmp_path, [a, b])
    figure = build_solutions(found)
    assert_inside(figure)
    top, strip = figure.axes
    assert top.get_yscale() == "log"
    losses = {str(line.get_label()): line for line in top.lines}
    np.testing.assert_array_equal(losses["a train"].get_ydata(), found.table["train_loss"][:14])
    np.testing.assert_array_equal(losses["b test"].get_xdata(), range(6))
    dots = {name: (line.get_xdata()[0], line.get_ydata()[0]) for name, line in losses.items() if name[0] == "_"}
    assert (dots["_a LM"], dots["_a GM"], dots["_a TM"]) == ((1, 2), (5, 0.004), (8, 0.004))
    assert np.isnan(dots["_b GM"]).all()
    texts = [text.get_text() for text in strip.texts]
    assert texts == ["1", "5", "8", "–", "–", "–", "LM", "GM", "TM"]
    spans = [path.get_extents().intervalx.tolist() for c in strip.collections for path in c.get_paths()]
    assert [-0.5, 0.5] in spans  # epoch 0 of a is none
    assert [4.5, 7.5] in spans  # GM before the test loss falls
    assert [7.5, 10.5] in spans  # TM up to the last three epochs
    assert (strip.get_xlim(), top.get_xlim()) == ((-0.5, 13.5),) * 2
    words = words_of(figure)
    for phrase in (
        "Kinds of solution of 2 runs", "loss (cross-entropy, mean per sample)", "epoch", "≈ 0: at most 0.01 nats",
        "at most 1 % of the greater", "for 3 epochs in succession; of the last 3 it is not known",
        "a: mnist, 60,000 train and 10,000 test samples, mlp 100-100", "b: mnist", "bf16; 5 of 10 epochs",
    ):  # fmt: skip
        assert phrase in words


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ([NAN] * 6, "no finite loss"),
        ([0.0] * 6, "–"),
        ([1.0, 0.0, 0.0, 0.0, 0.0], "4 losses are not positive"),
        ([1.0, INF, 1e300, 1.0, 1.0], "Gaps: 2 losses"),
        ([2.0, 1.0], "Of the last epoch it is not known"),
        ([1e-12] * 6, "first epoch"),
    ],
)
def test_the_figure_of_any_losses(train: list[float], says: str, tmp_path: Path) -> None:
    run = write_losses(tmp_path, "a", train, [NAN] * 6 if np.isnan(train[0]) else ONES)
    figure = build_solutions(solved(tmp_path, [run], window=1))
    assert_inside(figure)
    assert says in words_of(figure)


def test_the_figure_of_many_runs_with_long_names(tmp_path: Path) -> None:
    runs = [write_losses(tmp_path, f"{'long_' * 12}_{i}", falls(40, 3 + i), seed=i) for i in range(9)]
    assert_inside(build_solutions(solved(tmp_path, runs)))


@pytest.mark.usefixtures("unseen")
def test_the_page_shows_the_tables(tmp_path: Path) -> None:
    runs = [write_losses(tmp_path, f"net_s{seed}", falls(20, 4 + seed), seed=seed) for seed in range(2)]
    other = write_losses(tmp_path, "slow", falls(20, 7), precision="bf16")
    alone = solutions(runs[:1])
    together = solutions([*runs, other], window=2)
    absent = solutions([runs[0], write_losses(tmp_path, "absent", falls(9, 3))])
    page = write_report([*runs, other], tmp_path / "page")
    text = page.read_text()
    assert text.count("Kinds of solution</h3>") == 2
    assert "window 3" in text
    head = '<tr><th scope="row" class="short">'
    assert f'{head}slow</th><td class="number">20</td><td class="number">7</td>' in text
    assert f'{head}net</th><td class="number">2</td><td class="number">4.5 ± 0.7</td>' in text
    assert "<li>GM: slow takes 1.56 times the epochs of net</li>" in text
    assert "First epochs: net_s0: LM 4, GM 4, TM –" in text
    assert absent.name not in text
    for folder in (alone, together):
        assert len(list((tmp_path / "page").rglob(f"{folder.name}/solutions.png"))) == 1
        assert len(list((tmp_path / "page").rglob(f"{folder.name}/summary.csv"))) == 1
    (together / "ratios.csv").write_text("kind,ratio\nGM,x\n")
    assert f"solutions/{together.name}" in write_report([*runs, other], tmp_path / "page").read_text()
