"""Films: frames are landscapes in one plane through every checkpoint, found again, drawn on one scale, and told."""

import dataclasses
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from computing import film, landscape
from conftest import forget
from PIL import Image
from seeing import NAN, assert_inside, lines_of, words_of
from torch import nn

from lossscape.analyses.drawing import formats_of
from lossscape.analyses.film.compute import every_so_often
from lossscape.analyses.film.figure import build_descent, build_plane, draw, scale_of
from lossscape.analyses.film.request import Drawing
from lossscape.analyses.film.result import Film
from lossscape.analyses.film.result import read as read_film
from lossscape.directions import sentence
from lossscape.errors import BadInput, RunFailed
from lossscape.evaluate import Work
from lossscape.figures.movies import DPI, gif, movie, picture
from lossscape.figures.section import Page, Section
from lossscape.report.page import write_report
from lossscape.report.sections import LeftOut, find
from lossscape.results import read_surface
from lossscape.runs import Run, point
from lossscape.trajectory import moments_of

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Both films of a run of four checkpoints, evaluated in float64; not to be changed."""
    path = tmp_path_factory.mktemp("film") / "runs" / "digits"
    shutil.copytree(trained.path, path)
    return read_film(film(point(str(path)), grid=(5, 3), precision="fp64"))


@pytest.fixture
def own(made: Film, tmp_path: Path) -> Film:
    """A film of the test's own."""
    shutil.copytree(made.folder.parent.parent, tmp_path / "digits")
    return read_film(tmp_path / "digits" / "film" / made.folder.name)


def run_of(film: Film) -> Run:
    return Run(film.folder.parent.parent)


def films_of(run: Run) -> tuple[list[Section], list[LeftOut]]:
    """The films of a run as the page has them, and what it leaves out."""
    found = find(run.path, Page(run.report_folder), "run", set())
    return found.sections.get("film", []), found.problems


