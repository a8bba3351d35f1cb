"""Eigenvectors of the Hessian as directions: against explicit float64 Hessians; what is said of them and refused."""

from typing import Any

import numpy as np
import pytest
import torch
from computing import landscape
from test_derivatives import explicit
from torch import Tensor, nn

import lossscape as ls
from lossscape import spectra
from lossscape.directions import sentence
from lossscape.objective import Objective
from lossscape.runs import Run
from lossscape.vectors import norm


def net(seed: int = 0) -> nn.Module:
    """A net with kinks whose BatchNorm statistics are those of some data."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)
    )
    model(torch.randn(64, 1, 6, 6))
    return model.eval()


def shown(model: nn.Module, *, samples: int = 50, **options: Any) -> Any:
    """A landscape over eigenvectors, and the data that it is of."""
    draw = torch.Generator().manual_seed(3)
    data = torch.randn(samples, 1, 6, 6, generator=draw), torch.randint(3, (samples,), generator=draw)
    given = {"directions": "hessian", "grid": 3, "quiet": True} | options
    return ls.landscape(model, "cross_entropy", *data, **given), data


@pytest.mark.parametrize(
    ("options", "ranks"),
    [
        ({"directions": "hessian", "precision": "fp64"}, [-1, -2]),
        ({"directions": "hessian-ends", "precision": "bf16"}, [-1, 0]),
        ({"directions": "hessian-ends", "directions_of": net(1)}, [-1, 0]),
    ],
    ids=["leading", "ends", "elsewhere"],
)
def test_against_the_explicit_hessian(options: dict[str, Any], ranks: list[int]) -> None:
    found, data = shown(net(), **options)
    at = options.get("directions_of", net())
    values, vectors = torch.linalg.eigh(explicit(Objective(at, "cross_entropy", *data, precision="fp64"))[1])
    made, certificate = found.settings["directions"], found.certificate
    np.testing.assert_allclose(made["eigenvalues"], values[ranks], rtol=1e-5)
    assert (made["converged"], made["split"]) == ([True, True], "train")
    assert max(made["residuals"]) < 1e-4 * float(values[-1])
    kept = torch.load(found.result.folder / "directions.pt", weights_only=True)
    for axis, rank in zip("xy", ranks, strict=True):
        direction = torch.cat([value.flatten() for value in kept[axis].values()])
        assert norm(kept[axis]) == pytest.approx(1, abs=1e-12)
        assert abs(float(direction @ vectors[:, rank])) == pytest.approx(1, abs=1e-5)
        assert direction[direction.abs().argmax()] > 0
    assert certificate["passed"]
    assert certificate["hessian"]["eigenvalues"] == made["eigenvalues"]
    seconds = [check for check in certificate["checks"] if check["name"].startswith("second difference")]
    assert [check["reference"] for check in seconds] == made["eigenvalues"]
    assert all("50 of 50 samples" in check["name"] for check in seconds)


def test_a_line_under_recomputed_statistics() -> None:
    found, _ = shown(net(), dims=1, batch_norm="recompute")
    assert found.certificate["passed"]
    made = found.settings["directions"]
    assert len(made["eigenvalues"]) == 1
    words = sentence({"directions": made}, 1)
    assert words.startswith("Eigenvector of the Hessian of the train loss at the centre, of the eigenvalue ")
    assert "converged" not in words
    rough = made | {"converged": [False], "residuals": [0.5]}
    assert " The largest has not converged, ± 0.5." in sentence({"directions": rough}, 1)


def test_a_large_split_is_certified_by_products_alone() -> None:
    """Its float64 differences would take longer than the plane."""
    found, _ = shown(net(), samples=2001, grid=2)
    names = " ".join(check["name"] for check in found.certificate["checks"])
    assert "second difference" not in names
    assert "dᵀHd of the second largest eigenvalue λ" in names


def test_a_plane_that_was_begun_keeps_its_directions(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"directions": "hessian", "grid": (2, 2), "samples": 40}
    folder = landscape(str(own_run.path), **options)
    before = (folder / "surface.csv").read_bytes()
    for name in ("surface.csv", "certificate.json"):
        (folder / name).unlink()
    monkeypatch.setattr(spectra, "eigenpairs", lambda *given, **options: pytest.fail("they were made again"))
    assert landscape(str(own_run.path), **options) == folder
    assert (folder / "surface.csv").read_bytes() == before


class Distances(nn.Module):
    """Distances whose first derivatives torch cannot differentiate again."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.eye(3, 36))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x.flatten(1), self.centres, p=3.0)


class Constant(nn.Module):
    """The same for all inputs."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.sum() + torch.zeros(len(x), 3)


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        (Distances(), {}, "the Hessian at Distances@model cannot be computed: .*not implemented"),
        (Constant(4), {}, "the Hessian at Constant@model is 0"),
        (Constant(1), {}, "has 1 eigenvector alone"),
        (net(), {"directions": "hessian-ends", "dims": 1}, "hessian-ends is a plane"),
        (net(), {"normalize": "layer"}, "those of hessian have length 1"),
        (net(), {"seed": 1}, "nothing is drawn for hessian"),
    ],
)
def test_what_has_no_such_directions_is_refused(model: nn.Module, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ls.BadInput, match=told):
        shown(model, **options)
