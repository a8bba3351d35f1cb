"""`lossscape race`: surfaces in closed form, methods by hand, outcomes, a net's planes and saddles, resume, figures."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from computing import race, saddles
from conftest import Answer
from matplotlib.colors import to_rgb
from PIL import Image
from test_derivatives import explicit
from torch import Tensor

import lossscape as ls
from lossscape.analyses.race.compute import prepared
from lossscape.analyses.race.figure import build_contour, caption, hidden, losses_axes
from lossscape.analyses.race.grounds import Formula, InPlane, Whole, flat
from lossscape.analyses.race.looks import COLOURS, look_of
from lossscape.analyses.race.request import Request
from lossscape.analyses.race.result import Race, read
from lossscape.analyses.saddles.result import read as read_saddles
from lossscape.config import read_experiment
from lossscape.evaluate import Subspace
from lossscape.execution import Execution
from lossscape.measured import Measured
from lossscape.problem import problem_of
from lossscape.runs import Run, point_of
from lossscape.surfaces import SURFACES
from lossscape.train import train
from lossscape.vectors.random import random_directions
from tests.seeing import Page, assert_stands_alone

TINY = """\
name: tiny
dataset: {name: synthetic, shape: [3], classes: 2, train: 30, test: 10, separation: 2}
model: {name: mlp, hidden: [3], activation: tanh}
optimizer: {name: sgd, lr: 0.2, weight_decay: 0.02}
training: {epochs: 1, batch_size: 30}
"""
FIRST_ORDER = "sgd,momentum,nesterov,nesterov_lookahead,adagrad,rmsprop,adadelta,adam,adamw:weight_decay=0.0"
Cli = Callable[..., Answer]


def f64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def ripple(x: float) -> float:
    return x + float(np.sin(10 * x))


SLOPES: dict[str, Callable[[float, float], tuple[float, float]]] = {
    "saddle": lambda x, y: (2 * x, -2 * y),
    "monkey_saddle": lambda x, y: (3 * x**2 - 3 * y**2, -6 * x * y),
    "valley": lambda x, y: (x / 10, 2 * y),
    "beale": lambda x, y: (
        sum(2 * (c - x + x * y**k) * (y**k - 1) for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))),
        sum(2 * (c - x + x * y**k) * k * x * y ** (k - 1) for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))),
    ),
    "rosenbrock": lambda x, y: (-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)),
    "himmelblau": lambda x, y: (
        4 * x * (x**2 + y - 11) + 2 * (x + y**2 - 7),
        2 * (x**2 + y - 11) + 4 * y * (x + y**2 - 7),
    ),
    "plateau": lambda x, y: (x * np.exp(-(x**2 + y**2) / 2), y * np.exp(-(x**2 + y**2) / 2)),
    "cliff": lambda x, y: tuple(z / 10 + 100 * z / np.cosh(10 * (x**2 + y**2 - 1)) ** 2 for z in (x, y)),  # type: ignore[dict-item]
    "noisy_bowl": lambda x, y: (ripple(x), ripple(y)),
}
"""∇f by hand."""


@pytest.mark.parametrize("name", SURFACES)
def test_surfaces_are_what_is_said_of_them(name: str) -> None:
    surface, function = SURFACES[name], Formula(name)
    points = np.random.default_rng(0).uniform(*np.array(surface.window).T, size=(20, 2))
    for x, y in points.tolist():
        value, slope = function.gradient(f64(x, y))
        np.testing.assert_allclose(slope, SLOPES[name](x, y), rtol=1e-10, atol=1e-10)
        assert value == function.value(f64(x, y))
        steps = [
            (np.array(SLOPES[name](x + dx, y + dy)) - SLOPES[name](x - dx, y - dy)) / 2e-5
            for dx, dy in ((1e-5, 0), (0, 1e-5))
        ]
        np.testing.assert_allclose(function.matrix(f64(x, y)), steps, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(
            function.product(f64(x, y), f64(2, -1)), 2 * steps[0] - steps[1], rtol=1e-5, atol=1e-4
        )
    least = min(function.value(f64(*point)) for point in points.tolist())
    for spot in (*surface.minima, *surface.others):
        assert np.abs(SLOPES[name](*spot)).max() < 1e-12 * (1 + 1e3 * (name in ("himmelblau", "cliff")))
        assert all(low <= z <= high for z, (low, high) in zip(spot, surface.window, strict=True))
        curvatures = np.linalg.eigvalsh(function.matrix(f64(*spot)).numpy())
        if spot in surface.minima:
            assert curvatures.min() > 0
            assert function.value(f64(*spot)) < least
        elif name != "noisy_bowl":
            assert curvatures.min() < 0 or name == "monkey_saddle"
    assert bool(surface.minima) == (surface.ridge is None)


def descended(name: str, **options: Any) -> Race:
    return race_of(**{"surface": name, "grid": 3} | options)


def race_of(**options: Any) -> Race:
    return read(race(**options))


def path(found: Race, method: str, start: int = 0) -> np.ndarray:
    rows = found.table[(found.table["method"] == method) & (found.table["start"] == start)]
    return rows[["x", "y"]].to_numpy()


def test_sgd_and_momentum_on_the_saddle_by_hand(tmp_path: Path) -> None:
    """x and y grow by powers of 1 ∓ 2η; momentum by v ← αv + g, θ ← θ − ηv; and when they have left."""
    found = descended("saddle", methods="sgd:lr=0.05,momentum:lr=0.05", start=(-1, 1e-3), steps=200, runs=str(tmp_path))
    steps = np.arange(200)
    truth = np.stack([-(0.9**steps), 1e-3 * 1.1**steps], axis=1)
    own = path(found, "sgd")
    np.testing.assert_allclose(own, truth[: len(own)], rtol=1e-11)
    away = np.linalg.norm(truth, axis=1)
    assert len(own) == int((away > 6).argmax()) + 1  # ended where it has left the picture
    left = int(((away >= 1) & (truth[:, 0] ** 2 < truth[:, 1] ** 2)).argmax())
    outcomes = found.outcomes.set_index("method")
    assert outcomes.loc["sgd", ["outcome", "steps", "gradient_evaluations"]].tolist() == ["left", left, left]
    theta, velocity, curvature = np.array([-1, 1e-3]), np.zeros(2), np.array([2, -2])
    for row in path(found, "momentum"):
        np.testing.assert_allclose(row, theta, rtol=1e-11, atol=1e-16)
        velocity = 0.9 * velocity + curvature * theta
        theta = theta - 0.05 * velocity
    assert outcomes.loc["momentum", "steps"] < left
    assert (found.folder / "race.csv").read_text().splitlines()[1].startswith(f"sgd,0,left,{left},{left},0,0,")


def test_on_the_ridge_all_stay_and_beside_it_sgd_alone(tmp_path: Path) -> None:
    asked = {"methods": FIRST_ORDER, "start": ("ridge", (-1, 1e-3)), "runs": str(tmp_path)}
    found = descended("saddle", **asked)
    outcomes = found.outcomes.pivot(index="method", columns="start", values="outcome")
    assert (outcomes[0] == "stays").all()
    assert outcomes[1].to_dict() == {name: "stays" if name == "sgd" else "left" for name in found.methods}
    assert (found.table[found.table["start"] == 0]["y"] == 0).all()
    assert found.head[:3] == ["method", "from (−1, 0)", "from (−1, 0.001)"]
    assert ["sgd", "stays", "stays"] in [row[:3] for row in found.summary()]
    noisy = descended("saddle", **asked | {"noise": 0.01, "methods": "adam", "steps": 200})
    assert (noisy.outcomes["outcome"] == "left").all()


def test_noise_is_seeded_and_shared_and_gradients_are_clipped(tmp_path: Path) -> None:
    asked = {
        "methods": "sgd:lr=0.1,momentum:lr=0.1",
        "start": ((0.5, 0.5), (1, 1)),
        "runs": str(tmp_path),
        "steps": 400,
    }
    found = descended("valley", **asked, noise=3.0)
    again, other = (descended("valley", **asked, noise=3.0, overwrite=True, seed=seed) for seed in (0, 1))
    assert found.table.equals(again.table)
    assert not found.table.equals(other.table)
    drawn = []
    for method in ("sgd", "momentum"):
        points = path(found, method)
        moved = -(points[1:] - points[:-1]) / 0.1
        before = np.vstack([[0, 0], moved[:-1]]) * (0.9 if method == "momentum" else 0)
        drawn.append(moved - before - points[:-1] * [0.1, 2])
    np.testing.assert_allclose(drawn[0], drawn[1], atol=1e-9)
    assert abs(drawn[0].mean()) < 0.6
    assert drawn[0].std() == pytest.approx(3, rel=0.1)
    clipped = descended("cliff", methods="sgd:lr=0.1", start=(1.02, 0), steps=5, clip_norm=1.0, runs=str(tmp_path))
    assert np.abs(np.diff(path(clipped, "sgd")[:, 0])).max() == pytest.approx(0.1)
    wild = descended("cliff", methods="sgd:lr=0.1", start=(1.02, 0), steps=5, runs=str(tmp_path))
    assert np.abs(np.diff(path(wild, "sgd")[:, 0])).max() > 5


def test_what_diverges_is_marked_and_ends(tmp_path: Path) -> None:
    found = descended("rosenbrock", methods="sgd:lr=1.0,adam:lr=0.1", steps=50, runs=str(tmp_path))
    outcomes = found.outcomes.set_index("method")
    assert outcomes["outcome"].to_dict() == {"sgd": "diverged", "adam": "never"}
    assert outcomes.loc["sgd", "last_step"] < 10
    assert np.isfinite(found.table["loss"]).all()
    assert "sgd,0,diverged,,,,," in (found.folder / "race.csv").read_text()


def test_gone_on_with_from_what_a_kill_leaves(tmp_path: Path) -> None:
    asked = {"methods": "sgd,adam", "starts": 2, "steps": 8, "runs": str(tmp_path), "noise": 0.1, "grid": 3}
    folder = race(surface="himmelblau", **asked)
    whole = (folder / "paths.csv").read_bytes()
    lines = whole.splitlines(keepends=True)
    (folder / "paths.csv").unlink()
    (folder / "race.csv").unlink()
    (folder / "points.csv").write_bytes(b"".join(lines[:13]) + lines[13][:7])
    assert race(surface="himmelblau", **asked) == folder
    assert (folder / "paths.csv").read_bytes() == whole
    assert (folder / "race.csv").exists()
    starts = np.array(read(folder).settings["starts"])
    assert len(starts) == 2
    assert np.abs(starts).max() <= 4


def test_methods_of_one_name_are_told_apart_and_keep_their_colour(tmp_path: Path) -> None:
    (tmp_path / "methods.yaml").write_text(
        "- {name: adam, lr: 0.1, betas: [0.5, 0.9]}\n- {name: adam, lr: 1e-3}\n- {name: sgd}\n"
    )
    found = descended("valley", methods=str(tmp_path / "methods.yaml"), steps=3, runs=str(tmp_path))
    assert found.methods == ["adam lr=0.1 betas=[0.5, 0.9]", "adam lr=0.001", "sgd"]
    assert [each["lr"] for each in found.settings["methods"]] == [0.1, 0.001, 0.2]
    looks = [look_of(found, method) for method in found.methods]
    assert [look["color"] for look in looks] == [COLOURS["adam"], COLOURS["adam"], COLOURS["sgd"]]
    assert looks[0]["linestyle"] != looks[1]["linestyle"]
    assert Request("valley", methods="adam:lr=0.1:betas=[0.5,0.9],sgd").methods == (
        {"name": "adam", "lr": 0.1, "betas": [0.5, 0.9]}, {"name": "sgd"},
    )  # fmt: skip
    assert len(set(COLOURS.values())) == len(COLOURS)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 20 parameters."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(TINY)
    return train(read_experiment(folder / "tiny.yaml"), folder / "runs")


def test_derivatives_in_a_plane_and_of_the_whole_net(tiny: Run) -> None:
    problem = problem_of(point_of(str(tiny.path)), Measured(precision="fp64"))
    objective = problem.objectives()["train"]
    origin, buffers = problem.values(point_of(str(tiny.path)))
    directions = random_directions(origin, 2, seed=1)
    function = InPlane(objective, Subspace(origin, directions, buffers))
    at = {name: value + 0.3 * directions[0][name] - 0.2 * directions[1][name] for name, value in origin.items()}
    slope, hessian = explicit(objective, at)
    along = torch.stack([flat(each) for each in directions])
    value, found = function.gradient(f64(0.3, -0.2))
    assert value == pytest.approx(function.value(f64(0.3, -0.2)), rel=1e-12)
    np.testing.assert_allclose(found, along @ slope, atol=1e-12)
    np.testing.assert_allclose(function.matrix(f64(0.3, -0.2)), along @ hessian @ along.T, atol=1e-12)
    decays = torch.linspace(0, 0.1, len(slope), dtype=torch.float64)
    whole, theta, vector = Whole(objective, origin, buffers, decays), flat(at), torch.ones_like(slope)
    np.testing.assert_allclose(whole.gradient(theta)[1], slope + decays * theta, atol=1e-12)
    assert whole.gradient(theta)[0] == pytest.approx(objective.metrics(at)["loss"] + float(decays @ theta**2) / 2)
    assert whole.value(theta) == pytest.approx(whole.gradient(theta)[0])
    np.testing.assert_allclose(whole.matrix(theta), hessian + torch.diag(decays), atol=1e-12)
    np.testing.assert_allclose(whole.product(theta, vector), (hessian + torch.diag(decays)) @ vector, atol=1e-12)


def test_in_the_plane_of_a_run(tiny: Run, cli: Cli, undrawn: None, tmp_path: Path) -> None:
    words = ("--grid", 5, "--range", -2, 2, "--precision", "fp64", "--methods", "sgd,adam", "--starts", 2, "--steps", 4)
    answer = cli("race", tiny.path, *words)
    assert answer.code == 0, answer.err
    (folder,) = tiny.results("races").glob("epoch-0001-*")
    found = read(folder)
    surface, column = found.surface
    assert (len(surface.table), column) == (25, "train_loss")
    assert set(found.outcomes["outcome"]) <= {"reached", "never", "stays"}
    first = found.table[found.table["step"] == 0].iloc[0]
    course = prepared(Request(str(tiny.path), grid=(5, 5), ranges=surface_ranges(), methods="sgd",
                              measured=Measured(precision="fp64")), Execution(quiet=True))  # fmt: skip
    there = course.descents.function.gradient(f64(first["x"], first["y"]))
    assert first[["loss", "gradient_norm"]].tolist() == pytest.approx([there[0], float(there[1].norm())])
    for spot in found.goal.minima:
        assert float(course.descents.function.gradient(f64(*spot))[1].norm()) < 1e-6
    curvature = np.abs(
        np.linalg.eigvalsh([course.descents.function.matrix(f64(*s)).numpy() for s in found.settings["starts"]])
    )
    assert found.settings["methods"][0]["lr"] == pytest.approx(0.2 / curvature.max(), rel=0.05)
    assert found.settings["methods"][1]["lr"] == 0.04
    assert cli("report", tiny.path, "--output", tmp_path / "page").code == 0
    assert "Races of descent methods" in Page(tmp_path / "page" / "index.html").text


def surface_ranges() -> Any:
    from lossscape.analyses.grids import Ranges

    return Ranges(range=(-2.0, 2.0))


def test_saddles_are_kept_and_left(tiny: Run) -> None:
    few: dict[str, Any] = {"weight_decay": "include", "displacements": 2, "sizes": (0.5, 2.0)}
    folder = saddles(tiny.path, **few)
    before = {file.name: file.read_bytes() for file in folder.glob("*.csv")}
    assert saddles(tiny.path, **few, keep=True) == folder
    assert {file.name: file.read_bytes() for file in folder.glob("*.csv")} == before
    found = read_saddles(folder)
    objective = problem_of(point_of(str(tiny.path)), Measured(precision="fp64")).objectives()["train"]
    for row, file in found.files():
        state = torch.load(file, weights_only=True)
        slope, hessian = explicit(objective, state)
        theta = flat(state)
        assert float((slope + 0.02 * theta).norm()) == pytest.approx(row["gradient_norm"], abs=1e-13)
        assert float(torch.linalg.eigvalsh(hessian)[0]) + 0.02 == pytest.approx(row["smallest"], abs=1e-9)
    strict = [row for row, _ in found.files() if row["negative"]]
    assert strict
    asked = {"surface": str(tiny.path), "saddles": str(folder), "methods": "sgd:lr=0.5,momentum:lr=0.5", "steps": 100}
    raced = race_of(**asked, displace=1e-3)
    assert len(raced.settings["starts"]) == len(strict)
    first = raced.table[(raced.table["step"] == 0) & (raced.table["method"] == "sgd")]
    np.testing.assert_allclose(first["distance"], [1e-3 * row["length"] for row in strict], rtol=1e-6)
    np.testing.assert_allclose(raced.goal.levels, [row["loss"] for row in strict], rtol=1e-12)
    steps = raced.outcomes.pivot(index="start", columns="method", values="steps").fillna(np.inf)
    assert (steps["momentum"] <= steps["sgd"]).all()
    assert (steps["momentum"] < steps["sgd"]).any()
    # along the direction of most negative curvature a step of descent is a factor 1 + η|λ|, as long as it is near
    near = race_of(**asked | {"steps": 1}, displace=1e-5).table.pivot(
        index=["method", "start"], columns="step", values="x"
    )
    growth = (near[1] / near[0]).loc["sgd"].to_numpy()
    found_again = [abs(growth[k] / (1 - 0.5 * row["smallest"]) - 1) < 1e-3 for k, row in enumerate(strict)]
    assert sum(found_again) >= len(strict) - 1  # one may lie at θ = 0, with nothing to displace it by
    assert losses_axes(raced).get_ylabel() == "loss above the saddle's"
    with pytest.raises(ls.BadInput, match="its saddles are of"):
        race(**asked, samples=20)


@pytest.mark.parametrize(("methods", "below"), [("lbfgs,sgd:lr=1.0,adam", ["sgd"]), ("sgd,lbfgs,adam", [])])
def test_paths_below_others_are_named(methods: str, below: list[str], tmp_path: Path) -> None:
    """On the plateau, which is round, plain descent goes straight to the middle, as L-BFGS does in one step."""
    found = read(race(surface="plateau", methods=methods, steps=5, runs=str(tmp_path)))
    assert hidden(found) == below
    assert ("Paths below those of others: sgd." in caption(found)) == bool(below)


def test_what_is_drawn_is_what_was_computed(tmp_path: Path, cli: Cli) -> None:
    words = ("--methods", "sgd,rmsprop,adam", "--start=-1,0.001", "--steps", 30, "--frames", 3, "--runs", tmp_path)
    answer = cli("race", "saddle", *words, "--format", "gif")
    assert answer.code == 0, answer.err
    assert "rmsprop" in answer.out
    (folder,) = (tmp_path / "races").iterdir()
    found = read(folder)
    (axes, *_) = build_contour(found).axes
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    for method in found.methods:
        np.testing.assert_array_equal(lines[method], path(found, method))
    with Image.open(folder / "race.gif") as film:
        assert film.n_frames == 3
        film.seek(2)
        colours = {colour for _, colour in film.convert("RGB").getcolors(1 << 20)}
    for method in found.methods:  # thin lines keep their colours in the film's palette
        assert tuple(round(255 * each) for each in to_rgb(COLOURS[method])) in colours
    assert {"contour.png", "surface.png", "losses.png"} <= {file.name for file in folder.iterdir()}
    assert json.loads((folder / "goal.json").read_text())["leave"] == [1.0]
    assert cli("report", folder).code == 0
    page = Page(folder / "report" / "index.html")
    assert_stands_alone(page)
    assert "1 away from the saddle and below its loss" in page.text


def test_from_python() -> None:
    found = ls.race("himmelblau", methods=("sgd", {"name": "adam", "lr": 0.5}), start=(1.0, 1.0), steps=60, quiet=True)
    assert found.outcomes["outcome"].tolist() == ["reached", "reached"]
    assert repr(found).startswith("method")
    assert len(found.plot().lines) >= 4
    model = torch.nn.Linear(2, 2)
    inputs, targets = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2
    plane = ls.race(model, "cross_entropy", inputs, targets, grid=3, steps=2, methods="sgd", quiet=True)
    assert len(plane.table) == 3 * 3
    assert plane.plot(what="losses").get_xlabel() == "step"
    with pytest.raises(ls.BadInput, match="give loss and inputs"):
        ls.race(model)


@pytest.mark.parametrize("start", [(math.nan, 0.0), (0.0, math.inf), (1.0,), 0.5, "1,nan", "1"])
def test_starts_are_two_finite_numbers(start: Any) -> None:
    with pytest.raises(ls.BadInput, match="give two numbers as in --start"):
        ls.race("saddle", methods="sgd", start=[start], steps=2, quiet=True)
