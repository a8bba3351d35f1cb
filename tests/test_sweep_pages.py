"""Sweeps on the page: found in folders, told apart from runs, drawn by value however many, whole in a table."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossscape.analyses import ANALYSES
from lossscape.figures.section import Chart, Table
from lossscape.figures.section import Page as Below
from lossscape.report import write_report
from lossscape.report.sweep import SweepPart, sweep_part
from lossscape.report.varied import MOST, REST
from lossscape.runfiles import SWEEP, with_members
from tests.report_runs import varied, write_run, write_sweep
from tests.seeing import Page, assert_stands_alone


def part_of(home: Path) -> SweepPart:
    return sweep_part(home, Below(home.parent / "page"), "sweep-1", set())


def charts_of(part: SweepPart) -> dict[str, dict[str, Any]]:
    return {each.name: dict(each.data) for each in [*part.section.parts, *part.more] if isinstance(each, Chart)}


def lines_of(data: dict[str, Any], panel: str) -> list[dict[str, Any]]:
    return [line for line in data["lines"] if line["panel"] == panel]


@pytest.mark.usefixtures("unseen")
def test_a_value_has_the_median_and_the_quartiles_of_its_runs(tmp_path: Path) -> None:
    home = write_sweep(tmp_path / "s", varied(2, 5), {"r1-s4": "failed"})
    data = charts_of(part_of(home))["by-optimizer-lr"]
    assert [text for _, text in data["panels"][0]["names"]] == ["10", "20"]  # ascending, whatever their order was
    dots, strokes = (lines_of(data, "final")[at::2] for at in (0, 1))
    assert [sorted(each["y"]) for each in dots] == [[5, 6, 7, 8], [0, 1, 2, 3, 4]]  # in per cent, what failed left out
    assert [each["y"] for each in strokes] == [[6.5] * 2, [2.0] * 2]
    first, second = lines_of(data, "test_accuracy")
    low, median, high = np.quantile([5, 6, 7, 8], [0.25, 0.5, 0.75])
    assert (first["x"], first["low"], first["y"], first["high"]) == ([0, 1], [0, low], [0, median], [0, high])
    assert (first["run"], second["run"]) == ("10", "20")


@pytest.mark.usefixtures("unseen")
def test_what_is_too_large_to_be_drawn_is_said(tmp_path: Path) -> None:
    home = write_sweep(tmp_path / "s", varied(2, 2))
    file = home / "r1-s1" / "metrics.csv"
    file.write_text(file.read_text().replace("\n0,0,,2,", "\n0,0,,3e30,"))
    part = part_of(home)
    captions = {each.name: each.picture.caption for each in part.section.parts if isinstance(each, Chart)}
    assert "Left out: 1 value above 1e30." in captions["by-optimizer-lr"]


@pytest.mark.usefixtures("unseen")
def test_many_values_and_runs_keep_the_best_in_colour(tmp_path: Path) -> None:
    home = write_sweep(tmp_path / "s", varied(9, 2))
    part = part_of(home)
    found = charts_of(part)
    assert list(found) == ["by-optimizer-lr", "runs"]
    by_rate, runs = found.values()
    strokes = lines_of(by_rate, "final")[1::2]
    assert [each["colour"] == REST for each in strokes] == [False] * MOST + [True] * 3  # the last runs are the best
    assert {each["run"] for each in strokes[MOST:]} == {"the 3 other values"}
    rest, *best = lines_of(runs, "test_accuracy")  # the best above the others
    assert [each["run"] for each in best] == [f"r{8 - k // 2}-s{1 - k % 2}" for k in range(MOST)]
    assert (rest["colour"], rest["run"]) == (REST, f"the {18 - MOST} other runs")
    ends = [value for value, after in pairwise(rest["y"]) if after is None]
    assert sorted(ends) == list(range(18 - MOST))  # one line, a gap behind each run
    assert rest["text"][1] == "r5-s1"
    (table,) = [each for each in part.section.parts if isinstance(each, Table)]
    assert len(table.rows) == 18
    assert table.rows[0] == ["r0-s0", "90", "0", "0", "0.00", "0.00"]


@pytest.mark.usefixtures("unseen")
def test_few_combinations_come_first_and_words_stay_words(tmp_path: Path) -> None:
    cells = {f"{o}-{k}": {"optimizer.name": o, "model.hidden": [k]} for o in ("adam", "sgd") for k in (1, 2)}
    found = charts_of(part_of(write_sweep(tmp_path / "s", cells)))
    assert list(found) == ["by-configuration", "by-optimizer-name", "by-model-hidden", "training"]
    names = [text for _, text in found["by-configuration"]["panels"][0]["names"]]
    assert names == ["adam, hidden [1]", "adam, hidden [2]", "sgd, hidden [1]", "sgd, hidden [2]"]


@pytest.mark.usefixtures("unseen")
def test_sweeps_stand_on_the_page_of_runs_each_run_once(tmp_path: Path, cli: Callable[..., Any]) -> None:
    runs = tmp_path / "runs"
    write_run(runs, "net")
    ANALYSES["compare"].run(runs=[write_sweep(runs / "rates", varied(2, 2))], quiet=True)
    (runs / "torn").mkdir()
    (runs / "torn" / SWEEP).write_text("cells: []\n")
    assert with_members([runs, runs / "net"]) == [runs / "net", runs / "rates", runs / "torn"]
    assert cli("report", str(runs)).code == 0
    page = Page(runs / "report" / "index.html")
    assert_stands_alone(page)
    assert [each["id"] for each in page.all("article")] == ["run-1"]  # the runs of a sweep have none
    assert page.source.count(">r0-s1</th>") == 1  # in its table
    assert "lossscape report: net, sweep rates, sweep torn" in page.text
    assert "not what a sweep is" in page.text
    links = [link["href"] for link in page.all("a")]
    assert "#sweeps" in links
    assert links.count("#sweep-1-compare-1") == 2  # in the contents, and among all results
    assert cli("report", str(runs / "rates")).code == 0
    alone = Page(runs / "rates" / "report" / "index.html")
    assert "lossscape report: sweep rates" in alone.text
    assert not alone.all("article")
    said = cli("report", str(runs / "torn"))
    assert (said.code, said.err.count("\n")) == (2, 1)


@pytest.mark.usefixtures("unseen")
def test_the_page_of_a_sweep_follows_its_table(tmp_path: Path) -> None:
    home = write_sweep(tmp_path / "s", {"a": {"seed": 0}}, {"a": "interrupted"})
    for states, words in (({"a": "interrupted"}, "1 interrupted"), ({}, "1 finished")):
        write_sweep(home, {"a": {"seed": 0}}, states)
        assert words in Page(write_report([], home / "report", beside=[home])).text
    write_sweep(home, {"a": {"seed": 0}, "b": {"seed": 1}})
    write_report([], home / "report", beside=[home])
    (data,) = (home / "report" / "files").rglob("training.js")
    assert '"run":"b"' in data.read_text()
