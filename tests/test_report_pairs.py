"""Paired landscapes on the page: those of one net, of several nets, and what of them cannot be read."""

import json
from pathlib import Path

import pytest
from computing import pair

from lossscape import yamlfile
from lossscape.figures.section import Page as Folder
from lossscape.figures.section import Section
from lossscape.report import write_report
from lossscape.report.sections import LeftOut, find, together
from lossscape.results.folder import CERTIFICATE, ENGINE
from lossscape.runs import Run, point
from tests.report_runs import BOWL, STEEP, write_pairs, write_run
from tests.seeing import Page, assert_stands_alone

TOGETHER = "All runs together"


def pairs_together(runs: list[Path], folder: Path) -> tuple[list[Section], list[LeftOut]]:
    """The studies beside runs as sections, and what is left out."""
    found = together(runs, Folder(folder), set())
    return found.sections.get("pair", []), found.problems


def test_a_study_of_one_net_stands_in_its_runs_part(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path, {"a": BOWL}, own=True)
    run = Run(tmp_path / "a")
    page = Page(write_report([run], run.report_folder))
    assert_stands_alone(page)
    assert TOGETHER not in page.text
    assert page.text.index("Paired landscapes") < page.text.index("Config")
    assert "Landscapes" not in page.text  # its surfaces are not shown once more
    for words in (
        "epoch-0003, soft targets, 9 × 9 points, 1 plane",
        "around θ = a@epoch-0003, 9 × 9 points: against the data's labels, against what the net at θ itself says",
        "Random directions, seed 0: normal numbers, the second orthogonal to the first filter by filter; each filter "
        "of a direction has the norm of the filter it moves; biases and normalisation layers stay put",
        "Data: mnist, 60,000 train samples. Net: mlp. Loss: cross-entropy (labels), KL divergence from soft targets.",
        "Precision: fp32.",
        "a@epoch-0003: loss at the centre 0.2 against labels, 0 against soft targets.",
        "measure a@epoch-0003 labels soft loss at the centre 0.2 0 mean slope",
        "asymmetry of opposite sides (0 to 2) 0 0 convex share of the inner points 1 1",
        "Of one plane: --repeats takes several",
        "2 surfaces, none of them with a certificate that failed",
    ):
        assert words in page.text
    (figure,) = [image for image in page.all("img") if image["src"].endswith("/pair.png")]
    assert figure["alt"].endswith("a@epoch-0003: loss at the centre 0.2 against labels, 0 against soft targets.")
    copies = {file.name: file for file in page.local_files() if file.parent.name == "study"}
    assert set(copies) == {"pair.png", "pair.js", "measures.csv", "summary.csv", "settings.yaml"}
    assert copies["summary.csv"].read_bytes() == (pairs.folder / "summary.csv").read_bytes()


@pytest.mark.usefixtures("unseen")
def test_several_planes_of_the_study_itself(own_run: Run) -> None:
    folder = pair([point(str(own_run.path))], grid=(5, 5), repeats=2, samples=100, normalize="unit", ignore=[])
    page = Page(write_report([own_run], own_run.report_folder))
    assert_stands_alone(page)
    assert "Left out" not in page.text
    for words in (
        "epoch-0003, soft targets, 5 × 5 points, directions of norm 1, 2 planes, 100 samples",
        "100 of 300 train samples",
        "This is the plane of seed 0, one of 2",
        "each direction has norm 1",
        "Mean ± standard deviation over 2 planes, of the seeds 0 to 1.",
    ):
        assert words in page.text
    slopes = [line for line in (folder / "summary.csv").read_text().splitlines() if "mean_slope" in line]
    for line in slopes:
        mean, spread = (float(cell) for cell in line.split(",")[3:5])
        assert f"{mean:.3g} ± {spread:.2g}" in page.text


@pytest.mark.usefixtures("unseen")
def test_several_nets_stand_together_where_all_their_runs_are_on_the_page(tmp_path: Path) -> None:
    write_pairs(tmp_path, {"a": BOWL, "b": STEEP})
    write_pairs(tmp_path, {"b": STEEP}, own=True)
    runs = [write_run(tmp_path, "c"), Run(tmp_path / "a"), Run(tmp_path / "b")]
    page = Page(write_report(runs, tmp_path / "page"))
    assert_stands_alone(page)
    together = page.text[page.text.index(TOGETHER) :]
    for words in (
        "a@epoch-0003 and b@epoch-0003, soft targets, 9 × 9 points, 1 plane",
        "Loss of the training data at θ + x·d₁ + y·d₂ around each net's θ",
        "b@epoch-0003: loss at the centre 0.2 against labels, 0 against soft targets.",
        "measure a@epoch-0003 b@epoch-0003 labels soft labels soft loss at the centre 0.2 0 0.2 0",
    ):
        assert words in together
    names = [Path(image["src"]).name for image in page.all("img")]
    assert [name for name in names if name.startswith(("contours", "surfaces", "pair"))] == ["contours.png", "pair.png"]
    assert pairs_together([tmp_path / "b", tmp_path / "c"], tmp_path / "other") == ([], [])


