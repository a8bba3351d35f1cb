"""The report: what a reader finds on the page, whatever state the runs and their files are in."""

import base64
import errno
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from computing import interpolate, landscape
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from PIL import Image

from lossscape.analyses.interpolate.figure import grouped
from lossscape.errors import BadInput
from lossscape.figures import section, style
from lossscape.figures.certificates import check_table, failures, verdict
from lossscape.figures.facts import facts_of
from lossscape.figures.movies import gif
from lossscape.figures.training import build_training
from lossscape.report import write_report
from lossscape.report.single import write_single
from lossscape.results import Curve, read_curve
from lossscape.results.folder import CERTIFICATE, ENGINE
from lossscape.runs import Run, point
from lossscape.unchanged import stamp_of
from tests.report_runs import write_curve, write_landscape, write_paths, write_run
from tests.seeing import OUTSIDE, Page, assert_stands_alone


def test_a_run_with_everything(tmp_path: Path) -> None:
    run = write_run(tmp_path, "mnist", note="JPEG copy")
    curve = write_curve(run, note="JPEG copy")
    write_landscape(run, splits=("train", "test"))
    write_landscape(run, grid=[5], label="line")
    page = Page(write_report([run], run.report_folder))
    assert page.path == run.path / "report" / "index.html"
    assert_stands_alone(page)
    assert page.text.count("lossscape report: mnist") == 2
    assert len(page.all("img")) == 1 + 1 + 1 + 1
    for words in (
        "89,610", "3 of 10", "momentum, lr 0.1", "mnist (JPEG copy), 60,000 train and 10,000 test samples",
        "barrier against the chord 0.25 0.25 nats max over α of L(α) − ((1 − α)·L(0) + α·L(1)) (Entezari",
        "barrier against the mean of the ends 0.75 0.75 nats max over α of L(α) − (L(0) + L(1))/2 (Frankle",
        "not defined with recomputed BatchNorm statistics",
        "passed: 1 check, and the model is unchanged",
        "train loss at mnist@epoch-0001 1 1 0 0 passed", "cosine between the directions 1e−11", "versions.torch 2.9",
        "batch_size: 100",
    ):  # fmt: skip
        assert words in page.text
    copies = {file.name: file for file in page.local_files()}
    assert {"curve.csv", "surface.csv", "line.csv", "metrics.csv", "config.yaml", "settings.yaml"} <= copies.keys()
    assert copies["curve.csv"].read_bytes() == (curve / "curve.csv").read_bytes()


def test_results_of_the_analyses_themselves(own_run: Run) -> None:
    interpolate(point(f"{own_run.path}@first"), point(str(own_run.path)), points=5)
    landscape(point(str(own_run.path)), grid=(3, 3))
    landscape(point(str(own_run.path)), dims=1, grid=5)
    page = Page(write_report([own_run], own_run.report_folder))
    assert_stands_alone(page)
    assert "Left out" not in page.text
    assert len(page.all("img")) == 1 + 1 + 1 + 1
    assert page.text.count("Certificate: passed") == 3
    assert not [
        attributes for name in ("b", "tr") for attributes in page.all(name) if attributes == {"class": "failed"}
    ]
    assert "chunks of" in page.text
    assert "Gauss length" in page.text
    assert facts_of(own_run).last["test_loss"] > 0


def colours_in(figure: Figure) -> dict[str, str]:
    """The colours of lines by the names that the legend has of them: runs, or splits where there are no runs."""
    keys = [part for part in figure.findobj(Legend) if isinstance(part, Legend)]
    named = {
        str(each.get_label()).removeprefix("path of "): to_hex(each.get_color())
        for key in keys
        for each in key.legend_handles
        if isinstance(each, Line2D)
    }
    lines = [line for axes in figure.get_axes() for line in axes.lines if line.get_linestyle() != "None"]
    drawn = {to_hex(line.get_color()) for line in lines if len(line.get_xdata()) > 2}
    if not keys:  # of one line
        return dict.fromkeys(["train"], *drawn)
    assert drawn <= {*named.values(), "#000000"}, "a line has a colour that the legend does not name"
    return named


