"""`lossscape sharpness`: against quadratics in closed form, under rescaling, its certificate, resume, workers."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch
from computing import sharpness
from conftest import Answer
from torch import Tensor, nn

import lossscape as ls
from lossscape.analyses.sharpness.compute import Rises
from lossscape.analyses.sharpness.measures import Place
from lossscape.analyses.sharpness.request import Request
from lossscape.analyses.sharpness.result import read
from lossscape.config import read_experiment
from lossscape.files import read_json
from lossscape.library import Sharp
from lossscape.measured import Measured
from lossscape.problem import problem_of
from lossscape.runs import Run, point_of
from lossscape.train import train
from lossscape.trajectory import Stations, moments_of
from lossscape.vectors import cosine, norm
from tests.seeing import Page, assert_stands_alone

SMALL = """\
name: small
dataset: {name: digits, train_size: 60, test_size: 20}
model: {name: mlp, hidden: [4]}
optimizer: {name: sgd, lr: 0.5}
training: {epochs: 2, batch_size: 20}
"""
FEW: dict[str, Any] = {"rho": (0.1, 0.4), "adaptive_rho": (1.0,), "seeds": 3, "ascent_steps": 6, "pairs": 2}
Cli = Callable[..., Answer]


class Bowl(nn.Module):
    """½ Σ aᵢ (wᵢ − cᵢ)² at w = c, whatever the inputs."""

    def __init__(self, values: Tensor, centre: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(centre.clone())
        self.register_buffer("values", values)
        self.register_buffer("centre", centre)

    def forward(self, x: Tensor) -> Tensor:
        return (0.5 * (self.values * (self.weight - self.centre) ** 2).sum()).expand(len(x), 1)


def given(outputs: Tensor, targets: Tensor) -> Tensor:
    """The outputs are the losses."""
    return outputs[:, 0]


def in_memory(model: nn.Module, loss: Any = given, inputs: Any = None, targets: Any = None, **options: Any) -> Sharp:
    """Sharpness of a module in float64."""
    inputs, targets = (torch.zeros(2, 1) if each is None else each for each in (inputs, targets))
    return ls.sharpness(model, loss, inputs, targets, **{"precision": "fp64", "quiet": True} | options)


def test_of_a_quadratic_in_closed_form() -> None:
    """Worst ½ρ²λmax, average ½σ² tr H; adaptive the same of |c| H |c|; the width √(2 rise / dᵀHd)."""
    values = torch.cat([torch.linspace(0.5, 2, 11), torch.tensor([-1.0, 4.0])]).double()
    centre = torch.linspace(-1.5, 2, 13).double()
    radii = (0.1, 0.7)
    found = in_memory(
        Bowl(values, centre), rho=radii, adaptive_rho=radii, seeds=3, pairs=60, ascent_steps=40, rise=0.3, seed=2
    )
    rows = found.summary.set_index(["measure", "rho"])
    for prefix, bends in (("", values), ("adaptive_", values * centre**2)):
        for rho in radii:
            worst, average = rows.loc[(f"{prefix}worst", rho)], rows.loc[(f"{prefix}average", rho)]
            assert worst["largest"] == pytest.approx(0.5 * rho**2 * float(bends.max()), rel=1e-6)
            assert worst["converged"] == 3
            expected = 0.5 * rho**2 / 13 * float(bends.sum())
            assert average["low"] < average["mean"] < average["high"]
            spread = rho**2 / 13 * float((bends.square().sum() / 2).sqrt()) / 180**0.5  # of 180 values ½σ² zᵀHz
            assert average["mean"] == pytest.approx(expected, abs=4 * spread)
            errors = found.table[(found.table["measure"] == f"{prefix}average") & (found.table["rho"] == rho)]["stderr"]
            assert errors.mean() == pytest.approx(spread * 3**0.5, rel=0.3)
    widths = []
    for seed in (2, 3, 4):
        (direction,) = ls.random_directions({"weight": centre}, 1, seed=seed)
        widths.append((2 * 0.3 / float((values * direction["weight"] ** 2).sum())) ** 0.5)
    of_width = found.table[found.table["measure"] == "width"]["value"]
    np.testing.assert_allclose(of_width, widths, rtol=2e-3)
    assert found.summary.iloc[-1]["median"] == sorted(of_width)[1]


def test_adaptive_measures_do_not_change_when_layers_are_rescaled() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(40, 6, generator=generator), torch.randint(3, (40,), generator=generator)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    before = in_memory(net, "cross_entropy", inputs, targets, rise=0.5, **FEW)
    with torch.no_grad():
        net[0].weight *= 7
        net[0].bias *= 7
        net[2].weight /= 7
    after = in_memory(net, "cross_entropy", inputs, targets, rise=0.5, **FEW)
    assert before.certificate["passed"]
    for name in ("adaptive_worst", "adaptive_average", "width"):
        same = [found.table[found.table["measure"] == name]["value"] for found in (before, after)]
        assert (same[0] > 0).all()
        np.testing.assert_allclose(same[1], same[0], rtol=1e-6)
    for name in ("worst", "average"):
        other = [found.table[found.table["measure"] == name]["value"] for found in (before, after)]
        assert (abs(other[1] / other[0] - 1) > 0.1).all()
    assert after.plot().get_xscale() == "log"
    assert repr(after).startswith("model: loss ")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 310 parameters and three checkpoints."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(SMALL)
    return train(read_experiment(folder / "small.yaml"), folder / "runs")


def test_the_command_and_its_page(small: Run, cli: Cli, tmp_path: Path) -> None:
    words = "--all --rho 0.1,0.4 --adaptive-rho 1 --seeds 3 --ascent-steps 6 --pairs 2 --precision fp64"
    answer = cli("sharpness", small.path, *words.split())
    assert answer.code == 0, answer.err
    assert answer.out.startswith("epoch-0000: loss 2.3")
    assert "12 checks passed" in answer.out
    (folder,) = small.results("sharpness").glob("all-rho-0.1-0.4-adaptive-rho-1-3-seeds-*")
    found = read(folder)
    assert found.checkpoints == ["epoch-0000", "epoch-0001", "epoch-0002"]
    assert found.of("worst", "epoch-0002")["epoch"].tolist() == [2, 2]
    model, split = small.model("last").double(), small.tensors("train")
    inputs = split.inputs.double()

    def loss() -> Tensor:
        return nn.functional.cross_entropy(model(inputs), split.targets)

    here = loss()
    assert found.of("worst", "epoch-0002")["loss"].iloc[0] == pytest.approx(here.item(), rel=1e-9)
    slopes = torch.autograd.grad(here, list(model.parameters()))
    length = sum(float(slope.square().sum()) for slope in slopes) ** 0.5
    with torch.no_grad():
        for value, slope in zip(model.parameters(), slopes, strict=True):
            value += 0.4 * slope / length
    (most,) = found.of("worst", "epoch-0002").query("rho == 0.4")["largest"]
    assert most >= loss().item() - here.item() > 0  # the rise after SAM's single step
    assert cli("report", small.path, "--output", tmp_path / "page").code == 0
    page = Page(tmp_path / "page" / "index.html")
    assert_stands_alone(page)
    assert "Sharpness 3 checkpoints, epoch-0000 to epoch-0002" in page.text
    assert "epoch-0002: adaptive worst rise" in page.text


def test_gone_on_with_to_the_same_bytes(small: Run) -> None:
    folder = sharpness(small.path, **FEW)
    names = ("sharpness.csv", "summary.csv", "certificate.json")
    whole = {name: (folder / name).read_bytes() for name in names}
    lines = whole["sharpness.csv"].splitlines(keepends=True)
    for name in names:
        (folder / name).unlink()
    (folder / "points.csv").write_bytes(b"".join([*lines[:5], lines[5][:9]]))  # a torn last line
    assert sharpness(small.path, **FEW) == folder
    assert {name: (folder / name).read_bytes() for name in names} == whole


def test_rows_come_out_alike_of_a_copy_in_another_process(small: Run) -> None:
    """Which is what workers compute with."""
    request = Request(("small",), **FEW, measured=Measured(precision="fp64"))
    problem = problem_of(point_of(str(small.path)), request.measured)
    source = Rises(request, problem.objectives()["train"], Stations(problem.model, moments_of(small)[1:]))
    copied = pickle.loads(cloudpickle.dumps(source))
    assert copied.rows(source.keys[-7:], None) == source.rows(source.keys[-7:], None)
    done: list[int] = []
    source.rows(source.keys[:4], None, done.append)
    assert sum(done) == sum(map(source.cost, source.keys[:4]))
    place = source.place(source.keys[0])  # ascent begins elsewhere with every seed, or all would end at one maximum
    starts = [place.start(0.3, seed) for seed in range(3)]
    assert [norm(start) for start in starts] == pytest.approx([0.3] * 3)
    assert max(cosine(starts[0], other) for other in starts[1:]) < 0.9


def test_what_is_not_to_be_relied_on(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(sharpness(small.path, **FEW | {"ascent_steps": 1, "rho": (1e-6, 0.5), "rise": 1e9}))
    ascents, rounding, widths = found.doubts()
    assert ascents.endswith("ascents still rose in their last steps: take more --ascent-steps.")
    assert "rises are below 1e−5 of the loss, which may be rounding" in rounding
    assert widths == "Along 3 of 3 directions the loss does not rise so far, or at once."
    assert np.isinf(found.summary.iloc[-1]["median"])
    right = Place.loss
    monkeypatch.setattr(Place, "loss", lambda place, point: 1.01 * right(place, point))
    with pytest.raises(ls.RunFailed, match="the certificate fails: loss at epoch-0002"):
        sharpness(small.path, **FEW | {"seed": 1})
    (failed,) = small.results("sharpness").glob("*seed1-*")
    assert not read_json(failed / "certificate.json")["passed"]