@pytest.mark.usefixtures("unseen")
def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    write_pairs(tmp_path / "1", {"a": BOWL, "b": STEEP})
    write_run(tmp_path / "2", "b")
    for other, shown in (("1/b", 1), ("2/b", 0)):
        runs = [tmp_path / "1" / "a", tmp_path / other]
        sections, problems = pairs_together(runs, tmp_path / "page")
        assert (len(sections), problems) == (shown, [])


@pytest.mark.usefixtures("unseen")
def test_two_checkpoints_of_one_run_are_several_nets(own_run: Run, tmp_path: Path) -> None:
    pair([point(f"{own_run.path}@first"), point(str(own_run.path))], grid=(3, 3))
    (section,), problems = pairs_together([own_run.path], tmp_path / "page")
    assert section.title == "digits@epoch-0000 and digits@epoch-0003, soft targets, 3 × 3 points, 1 plane"
    assert not problems


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("measures.csv", None),
        ("summary.csv", None),
        ("summary.csv", b"net,targets,measure,mean,std,planes\n"),
        ("summary.csv", b"net,tar"),
        ("measures.csv", b"net,targets,seed,surface\na@epoch-0003,labels,zero,../../a/landscape/labels\n"),
        ("measures.csv", b"net,targets,seed,surface\na@epoch-0003,labels,0,../../a/landscape/labels\n"),
        ("measures.csv", b"\xff\xfe\n"),
        ("settings.yaml", b"nets: ["),
        ("settings.yaml", b"nets: 3\n"),
        ("settings.yaml", b"analysis: pair\n"),
        ("../../a/landscape/soft/surface.csv", None),
        ("../../a/landscape/soft/surface.csv", b"x,y,train_loss\n0,0,"),
        ("../../a/landscape/labels/settings.yaml", b"analysis: landscape\n"),
    ],
)
def test_a_damaged_study_is_a_problem(file: str, content: bytes | None, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path, {"a": BOWL, "b": STEEP})
    place = (pairs.folder / file).resolve()
    if content is None:
        place.unlink()
    else:
        place.write_bytes(content)
    runs = [tmp_path / name for name in ("a", "b")]
    sections, problems = pairs_together(runs, tmp_path / "page")
    assert not sections
    assert [problem.name for problem in problems] == ["pairs/study"]
    assert problems[0].reason
    assert not list(tmp_path.glob("page/**/*.png"))


@pytest.mark.usefixtures("unseen")
def test_what_cannot_be_read_is_listed_and_the_rest_is_shown(tmp_path: Path) -> None:
    (write_pairs(tmp_path, {"a": BOWL, "b": STEEP}).folder / "measures.csv").unlink()
    write_pairs(tmp_path, {"b": STEEP}, own=True)
    (write_pairs(tmp_path, {"a": BOWL}, own=True).folder / "summary.csv").write_text("net,tar")
    page = Page(write_report([Run(tmp_path / name) for name in ("a", "b")], tmp_path / "page"))
    assert_stands_alone(page)
    left_out = "Left out, because it could not be read or is not finished: pairs/study"
    assert f"{TOGETHER} {left_out}" in page.text
    assert page.text.count(left_out) == 2
    (figure,) = [image["src"] for image in page.all("img") if image["src"].endswith("pair.png")]
    assert figure == "files/b/pairs/study/pair.png"


@pytest.mark.usefixtures("unseen")
def test_a_failed_certificate_is_told_where_its_surface_counts(tmp_path: Path) -> None:
    write_pairs(tmp_path, {"a": BOWL}, own=True)
    run = Run(tmp_path / "a")
    (run.results("landscape") / "soft" / CERTIFICATE).write_text(json.dumps({"passed": False}))
    page = Page(write_report([run], tmp_path / "page"))
    told = page.text[page.text.index("The certificates of these surfaces FAILED") :]
    assert "do not rely on what is made of them. a@epoch-0003 against soft targets, seed 0" in told


@pytest.mark.usefixtures("unseen")
def test_a_damaged_file_of_a_surface_that_is_shown_in_a_study_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path, {"a": BOWL}, own=True)
    run = Run(tmp_path / "a")
    (run.results("landscape") / "soft" / ENGINE).write_text(json.dumps({"plan": 5}))
    problems = find(run.path, Folder(tmp_path / "page"), "a", set()).problems
    assert [problem.name for problem in problems] == ["landscape/soft"]
    assert "engine.json: plan: input should be a valid" in problems[0].reason


@pytest.mark.usefixtures("unseen")
def test_nothing_of_a_study_becomes_markup(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>&\"'#%?"
    write_pairs(tmp_path, {name: BOWL, "実験_a": STEEP})
    write_pairs(tmp_path, {name: BOWL}, own=True)
    for settings in tmp_path.rglob("settings.yaml"):
        found = yamlfile.read(settings).data
        settings.write_text(yamlfile.dump(found | {"data_note": "<script>alert(2)</script>"}))
    page = Page(write_report([Run(tmp_path / name), Run(tmp_path / "実験_a")], tmp_path / "page"))
    assert_stands_alone(page)
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    assert f"{name}@epoch-0003 and 実験_a@epoch-0003, soft targets" in page.text