def test_a_run_has_one_colour_in_all_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [write_run(tmp_path, name) for name in ("a", "b", "c")]
    for run in runs[1:]:
        write_curve(run)  # so that b comes first in what compares curves
    write_landscape(runs[2], grid=[5], label="line")
    write_paths(write_landscape(runs[1], grid=[3, 3]), ["c", "elsewhere", "a", "b"])
    figures: dict[str, Figure] = {}
    kept = section.save

    def save(figure: Figure, path: Path) -> None:
        figures[path.relative_to(tmp_path / "page" / "files").as_posix()] = figure
        kept(figure, path)

    monkeypatch.setattr(section, "save", save)
    write_report(runs, tmp_path / "page")
    colours = colours_in(figures["comparison/training.png"])
    own = {name: colours[name] for name in ("a", "b", "c")}
    assert len({*own.values()}) == 3
    seen = set()
    for place, figure in figures.items():
        of = place.partition("/")[0]
        for name, colour in colours_in(figure).items():
            if name in own:
                assert (place, colour) == (place, own[name])
                seen.add((of, name))
            elif name == "elsewhere":
                assert colour not in own.values()
            elif name in ("train", "test") and of in own and "surface" not in place:
                assert (place, colour) == (place, own[of])
                seen.add((of, of))
    assert seen >= {("comparison", "b"), ("b", "c"), ("b", "a"), ("a", "a"), ("b", "b"), ("c", "c")}
    drawn_alone = colours_in(build_training([runs[1]]))
    assert drawn_alone["train"] != drawn_alone["test"]  # which a colour tells apart where no other run is


def test_runs_of_one_name_have_colours_of_their_own(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / folder, "a") for folder in ("x", "y")]
    looks = style.Looks(tuple((run.name, run.path.resolve()) for run in runs))
    assert looks.places([runs[1].path, runs[0].path]) == [1, 0]
    assert looks.places(["a", "b", "a", runs[0].path]) == [1, 2, 1, 0]
    assert style.ALONE.places(["sgd", "momentum"]) == [1, 0]  # by their names, whatever the order
    assert style.ALONE.places(["momentum", "sgd"]) == [0, 1]


def test_the_command_with_quiet_says_where_the_page_is_and_no_more(tmp_path: Path, cli: Callable[..., Any]) -> None:
    run = write_run(tmp_path)
    (write_curve(run) / "curve.csv").write_text("alpha\nx\n")
    told = cli("report", run.path)
    assert "left out" in told.err
    assert cli("report", run.path, "-q")[:] == (0, told.out, "")


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    write_curve(run)

    def content() -> dict[Path, bytes]:
        write_report([run], tmp_path / "page")
        return {path: path.read_bytes() for path in (tmp_path / "page").rglob("*") if path.is_file()}

    first = content()
    assert content() == first
    assert not [path for path in first if path.name.endswith(".part")]


@pytest.mark.usefixtures("unseen")
def test_a_page_is_written_again_where_anything_of_it_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, run, elsewhere = (tmp_path / name for name in ("code", "run", "elsewhere"))
    for folder in (code / "report", run, elsewhere):
        folder.mkdir(parents=True)
    (run / "landscape").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(run)
    (elsewhere / "gone.csv").symlink_to(tmp_path / "gone")
    (elsewhere / "itself.csv").symlink_to(elsewhere / "itself.csv")
    os.mkfifo(run / "pipe.csv")
    monkeypatch.setattr("lossscape.__file__", str(code / "__init__.py"))
    stamps = [stamp_of([run], [])]
    for path in (code / "report" / "page.html.j2", run / "settings.yaml", elsewhere / "curve.csv"):
        path.write_text("changed")
        stamps.append(stamp_of([run], []))
    assert len(set(stamps)) == 4
    (run / "report").mkdir()
    (run / "report" / "index.html").write_text("the page itself")
    assert stamp_of([run], []) == stamps[-1]


