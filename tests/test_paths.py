"""Descent paths: planes through checkpoints, their principal components, and how far a path lies off a plane."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from computing import landscape
from conftest import DIGITS, forget
from seeing import assert_inside, words_of
from torch import nn

from lossscape.analyses.landscape.figure import build_contour, build_surface
from lossscape.analyses.landscape.path import summary
from lossscape.config import read_experiment
from lossscape.errors import BadInput
from lossscape.figures.curves import build_curve
from lossscape.figures.paths import build_path, when
from lossscape.results import read_curve, read_surface
from lossscape.runs import Run, point
from lossscape.train import train
from lossscape.trajectory import moments_of
from lossscape.vectors import Params, norm


def other_run(run: Run, name: str, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Run:
    """A copy of a run beside it, every parameter changed."""
    shutil.copytree(run.path, run.path.parent / name, ignore=shutil.ignore_patterns("landscape"))
    other = Run(run.path.parent / name)
    for checkpoint in other.checkpoints():
        torch.save({key: change(key, value) for key, value in checkpoint.state().items()}, checkpoint.path)
    other.metrics_file.write_text(other.metrics_file.read_text().splitlines()[0] + "\n")  # not of these weights
    return other


def noisy(key: str, value: torch.Tensor) -> torch.Tensor:
    return value + 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(len(key)))


def flat(state: Params) -> np.ndarray:
    return np.concatenate([value.double().flatten().numpy() for value in state.values()])


def loss_of(run: Run, checkpoint: str) -> float:
    model = run.model(checkpoint).double()
    inputs, targets = run.tensors("train")
    return float(nn.functional.cross_entropy(model(inputs.double()), targets).detach())


def test_the_extent_of_a_path_is_the_largest_distance_between_two_projections() -> None:
    projected = np.random.default_rng(0).standard_normal((50, 5))
    products = np.array([[4.0, 1.0], [1.0, 2.0]])  # of directions that are neither of length 1 nor orthogonal
    apart = [(a - b) @ products @ (a - b) for a in projected[:, :2] for b in projected[:, :2]]
    assert summary(projected, products)["extent"] == pytest.approx(max(apart) ** 0.5, rel=1e-12)


def test_principal_directions_are_those_of_an_explicit_svd(own_run: Run) -> None:
    folder = landscape(point(str(own_run.path)), grid=(5, 5), directions="pca")
    deltas = np.stack([flat(own_run.checkpoint(str(e)).state()) for e in range(4)])
    deltas -= deltas[3]
    _, values, rows = np.linalg.svd(deltas, full_matrices=False)
    stored = torch.load(folder / "directions.pt", weights_only=True)
    for axis, row in zip("xy", rows, strict=False):
        assert abs(flat(stored[axis]) @ row) == pytest.approx(1, abs=1e-12)
    surface = read_surface(folder)
    explained = values**2 / (values**2).sum()
    assert surface.settings["directions"]["explained"] == pytest.approx(explained[:2])
    certificate = json.loads((folder / "certificate.json").read_text())
    assert certificate["explained_variance"] == pytest.approx(explained[:2])
    assert certificate["cosine"] == pytest.approx(0, abs=1e-12)
    assert {0.0} <= {*surface.x} & {*surface.y}  # the centre is on the grid
    spots = deltas @ np.stack([flat(stored[axis]) for axis in "xy"]).T
    assert surface.x[0] < spots[:, 0].min()
    assert surface.x[-1] > spots[:, 0].max()
    assert surface.y[0] < spots[:, 1].min()
    assert surface.y[-1] > spots[:, 1].max()


def test_principal_directions_of_several_runs_together(own_run: Run) -> None:
    other = other_run(own_run, "other", noisy)
    runs = (other, own_run)
    folder = landscape(point(str(own_run.path)), grid=(3, 3), directions="pca", path=True, runs=runs, of_all=True)
    assert "pca-of-2-runs" in folder.name
    each = [np.stack([flat(run.checkpoint(str(e)).state()) for e in range(4)]) for run in (own_run, other)]
    deltas = np.concatenate(each) - each[0][3]
    _, values, rows = np.linalg.svd(deltas, full_matrices=False)
    stored = torch.load(folder / "directions.pt", weights_only=True)
    for axis, row in zip("xy", rows, strict=False):
        assert abs(flat(stored[axis]) @ row) == pytest.approx(1, abs=1e-10)
    made = read_surface(folder).settings["directions"]
    assert [run["run"] for run in made["runs"]] == ["digits", "other"]
    explained = values**2 / (values**2).sum()
    assert made["explained"] == pytest.approx(explained[:2])
    wanted = [((part @ rows[:2].T) ** 2).sum(0) / (part**2).sum() for part in (deltas[:4], deltas[4:])]
    assert np.array(made["explained_of_each"]) == pytest.approx(np.array(wanted))
    certificate = json.loads((folder / "certificate.json").read_text())
    assert certificate["passed"]
    assert [run["shares"] for run in certificate["explained_variance_of_each"]] == made["explained_of_each"]
    assert "part of Σ‖θₖ − θ‖² along component 2, of other" in {check["name"] for check in certificate["checks"]}
    shares = [" and ".join(f"{100 * share:.1f} %" for share in run) for run in wanted]
    assert f"of each run's own: digits {shares[0]}, other {shares[1]}" in words_of(build_path(read_surface(folder)))
    again = landscape(point(str(own_run.path)), grid=(3, 3), directions="pca", path=True, runs=(other,), of_all=True)
    assert again == folder  # A's run is among them, named or not


def test_a_path_in_a_plane_that_holds_it(own_run: Run) -> None:
    own_run.checkpoint("2").path.unlink()  # three points are left, which lie in the plane through them
    folder = landscape(
        point(str(own_run.path)),
        grid=(5, 5),
        through=(point(f"{own_run.path}@0"), point(f"{own_run.path}@1")),
        path=True,
        runs=(own_run,),
    )
    (trail,) = read_surface(folder).trails
    table = trail.table
    length = table["in_plane"].max()
    assert table["off_plane"].max() < 1e-12 * length
    assert table["plane_train_loss"].to_numpy() == pytest.approx(table["train_loss"].to_numpy(), rel=1e-6)
    assert table["train_loss"].to_numpy() == pytest.approx(
        [loss_of(own_run, epoch) for epoch in ("0", "1", "3")], rel=1e-6
    )
    settings = read_surface(folder).settings
    at = np.array(settings["directions"]["coordinates"])
    assert table[["x", "y"]].to_numpy()[[2, 0, 1]] == pytest.approx(at, abs=1e-12 * length)
    assert at[0].tolist() == [0, 0]
    assert at[1, 1] == 0
    weights = [flat(own_run.checkpoint(epoch).state()) for epoch in ("3", "0", "1")]
    for i, j in ((0, 1), (0, 2), (1, 2)):  # without skew, every distance is that of the parameters
        assert np.linalg.norm(at[i] - at[j]) == pytest.approx(np.linalg.norm(weights[i] - weights[j]), rel=1e-12)
    assert trail.facts["share_of_length"] == pytest.approx(1, rel=1e-12)
    assert trail.facts["share_of_squares"] == pytest.approx(1, rel=1e-12)


def test_true_losses_are_those_of_the_checkpoints_own_statistics(tmp_path: Path) -> None:
    config = tmp_path / "digits.yaml"
    config.write_text(DIGITS.replace("dropout: 0.2", "batch_norm: true").replace("epochs: 3", "epochs: 2"))
    run = train(read_experiment(config), tmp_path / "runs")
    centre = point(str(run.path))
    surface = read_surface(landscape(centre, grid=(3, 3), directions="pca", path=True, runs=(run,)))
    (trail,) = surface.trails  # three points, so that the plane holds them
    assert trail.table["off_plane"].max() < 1e-12
    for epoch, row in trail.table.iterrows():
        assert row["train_loss"] == pytest.approx(loss_of(run, str(epoch)), rel=1e-5)
        mixed, frozen = run.checkpoint(str(epoch)).state(), centre.checkpoint.state()
        parameters = dict(run.model().named_parameters())
        torch.save({n: mixed[n] if n in parameters else frozen[n] for n in mixed}, run.epoch_file(9))
        assert row["plane_train_loss"] == pytest.approx(loss_of(run, "9"), rel=1e-5)
    assert trail.table["train_loss"][0] != pytest.approx(trail.table["plane_train_loss"][0], rel=1e-2)
    assert "True losses are those with the checkpoints' own BatchNorm statistics" in words_of(build_path(surface))


def test_a_path_over_a_random_plane(own_run: Run) -> None:
    other = other_run(own_run, "other", noisy)
    folder = landscape(point(str(own_run.path)), grid=(5, 5), seed=2, split="both", path=True, runs=(own_run, other))
    surface = read_surface(folder)
    assert [trail.name for trail in surface.trails] == ["digits", "other"]
    stored = torch.load(folder / "directions.pt", weights_only=True)
    basis = np.stack([flat(stored[axis]) for axis in "xy"], axis=1)
    centre = flat(own_run.checkpoint("last").state())
    for run, trail in zip((own_run, other), surface.trails, strict=True):
        before = None
        for row, label in enumerate(trail.checkpoints):
            at = trail.table.iloc[row]
            weights = flat(run.checkpoint(label.removeprefix("epoch-").lstrip("0") or "0").state())
            spot, *_ = np.linalg.lstsq(basis, weights - centre, rcond=None)
            assert at[["x", "y"]].to_numpy() == pytest.approx(spot, abs=1e-9)
            inside = np.linalg.norm(basis @ spot)
            assert at["in_plane"] == pytest.approx(inside, abs=1e-9)
            assert at["off_plane"] == pytest.approx(np.linalg.norm(weights - centre - basis @ spot), abs=1e-9)
            assert at["train_loss"] == pytest.approx(loss_of(run, str(row)), rel=1e-5)
            moved = 0 if before is None else np.linalg.norm(weights - before)
            assert at["moved"] == pytest.approx(moved, abs=1e-9)
            before = weights
    with (folder / "path.csv").open() as lines:
        assert next(csv.reader(lines))[:9] == [
            "run", "checkpoint", "epoch", "step", "x", "y", "off_plane", "in_plane", "moved",
        ]  # fmt: skip
    words = words_of(build_contour(surface))
    assert "Path of digits: 4 checkpoints, epoch 0 to 3" in words
    assert len(re.findall("This path does not lie in the plane: it is up to", words)) == 2
    assert "The surface does not have the path's height at" in words


def test_towards_a_point_of_another_run(own_run: Run) -> None:
    other = other_run(own_run, "other", noisy)
    a, b = point(str(own_run.path)), point(str(other.path))
    folder = landscape(a, grid=(7, 5), towards=b, seed=1)
    surface = read_surface(folder)
    distance = float(np.linalg.norm(flat(a.checkpoint.state()) - flat(b.checkpoint.state())))
    assert surface.settings["directions"]["coordinates"] == [[0, 0], [pytest.approx(distance), 0]]
    assert "towards-other-epoch-0003-seed1" in folder.name
    stored = torch.load(folder / "directions.pt", weights_only=True)
    assert flat(stored["x"]) * distance == pytest.approx(
        flat(b.checkpoint.state()) - flat(a.checkpoint.state()), abs=1e-12
    )
    assert flat(stored["x"]) @ flat(stored["y"]) == pytest.approx(0, abs=1e-14)
    assert norm(stored["y"]) == pytest.approx(1, abs=1e-14)
    line = read_curve(landscape(a, dims=1, grid=3, x_range=(0, distance), towards=b))
    assert line.table["train_loss"].iloc[-1] == pytest.approx(loss_of(other, "last"), rel=1e-5)
    assert "the line to B" in words_of(build_curve([line]))
    principal = landscape(a, dims=1, grid=9, directions="pca")
    assert "principal component 1" in words_of(build_curve([read_curve(principal)]))


def test_paths_are_resumed_and_kept(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other = other_run(own_run, "other", noisy)
    a = point(str(own_run.path))
    folder = landscape(a, grid=(4, 4), directions="pca", path=True, runs=(own_run,))
    whole, surface = (folder / "path.csv").read_bytes(), (folder / "surface.csv").stat().st_mtime_ns
    (live,) = (folder / "paths").iterdir()
    forget(folder)
    live.write_bytes(b"".join(live.read_bytes().splitlines(keepends=True)[:3]) + b"2.0,20")  # as a kill leaves it
    assert landscape(a, grid=(4, 4), directions="pca", path=True, runs=(own_run,)) == folder
    assert (folder / "path.csv").read_bytes() == whole
    again = landscape(a, grid=(4, 4), directions="pca", path=True, runs=(own_run,), overwrite=True)
    assert (again / "path.csv").read_bytes() == whole
    assert (folder / "surface.csv").stat().st_mtime_ns > surface
    spread = landscape(a, grid=(4, 4), directions="pca", path=True, runs=(own_run, other))
    assert spread != folder  # whose default range holds the other path too
    sides = read_surface(folder).settings
    same = landscape(
        a,
        grid=(4, 4),
        directions="pca",
        path=True,
        runs=(other,),
        x_range=tuple(sides["x_range"]),
        y_range=tuple(sides["y_range"]),
    )
    assert [trail.name for trail in read_surface(same).trails] == ["other"]


def test_steps_within_an_epoch_are_on_the_path(own_run: Run) -> None:
    own_run.checkpoint("1")
    steps = own_run.metrics_file.read_text().splitlines()
    length = int(float(steps[2].split(",")[1]))  # of an epoch
    for step in (length // 2, length):
        shutil.copy(own_run.epoch_file(1), own_run.step_file(step))
    moments = moments_of(own_run)
    assert [moment.step for moment in moments] == [0, length // 2, length, 2 * length, 3 * length]
    assert moments[1].epoch == pytest.approx(length // 2 / length)


def test_figures_hold_everything(own_run: Run) -> None:
    other = other_run(own_run, "other", noisy)
    folder = landscape(
        point(str(own_run.path)), grid=(7, 7), path=True, runs=(own_run, other,),
        through=(point(str(other.path)), point(f"{own_run.path}@first")),
    )  # fmt: skip
    surface = read_surface(folder)
    for figure in (build_contour(surface), build_surface(surface), build_path(surface)):
        assert_inside(figure)
        words = words_of(figure)
        assert "The plane through three points: A = digits@epoch-0003, B = other@epoch-0003" in words
        assert "path of other" in words
    named = {"A, digits@epoch-0003", "B, other@epoch-0003", "C, digits@epoch-0000"}
    assert {*named, "epoch 0"} <= {text.get_text() for text in build_contour(surface).axes[0].texts}
    assert named <= {text.get_text().strip() for text in build_surface(surface).axes[0].texts}
    several = landscape(point(str(own_run.path)), grid=(5, 5), directions="pca", path=True, runs=(own_run, other))
    texts = [text.get_text() for text in build_contour(read_surface(several)).axes[0].texts]
    assert {"digits, epoch 3", "other, epoch 3"} <= {*texts}  # the last of every path
    assert texts.count("epoch 0") == 1


def test_what_does_not_go_together_is_refused(own_run: Run, cli: Callable[..., tuple[int, str, str]]) -> None:
    a, run = point(str(own_run.path)), str(own_run.path)
    first = point(f"{run}@first")
    with pytest.raises(BadInput, match="same point as the centre"):
        landscape(a, towards=a)
    halved = other_run(own_run, "line", lambda key, value: value)
    state = {k: (v + first.checkpoint.state()[k]) / 2 for k, v in a.checkpoint.state().items()}
    torch.save(state, halved.checkpoint("last").path)
    with pytest.raises(BadInput, match=r"line@epoch-0003 lies on the line through digits@epoch-0003 and digits@epoch"):
        landscape(a, through=(first, point(str(halved.path))))
    small = other_run(own_run, "small", lambda key, value: value[..., :1])
    for asked in ({"towards": point(str(small.path))}, {"path": True, "runs": (small,)}):
        with pytest.raises(BadInput, match="small"):
            landscape(a, grid=(3, 3), **asked)
    for words, told in (
        (("--directions", "pca", "--normalize", "filter"), "--normalize is of random directions"),
        (("--towards", f"{run}@0", "--ignore", "none"), "--ignore is of random directions"),
        (("--directions", "pca", "--towards", f"{run}@0"), "choose one"),
        (("--through", f"{run}@0", f"{run}@1", "--dims", "1"), "--towards B"),
        (("--directions", "pca", "--seed", "3"), "nothing is drawn"),
        (("--dims", "1", "--path"), "--dims 1 out"),
        ((run,), "are for --path"),
        (("--directions", "pca", "--path", "--of-all"), "name the other runs behind --path"),
        (("--path", run, "--of-all"), "--of-all is for --directions pca"),
    ):
        code, _, err = cli("landscape", run, *words, "-q")
        assert (code, told in err) == (2, True), err
    tanh = other_run(own_run, "tanh", lambda key, value: value)
    tanh.config_file.write_text(tanh.config_file.read_text().replace("activation: relu", "activation: tanh"))
    for asked in ({"towards": point(str(tanh.path))}, {"path": True, "runs": (Run(tanh.path),)}):
        with pytest.raises(BadInput, match=r"another net than digits: model\.activation is 'tanh', not 'relu'"):
            landscape(a, grid=(3, 3), **asked)
    for epoch in (0, 1, 2):
        own_run.epoch_file(epoch).unlink()
    with pytest.raises(BadInput, match="are all the centre itself"):
        landscape(a, directions="pca")


def test_the_command_draws_a_path(own_run: Run, cli: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = cli("landscape", own_run.path, "--directions", "pca", "--path", "--grid", "5", "-q")
    assert code == 0, err
    for name in ("path.csv", "path.png", "contour.png", "surface.png"):
        assert name in out
    written = Path(re.findall(r"\S+path\.png", out)[0])
    assert written.is_file()


@pytest.mark.parametrize(
    ("epoch", "step", "words"),
    [
        (3.0, 9, "epoch 3"),
        (1 / 3, 1, "epoch 0.333"),
        (1234.0, 9, "epoch 1234"),
        (float("nan"), 1234567, "step 1234567"),
    ],
)
def test_a_moment_is_never_rounded_to_another(epoch: float, step: float, words: str) -> None:
    assert when(pd.Series({"epoch": epoch, "step": float(step)})) == words