def directions_of(film: Film, frame: int) -> dict[str, dict[str, torch.Tensor]]:
    found: dict[str, dict[str, torch.Tensor]] = torch.load(
        film.surface("plane", frame).folder / "directions.pt", weights_only=True
    )
    return found


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the points that are evaluated."""
    counts: list[int] = []
    rows = Work.rows

    def counted(self: Work, block: list[tuple[float, ...]], *rest: object) -> object:
        counts.append(len(block))
        return rows(self, block, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Work, "rows", counted)
    return counts


def test_a_frame_is_the_plane_laid_through_its_checkpoint(made: Film) -> None:
    run = run_of(made)
    inputs, targets = run.tensors("train")
    for frame in range(4):
        surface, directions = made.surface("plane", frame), directions_of(made, frame)
        for x, y, loss in surface.table[["x", "y", "train_loss"]].to_numpy()[::4]:
            model = run.model(str(frame)).double()
            with torch.no_grad():
                for name, value in model.named_parameters():
                    value += x * directions["x"][name] + y * directions["y"][name]
                truth = nn.functional.cross_entropy(model(inputs.double()), targets)
            assert loss == pytest.approx(float(truth), rel=1e-10)
        assert surface.certificate["passed"]


def test_directions_are_those_of_the_centre_in_every_frame(made: Film) -> None:
    centre = run_of(made).checkpoint("last").state()
    last = directions_of(made, 3)
    for frame in range(4):
        for axis in "xy":
            for name, value in directions_of(made, frame)[axis].items():
                assert torch.equal(value, last[axis][name])
                if value.ndim > 1:  # filter by filter those of A, whichever checkpoint the plane is laid through
                    assert torch.allclose(value.norm(dim=1), centre[name].double().norm(dim=1), rtol=1e-12)
    settings = [made.surface("plane", frame).settings for frame in range(4)]
    assert [each["directions"].get("of", {}).get("checkpoint") for each in settings] == ["epoch-0003"] * 3 + [None]
    files = [made.surface("plane", frame).folder / "directions.pt" for frame in range(4)]
    assert len({file.stat().st_ino for file in files}) == 1
    assert len({tuple(each["x_range"] + each["y_range"]) for each in settings}) == 1
    assert "made at digits@epoch-0003 in place of the centre" in sentence(settings[0], 2)


def test_the_table_has_true_losses_and_ways_to_the_landscapes(made: Film) -> None:
    run = run_of(made)
    stored = [float(row.split(",")[3]) for row in run.metrics_file.read_text().splitlines()[1:]]
    for kind in ("descent", "plane"):
        rows = made.rows(kind)
        assert rows["frame"].tolist() == rows["epoch"].tolist() == [0, 1, 2, 3]
        assert rows["train_loss"].to_numpy() == pytest.approx(stored, rel=1e-6)
        assert all((made.folder / link / "surface.csv").is_file() for link in rows["landscape"])
    descent = made.rows("descent")
    assert descent["off_plane"].to_numpy() == pytest.approx(made.trail.table["off_plane"].to_numpy())
    assert descent["plane_train_loss"].to_numpy() == pytest.approx(made.trail.table["plane_train_loss"].to_numpy())


def test_a_second_call_evaluates_only_what_lacks(own: Film, evaluated: list[int]) -> None:
    centre = point(str(run_of(own).path))
    before = (own.folder / "films.csv").read_bytes()

    def again() -> None:
        assert film(centre, grid=(5, 3), precision="fp64") == own.folder
        assert (own.folder / "films.csv").read_bytes() == before

    again()
    assert not evaluated
    (own.folder / "films.csv").unlink()  # as a kill leaves it before the last frame is done
    again()
    assert not evaluated
    folder = own.surface("plane", 1).folder
    lines = (folder / "surface.csv").read_text().splitlines(keepends=True)
    (folder / "points.csv").write_text("".join(lines[:8]) + "0.5,0.")
    (folder / "surface.csv").unlink()
    again()
    assert sum(evaluated) == 15 - 7
    evaluated.clear()
    shutil.rmtree(own.surface("plane", 2).folder)
    again()
    assert 15 <= sum(evaluated) < 30  # a frame and its certificate


def test_frames_are_so_many_epochs_apart(own: Film) -> None:
    moments = moments_of(run_of(own))
    for every, epochs in ((1, [0, 1, 2, 3]), (2, [0, 2, 3]), (3, [0, 3]), (50, [0, 3])):
        assert [moment.epoch for moment in every_so_often(moments, every)] == epochs
    unknown = [dataclasses.replace(moment, epoch=NAN) for moment in moments]
    assert len(every_so_often(unknown, 2)) == 4


def test_principal_components_for_both(own: Film) -> None:
    centre = point(f"{run_of(own).path}@2")
    found = read_film(film(centre, directions="pca", every=2, grid=(3, 3), samples=50))
    stored = [directions_of(found, frame)["x"] for frame in range(3)]
    assert all(torch.equal(one[name], stored[0][name]) for one in stored for name in one)
    x, y = (found.surface("plane", 0).settings[f"{axis}_range"] for axis in "xy")
    assert x[0] == -x[1]
    assert y[0] == -y[1]
    reach = np.abs(found.trail.table[["x", "y"]].to_numpy()).max(axis=0)
    assert [x[1], y[1]] >= reach.tolist()
    words = words_of(build_plane(found, 0))
    assert "around A = digits@epoch-0002 (of θₖ − A, no mean taken away)" in words
    assert "Errors are those of the last frame" in words


def test_directions_of_another_point(own_run: Run, cli: Cli) -> None:
    run = str(own_run.path)
    code, out, err = cli("landscape", f"{run}@1", "--directions-of", run, "--grid", 3, "-q")
    assert code == 0, err
    assert "epoch-0001-3x3-directions-of-epoch-0003" in out
    same = landscape(point(run), grid=(3, 3), directions_of=point(f"{run}@3"))
    assert same == landscape(point(run), grid=(3, 3))  # made at the centre itself: the same result
    surface = read_surface(landscape(point(f"{run}@0"), grid=(5, 5), directions="pca", directions_of=point(run)))
    assert (surface.x[0], surface.y[0]) < (0, 0)
    distance = np.linalg.norm(np.concatenate([
        (own_run.checkpoint("3").state()[name] - value).flatten().numpy()
        for name, value in own_run.checkpoint("0").state().items()
    ]))  # fmt: skip
    assert np.abs(np.array([surface.x[[0, -1]], surface.y[[0, -1]]])).max() > 0.7 * distance  # which holds A
    code, _, err = cli("landscape", run, "--towards", f"{run}@0", "--directions-of", f"{run}@1")
    assert (code, "--directions-of" in err) == (2, True)


def test_the_descent_grows_and_tells_the_truth(made: Film) -> None:
    for frame in range(4):
        figure = build_descent(made, frame)
        axes, _, beside = figure.axes
        table = made.trail.table.iloc[: frame + 1]
        (path,) = lines_of(axes, "path")
        assert np.array(path.get_data()).T.tolist() == table[["x", "y"]].to_numpy().tolist()
        (true,) = lines_of(beside, "true")
        assert true.get_ydata().tolist() == table["train_loss"].tolist()
        assert len(lines_of(beside, "plane below")[0].get_ydata()) == frame + 1
        words = words_of(figure)
        row = made.rows("descent").iloc[frame]
        for told in (
            f"epoch {frame}", f"train loss {row['train_loss']:.4g}, accuracy", "checkpoints, epoch 0 to 3",
            f"plane below {row['plane_train_loss']:.4g}, checkpoint", "Data: digits, 300 train samples", "Net: mlp",
            "around θ = digits@epoch-0003", "first two principal components", "Precision: fp64",
        ):  # fmt: skip
            assert told in words
        figure.set_dpi(DPI)
        assert_inside(figure)


def test_all_frames_of_the_plane_have_one_scale(made: Film) -> None:
    levels, heights = [], []
    for frame in range(4):
        figure = build_plane(made, frame)
        contours, solid = figure.axes[0], figure.axes[2]
        levels.append(next(tuple(each.levels) for each in contours.collections if hasattr(each, "levels")))
        heights.append(solid.get_zlim())
        words = words_of(figure)
        for told in (
            f"epoch {frame}", "at the checkpoint", "4 frames, epoch 0 to 3, 5 × 3 points each", "One scale for all",
            "each filter of a direction has the norm of the filter", "made at digits@epoch-0003", "Precision: fp64",
            "Data: digits, 300 train samples",
        ):  # fmt: skip
            assert told in words
        figure.set_dpi(DPI)  # at which text is a little wider
        assert_inside(figure)
    assert len(set(levels)) == len(set(heights)) == 1


def test_extreme_and_missing_losses_are_drawn_and_counted(own: Film) -> None:
    forget(own.folder.parents[1])
    for frame, value in ((0, "nan"), (1, "inf"), (2, "1e12")):
        file = own.surface("plane", frame).folder / "surface.csv"
        head, first, *rest = file.read_text().splitlines()
        x, y, _, *others = first.split(",")
        file.write_text("\n".join([head, ",".join([x, y, value, *others]), *rest]) + "\n")
    found = read_film(own.folder)
    assert scale_of(found, "plane").high < 1e6
    words = words_of(build_plane(found, 0))
    assert "2 of 60 points, whose loss is infinite, undefined" in words
    assert "of all losses lie beyond it" in words
    for frame in range(3):
        assert_inside(build_plane(found, frame))
    few = dataclasses.replace(own, table=own.table.iloc[-1:])
    for surface in [few.surface("plane", 0).folder / "surface.csv"]:
        head, *rest = surface.read_text().splitlines()
        cells = [row.split(",") for row in rest]
        surface.write_text("\n".join([head, *(",".join([*row[:2], "nan", *row[3:]]) for row in cells)]) + "\n")
    nothing = read_film(own.folder)
    assert "no finite loss" in words_of(build_plane(dataclasses.replace(nothing, table=nothing.table.iloc[-1:]), 0))


def test_a_film_of_a_regression_tells_its_loss_alone(own: Film) -> None:
    bare = dataclasses.replace(own, table=own.table.drop(columns="train_accuracy"))
    assert bare.metrics == []
    words = words_of(build_descent(bare, 2)) + words_of(build_plane(bare, 2))
    assert f"train loss {bare.rows('plane')['train_loss'].iloc[2]:.4g} at the checkpoint" in words
    assert "accuracy" not in words


def test_a_gif_holds_every_frame(own: Film) -> None:
    drawn = draw(own, Drawing(fps=10, formats=("gif",)), quiet=True)
    assert {name: [Path(file).name for file in str(files).splitlines()] for name, files in drawn.items()} == {
        "descent": ["descent.gif", "descent.png"],
        "plane": ["plane.gif", "plane.png"],
        "frames": ["films.csv"],
    }
    with Image.open(own.folder / "plane.gif") as found:
        assert (found.n_frames, found.info["loop"]) == (4, 0)
        durations = []
        for frame in range(4):
            found.seek(frame)
            durations.append(found.info["duration"])
        assert durations == [100, 100, 100, 2000]
        assert found.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        assert found.size == picture(build_plane(own, 0)).size
    assert (own.folder / "plane.gif").stat().st_size < 4 * 50_000
    like = [Image.new("P", (8, 8), colour) for colour in (0, 1)]
    with Image.open(io.BytesIO(gif(like, 1000.0))) as quick:
        assert quick.info["duration"] == 20  # what viewers still show as it is


def test_mp4_without_ffmpeg_is_refused_before_any_work(own_run: Run, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert formats_of(None) == ("gif",)
    code, out, err = cli("film", own_run.path, "--format", "gif,mp4")
    assert (code, out) == (2, "")
    assert "install it" in err
    assert not (own_run.path / "film").exists()
    assert not (own_run.path / "landscape").exists()
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/ffmpeg")
    assert formats_of(None) == ("gif", "mp4")


def test_an_ffmpeg_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    told = r"descent\.mp4: ffmpeg failed: Unknown encoder libx264; use --format gif"

    def make() -> None:
        with movie(tmp_path / "descent.mp4", 8) as add:
            for _ in range(100):
                add(Image.new("RGB", (960, 600)))

    with pytest.raises(RunFailed, match=told):
        make()
    assert not (tmp_path / "descent.mp4").exists()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_an_mp4_is_made(tmp_path: Path) -> None:
    with movie(tmp_path / "film.mp4", 8) as add:
        for colour in ("white", "red", "white"):
            add(Image.new("RGB", (161, 99), colour))  # odd sides
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_the_command_and_the_page(own_run: Run, cli: Cli) -> None:
    words = ("--grid", 3, "--every", 3, "--kind", "plane", "--format", "gif", "-q")
    code, out, err = cli("film", own_run.path, *words)
    assert code == 0, err
    written = [Path(found) for found in re.findall(r"\S+\.(?:gif|png|csv)", out)]
    assert [file.name for file in written] == ["plane.gif", "plane.png", "films.csv"]
    assert "epoch-0003-3x3-plane-every-3" in written[0].parent.name
    text = write_report([own_run], own_run.report_folder).read_text()
    assert re.search(r'<img src="files/digits/film/[^"]+/plane\.png"', text)
    assert re.search(r'<a href="files/digits/film/[^"]+/plane\.gif"', text)
    assert "1 of the frames are landscapes of their own" in text
    assert text.count("random plane around") == 3  # that of A: in the contents, in the table, above itself
    (section,), problems = films_of(own_run)
    assert not problems
    assert not section.failures
    forget(own_run.path)
    broken = next(file for file in (own_run.path / "landscape").glob("*directions-of*/certificate.json"))
    failed = json.loads(broken.read_text())
    failed["passed"] = failed["checks"][0]["passed"] = False
    broken.write_text(json.dumps(failed))
    assert "The certificate of this result FAILED" in words_of(build_plane(read_film(written[0].parent), 0))
    (section,), _ = films_of(own_run)
    assert section.failures == ["plane, epoch-0000"]
    written[0].unlink()
    (section,), _ = films_of(own_run)
    assert section.pictures[0].source.endswith("plane.png")
    written[1].unlink()
    sections, (problem,) = films_of(own_run)
    assert not sections
    assert problem.reason == "plane is not drawn: run the command again"


def test_what_makes_no_film_is_refused(own_run: Run) -> None:
    centre = point(str(own_run.path))
    for asked, told in (
        ({"grid": (4, 5)}, "4 points from -1 to 1 along x miss the checkpoint"),
        ({"range": (0.5, 1.0), "kind": "plane"}, "along x miss the checkpoint"),
        ({"range": (-1.0, 1.0)}, "whose units differ"),
        ({"kind": "descent", "normalize": "layer"}, "--normalize is of random directions"),
        ({"kind": "sideways"}, "--kind 'sideways'"),
    ):
        with pytest.raises(BadInput, match=re.escape(told)):
            film(centre, **asked)  # type: ignore[arg-type]
    for epoch in (1, 2):
        own_run.epoch_file(epoch).unlink()
    with pytest.raises(BadInput, match="has one checkpoint beside digits@epoch-0003"):
        film(centre)
    own_run.epoch_file(0).unlink()
    with pytest.raises(BadInput, match="has one checkpoint, epoch-0003; a film needs two"):
        film(centre, kind="plane")


def test_a_torn_film_is_refused(own: Film) -> None:
    table = own.folder / "films.csv"
    forget(own.folder)
    whole = table.read_text()
    for torn in ("", "film,frame\n", whole.splitlines()[0] + "\n", whole.replace("0.0,0,epoch", "x,0,epoch")):
        table.write_text(torn)
        with pytest.raises(BadInput):
            read_film(own.folder)
    table.write_text(whole.replace("descent,2,2.0,", "descent,2,2.0,").replace(",epoch-0002,", ",epoch-0009,"))
    with pytest.raises(BadInput, match="epoch-0009 is not on the path"):
        build_descent(read_film(own.folder), 2)