def test_a_run_that_still_trains(tmp_path: Path) -> None:
    run = write_run(tmp_path, epochs=2, state="running")
    with run.metrics_file.open("a") as file:
        file.write("3,1800,0.1,0.12")
    folder = write_curve(run, points=5)
    (folder / "points.csv").write_text("alpha,train_loss\n0.0,1.0\n0.25,0.9\n0.5")
    (folder / "curve.csv").unlink()
    page = Page(write_report([run], run.report_folder))
    assert_stands_alone(page)
    assert "not finished (running or killed) 2 of 10" in page.text
    assert "interpolate/line : not finished: 2 of 5 points; run the command again to complete it" in page.text
    run.metrics_file.unlink()
    run.state_file.unlink()
    run.environment_file.write_text("{")
    page = Page(write_report([run], run.report_folder))
    assert "none yet" in page.text
    assert "environment.json is missing or cannot be read" in page.text


@pytest.mark.usefixtures("unseen")
def test_what_cannot_be_read_is_listed_and_the_rest_is_shown(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    write_curve(run, label="good")
    torn = write_curve(run, label="torn") / "curve.csv"
    torn.write_bytes(torn.read_bytes()[:-5])
    short = write_curve(run, label="short") / "curve.csv"
    short.write_text("".join(short.read_text().splitlines(keepends=True)[:-3]))
    (write_curve(run, label="words") / "curve.csv").write_text("alpha,train_loss,train_accuracy\nzero,1,1\n")
    (write_curve(run, label="garbage") / "curve.csv").write_text("x" * 200_000 + "\n")
    (write_curve(run, label="header") / "curve.csv").write_text("alpha\n" + "0\n" * 11)
    (write_curve(run, label="yaml") / "settings.yaml").write_text("a: [")
    (write_curve(run, label="other") / "settings.yaml").write_text("analysis: interpolate\npoints: 11\n")
    surface = write_landscape(run, label="twice") / "surface.csv"
    lines = surface.read_text().splitlines(keepends=True)
    surface.write_text("".join([*lines[:-1], lines[-2]]))
    page = Page(write_report([run], tmp_path / "page"))
    assert_stands_alone(page)
    assert len(page.all("img")) == 2
    for words in ("torn in its last line", "holds 8 of 11 points", "not a table of numbers", "holds 11 of 11 points"):
        assert words in page.text or words == "holds 11 of 11 points"
    for label in ("torn", "short", "words", "garbage", "header", "yaml", "other"):
        assert f"interpolate/{label}" in page.text
    assert "landscape/twice" in page.text
    assert "interpolate/good" not in page.text


@pytest.mark.usefixtures("unseen")
def test_a_failed_certificate_stands_out(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    folder = write_curve(run)
    write_landscape(run)
    checks = [
        {"name": "train loss at a@epoch-0001", "value": 1.0, "reference": 2.0, "tolerance": 1e-5, "passed": False},
        {"name": "norm of direction 1", "value": 3.0, "reference": 3.0, "tolerance": 1e-5, "passed": True},
    ]
    certificate = {"passed": False, "checks": checks, "model_unchanged": True}
    (folder / CERTIFICATE).write_text(json.dumps(certificate))
    page = Page(write_report([run], tmp_path / "page"))
    assert_stands_alone(page)
    assert page.all("tr").count({"class": "failed"}) == 1
    assert page.all("b").count({"class": "failed"}) == 3
    assert len([box for box in page.all("div") if box.get("role") == "alert"]) == 2
    top, rest = page.text.split("Runs run state", 1)
    assert "Results whose certificate FAILED: a: epoch-0001 to epoch-0003" in top
    (section,) = {link["href"] for link in page.all("a") if "-interpolate-" in link["href"]}
    assert {"class": "result", "id": section.removeprefix("#")} in page.all("section")
    for words in (
        "do not rely on this result. train loss at a@epoch-0001: 1, but the reference is 2.",
        "check value reference relative difference difference tolerance outcome",
        "train loss at a@epoch-0001 1 2 0.5 1 1e−5 FAILED norm of direction 1 3 3 0 0 1e−5 passed",
        "The certificate of this result FAILED: do not rely on these losses.",
        "Certificate: FAILED",
        "Certificate: passed: the model is unchanged; there was nothing to compare the losses with",
    ):
        assert words in rest
    (folder / CERTIFICATE).unlink()
    assert verdict(read_curve(folder).certificate) == "none: the result was not checked"


def test_what_failed_is_said_whatever_a_certificate_holds() -> None:
    assert failures({}) == failures({"passed": True, "checks": [{"broken": 1}]}) == []
    assert failures({"passed": False, "model_unchanged": False}) == ["The evaluation changed the model."]
    assert failures({"passed": False}) == ["It does not say which check."]
    assert verdict({"passed": False}) == "FAILED"


def test_every_check_has_its_row() -> None:
    nan, inf = float("nan"), float("inf")
    pairs = [
        (1.0, 1.5),
        (-0.0, 0.0),
        (1e-11, 0.0),
        (nan, nan),
        (nan, 1.0),
        (inf, inf),
        (1, 2),
        ("a", "b"),
        (True, True),
    ]
    certificate = {
        "passed": True,
        "checks": [{"name": "n", "value": a, "reference": b, "tolerance": 1e-6, "passed": None} for a, b in pairs],
    }
    rows = check_table(certificate).rows
    assert [row[4] for row in rows] == ["0.5", "0", "1e−11", "", "", "0", "1", "", "0"]
    assert [row[3] for row in rows] == ["0.33", "0", "", "", "", "0", "0.5", "", "0"]
    lost = {row[6] for row in rows[3:6]}
    assert lost == {"not compared: not finite"}
    assert {row[6] for row in rows} - lost == {"for comparison only: other BatchNorm statistics"}
    assert (rows[7][1], rows[7][2], rows[8][1]) == ("a", "b", "yes")
    older = {"checks": [{"name": "n", "value": 1.0, "reference": 1.0, "passed": True}]}
    assert check_table(older).rows[0][5:] == ["", "passed"]


@pytest.mark.usefixtures("unseen")
def test_a_certificate_and_its_engine_are_shown_whole(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    folder = write_landscape(run, precision="bf16", error=0.02, added=[(0.1, 0.1)], auto_range=10.0)
    errors = {"points": 16, "largest_relative_error": 2e-3, "mean_relative_error": 4e-4}
    certificate = {
        "passed": True, "checks": [], "model_unchanged": True, "samples_checked": {"train": 1000}, "centre_norm": 9.5,
        "direction_norms": [9.25, 9.125], "cosine": 1e-11, "precision_check": errors, "another": {"fact": 3},
        "points_checked": 5, "not_checked": {"dᵀHd along x": "the gradient has kinks"},
    }  # fmt: skip
    (folder / CERTIFICATE).write_text(json.dumps(certificate))
    plan = {"chunk": 1024, "channels_last": True, "name": "factored", "points": 8, "compiled": True}
    engine = {
        "plan": plan, "chosen": "timed", "tried": [plan | {"seconds": 1.0}] * 6, "predicted_seconds": 125.0,
        "seconds_per_point": 0.0456, "threads": 2, "device": {"type": "cpu", "name": "Some CPU"},
    }  # fmt: skip
    (folder / ENGINE).write_text(json.dumps(engine))
    page = Page(write_report([run], tmp_path / "page"))
    assert_stands_alone(page)
    for words in (
        "samples checked, the same on both sides 1,000 train", "‖θ‖ of the centre 9.5", "‖d₂‖ of direction 2 9.125",
        "cosine between the directions 1e−11", "points evaluated again in fp32 16",
        "largest relative error of the loss there 0.002 mean relative error of the loss there 0.0004", "another.fact 3",
        "How it was computed: plan factored: the first layer's products with the inputs made once for all points; "
        "chunks of 1,024 samples; 8 points together; channels last in memory; compiled",
        "chosen as the fastest of those that were timed (6)",
        "predicted time 2 min 05 s of it per point 45.6 ms threads 2",
        "device Some CPU (cpu)", "63 grid points and 1 refined where the surface bends",
        "points checked by dense forward passes in fp64 5 not checked: dᵀHd along x the gradient has kinks",
        "2,000 of 60,000 train samples",
        "random plane around epoch-0003, seed 0, 63 grid points and 1 refined, 2,000 samples, bf16",
        "Precision: bf16; against fp32 at 16 points", "the train loss rises at least by the factor 10",
    ):  # fmt: skip
        assert words in page.text
    (folder / ENGINE).write_text(json.dumps({"plan": {"chunk": 8, "name": "dense"}, "device": "cpu"}))
    write_landscape(run, label="soft", targets="soft")
    page = Page(write_report([run], tmp_path / "page"))
    assert (
        "How it was computed: plan dense: a forward pass of the module as it is; chunks of 8 samples Files" in page.text
    )
    assert "random plane around epoch-0003, seed 0, 9 × 7 points, soft targets" in page.text


@pytest.mark.usefixtures("unseen")
def test_a_refined_result_is_whole_or_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    added = [(0.1, 0.1), (0.3, 0.1)]
    write_landscape(run, added=added, label="whole")
    write_landscape(run, added=added, label="early", refine=500)
    write_landscape(run, added=added, label="more", refine=1)
    (write_landscape(run, added=added, label="half") / "surface.csv").unlink()
    short = write_landscape(run, added=added, label="short") / "surface.csv"
    short.write_text("".join(short.read_text().splitlines(keepends=True)[:-1]))
    page = Page(write_report([run], tmp_path / "page"))
    assert len(page.all("section")) == 2
    for words in (
        "landscape/half : not finished: 0 of 65 points",
        "short: holds 64 of 65 points",
        "more: holds 65 of 64 points",
    ):
        assert words in page.text


def test_nothing_that_a_run_holds_becomes_markup(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>&\"'#%?"
    run = write_run(tmp_path, name, note="<b>note</b>")
    write_curve(run, data_note="<script>alert(2)</script>")
    run.config_file.write_text(run.config_file.read_text() + "# </pre><script>alert(3)</script>\n")
    run.state_file.write_text(json.dumps({"state": "<i>failed</i>", "message": "<script>"}))
    page = Page(write_report([run], tmp_path / "page"))
    assert_stands_alone(page)
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    assert not page.all("i")
    assert f"lossscape report: {name}" in page.text
    assert "# </pre><script>alert(3)</script>" in page.text


def test_a_page_takes_no_file_from_elsewhere(tmp_path: Path) -> None:
    """A run that somebody sent may hold links to the reader's own files, and a page is sent on."""
    run = write_run(tmp_path, "sent")
    curve = write_curve(run)
    secret = tmp_path / "secret"
    secret.write_text("mine alone\n")
    for file in (run.config_file, run.metrics_file, run.environment_file, curve / "curve.csv"):
        file.unlink()
        file.symlink_to(secret)
    said: list[str] = []
    page = write_report([run], run.report_folder, say=said.append)
    assert all(b"mine alone" not in file.read_bytes() for file in page.parent.rglob("*") if file.is_file())
    assert "config.yaml: is a link" in " ".join(said)


def test_names_in_any_script(tmp_path: Path) -> None:
    run = write_run(tmp_path, "実験_バッチ正規化")
    write_curve(run)
    page = Page(write_report([run], run.report_folder))
    assert_stands_alone(page)
    assert "lossscape report: 実験_バッチ正規化" in page.text
    assert (run.report_folder / "files" / "実験_バッチ正規化" / "training.png").is_file()
    assert "%E5%AE%9F" in page.all("img")[0]["src"]


@pytest.mark.usefixtures("unseen")
def test_several_runs_together(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "1", "same"), write_run(tmp_path / "2", "same"), write_run(tmp_path, "comparison")]
    for run in runs:
        write_curve(run)
    broken = write_run(tmp_path, "broken")
    broken.config_file.write_text("- not\n- a config\n")
    page = Page(write_report([*runs, broken], tmp_path / "page"))
    assert_stands_alone(page)
    assert "lossscape report: 4 runs" in page.text
    together = page.text[page.text.index("All runs together") :]
    assert "1/same: mnist" in together
    assert page.all("img")[0]["alt"] == "Loss and accuracy by epoch of 3 runs; the table has their last values."
    assert page.all("img")[1]["alt"].startswith("Loss and accuracy against α of 3 curves.")
    assert "broken cannot be read; see below" in page.text
    assert "not the config of a run" in page.text
    sources = [image["src"] for image in page.all("img")]
    assert len(set(sources)) == len(sources)


def test_curves_between_equal_checkpoints_come_together(tmp_path: Path) -> None:
    def curves(run: Run) -> list[Curve]:
        return [read_curve(folder) for folder in sorted(run.results("interpolate").iterdir())]

    a, b = write_run(tmp_path, "a"), write_run(tmp_path, "b")
    write_curve(a, label="few")
    write_curve(a, label="many", points=21)
    write_curve(a, label="wide", points=31, range=(-1.0, 1.0))
    write_curve(b, label="other", ends=("epoch-0000", "epoch-0003"))

    def groups() -> list[list[str]]:
        return [[curve.folder.name for curve in group] for group in grouped({"a": curves(a), "b": curves(b)})]

    assert groups() == [["many", "other"]]
    write_curve(b, label="same")
    assert groups() == [["many", "same"]]


def test_bad_input_and_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path)
    with pytest.raises(BadInput, match="no run to report on"):
        write_report([], tmp_path / "page")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        write_report([run], tmp_path / "file" / "page")

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(style, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_report([run], tmp_path / "page")
    assert not (tmp_path / "page" / "index.html").exists()


def test_the_report_needs_neither_torch_nor_pyplot() -> None:
    code = (
        "import sys, lossscape.report, lossscape.studies.page; from lossscape.analyses import ANALYSES\n"
        "[(each.requests, each.read, each.draw, each.section) for each in ANALYSES.values()]\n"
        "print([m for m in ('torch', 'matplotlib.pyplot', 'fontTools.subset') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_charts_have_their_data_beside_the_page(tmp_path: Path) -> None:
    run = write_run(tmp_path, "<script>'é")
    page = Page(write_report([run], tmp_path / "page"))
    assert_stands_alone(page)
    (figure,) = [each for each in page.all("figure") if each.get("class") == "chart"]
    text = (page.path.parent / unquote(figure["data-source"])).read_text()
    assert text.isascii()
    assert "<" not in text
    source, data = json.loads(text.removeprefix("lossscape.given(").removesuffix(");\n"))
    assert source == figure["data-source"]
    (line,) = [each for each in data["lines"] if (each["panel"], each["split"]) == ("loss", "test")]
    assert (line["run"], line["x"], line["y"]) == (run.name, [0, 1, 2, 3], [3.0, 1.5, 1.0, 0.75])
    assert [panel["key"] for panel in data["panels"]] == ["loss", "accuracy", "lr", "grad_norm"]
    assert (page.path.parent / "files" / "plotly.min.js").stat().st_size > 1e6


def test_a_chart_holds_any_number() -> None:
    values = {"n": np.array([np.nan, np.inf, 1 / 3]), "i": np.int64(7), "t": (True, None, "ü"), 3: -np.inf}
    assert section.plain(values) == {"n": [None, None, 0.3333333], "i": 7, "t": [True, None, "ü"], "3": None}


@pytest.mark.usefixtures("unseen")
def test_headings_say_what_differs(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    made = {"kind": "random", "seed": 0, "normalize": "layer", "ignore": ["bias", "norm"]}
    write_landscape(run, label="1")
    write_landscape(run, label="2", targets="soft", batch_norm="frozen")
    write_landscape(run, label="3", batch_norm="recompute", directions=made)
    write_landscape(run, label="4", dataset={"name": "mnist", "label_noise": 0.1})
    page = Page(write_report([run], tmp_path / "page"))
    same = "random plane around epoch-0003, seed 0, 9 × 7 points"
    for words in (
        f"{same}, soft targets , frozen BatchNorm statistics , filter normalisation Loss",
        f"{same}, recomputed BatchNorm statistics , label targets , layer normalisation Loss",
        f"{same}, label targets , filter normalisation , dataset label noise 0.1 Loss",
    ):
        assert words in page.text
    contents = page.text[: page.text.index("Runs run state")]
    assert "recomputed BatchNorm statistics, label targets, layer normalisation" in contents
    assert "random plane" not in contents


@pytest.mark.usefixtures("unseen")
def test_the_table_of_runs_marks_every_result(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, name) for name in ("a", "b")]
    write_landscape(runs[0])
    folder = write_curve(runs[0])
    (folder / CERTIFICATE).write_text(json.dumps({"passed": False, "model_unchanged": False}))
    (write_curve(runs[1]) / CERTIFICATE).unlink()
    page = Page(write_report(runs, tmp_path / "page"))
    assert_stands_alone(page)
    marks = [each["class"] for each in page.all("span") if each.get("class", "").startswith("mark ")]
    assert Counter(marks[:3]) == {"mark failed": 1, "mark passed": 1, "mark unchecked": 1}
    assert "3 results: ✗ 1 FAILED, ✓ 1 passed, – 1 without a certificate of their own." in page.text
    assert {each["aria-label"] for each in page.all("span") if each.get("class") == "mark failed"} == {"FAILED"}


def test_a_page_as_one_file(tmp_path: Path) -> None:
    run = write_run(tmp_path, "é <b>")
    folder = write_curve(run)
    page = write_report([run], run.report_folder)
    path = write_single(page.parent)
    assert path == run.report_folder / "é <b>.html"
    alone = Page(path)
    assert {image["src"].partition(",")[0] for image in alone.all("img")} == {"data:image/webp;base64"}
    held = [each for each in alone.all("script") if "data-file" in each]
    asked = [each["data-source"] for _, each in alone.elements if "data-source" in each]
    assert [each["data-file"] for each in held] == [alone.all("html")[0]["data-plotly"], *asked]
    source = re.sub(r'<script type="text/plain" data-file="files/plotly.*?</script>', "", alone.source, flags=re.DOTALL)
    assert not re.search(OUTSIDE, source)
    kept = {link["download"]: link["href"] for link in alone.all("a") if link.get("download")}
    assert base64.b64decode(kept["curve.csv"].partition(",")[2]) == (folder / "curve.csv").read_bytes()
    assert not [link for link in alone.all("a") if link["href"].startswith("files/")]
    content = path.read_bytes()
    assert write_single(write_report([run], run.report_folder).parent).read_bytes() == content
    stamp = path.stat().st_mtime_ns
    write_report([run], run.report_folder)
    assert path.stat().st_mtime_ns == stamp  # it belongs to the page, which is as it was
    run.metrics_file.write_text(run.metrics_file.read_text() + "4,2400,0.1,0.4,0.4,0.6,0.2,1.0,0.5,4\n")
    write_report([run], run.report_folder)
    assert not path.exists()


def test_the_one_file_of_a_run_called_index_is_not_the_page(tmp_path: Path) -> None:
    run = write_run(tmp_path, "index")
    page = write_report([run], run.report_folder)
    assert page.is_file()
    assert write_single(page.parent) == page.with_name("report.html")
    assert 'src="files/' in page.read_text()


@pytest.mark.usefixtures("unseen")
def test_results_of_one_name_in_several_places_keep_their_figures(tmp_path: Path) -> None:
    folders = [write_landscape(write_run(tmp_path / place), grid=(3, 3), label="same") for place in "ab"]
    page = Page(write_report([], tmp_path / "page", beside=folders))
    shown = [image["src"] for image in page.all("img")]
    assert len(shown) == len({*shown}) == 2


def test_a_film_too_large_to_mail_stays_in_the_folder(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), colour).quantize(4) for colour in ("white", "black")]
    film = gif(frames, 8)

    def front(page: section.Page) -> section.Section:
        file = page.copy(tmp_path / "race.gif")
        return section.Section("A film", [section.Picture(file[1], "A race.", "")], [file])

    for more, films, words in ((0, 1, ""), (2**21, 0, "race.gif (in the folder)")):
        (tmp_path / "race.gif").write_bytes(film + bytes(more))  # behind its end
        page = write_report([write_run(tmp_path / str(more))], tmp_path / f"page-{more}", front=front, brief=True)
        assert (page.parent / "files" / "study" / "race.png").is_file()  # its last frame, which stands there
        text = write_single(page.parent).read_text()
        assert text.count('data-film="data:image/gif') == films
        assert text.count('src="data:image/webp') == 1
        assert words in text


def test_a_picture_that_is_too_wide_for_webp_stays_png(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    page = write_report([run], run.report_folder)
    Image.new("1", (16384, 1)).save(page.parent / "files" / run.name / "training.png")
    alone = Page(write_single(page.parent))
    assert [image["src"].partition(",")[0] for image in alone.all("img")] == ["data:image/png;base64"]
