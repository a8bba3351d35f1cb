"""The library's calls on modules in memory: the numbers of plain forward passes, the command's defaults and options."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lossscape as ls


def net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    model(torch.randn(64, 6))  # so that its statistics are those of some data
    return model


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    return torch.randn(40, 6, generator=draw), torch.randint(3, (40,), generator=draw)


def plain_loss(model: nn.Module, data: tuple[Tensor, Tensor]) -> float:
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model.double().eval()(data[0].double()), data[1]))


def test_a_surface_in_five_lines(data: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    model = net(0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    surface = ls.landscape(model, "cross_entropy", *data, grid=5, quiet=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    table = surface.table
    assert list(table) == ["x", "y", "train_loss", "train_accuracy"]
    centre = table[(table["x"] == 0) & (table["y"] == 0)]["train_loss"].item()
    assert centre == pytest.approx(plain_loss(net(0), data), rel=1e-6)
    assert surface.certificate["passed"]
    assert surface.settings["directions"]["ignore"] == ["bias", "norm"]  # the command's default
    axes = Figure().subplots()
    assert surface.plot(axes) is axes
    assert surface.plot_3d().name == "3d"
    folder = surface.save(tmp_path / "kept")
    assert {"surface.csv", "settings.yaml", "certificate.json", "contour.png", "surface.png"} <= {
        path.name for path in folder.iterdir()
    }
    assert surface._repr_png_().startswith(b"\x89PNG")
    assert "checks passed" in repr(surface)


@pytest.mark.parametrize(("policy", "exact"), [("interpolated", True), ("recompute", False), ("frozen", False)])
def test_the_ends_of_a_line(data: tuple[Tensor, Tensor], policy: str, exact: bool) -> None:
    line = ls.interpolate(net(0), net(1), "cross_entropy", *data, points=5, batch_norm=policy, quiet=True)
    ends = line.table["train_loss"].to_numpy()[[0, -1]]
    true = np.array([plain_loss(net(seed), data) for seed in (0, 1)])
    assert np.allclose(ends, true, rtol=1e-6) == exact  # each end's own statistics, or others that are named
    assert line.settings["batch_norm"] == policy


@pytest.mark.parametrize(
    "options",
    [
        {"directions": "pca", "path": True},
        {"towards": net(1)},
        {"through": (net(1), net(2))},
        {"directions_of": net(1)},
        {"relabel": "soft", "teacher": net(1)},
        {"dims": 1, "split": "both", "normalize": "layer", "seed": 2},
        {"samples": 20, "metrics": None, "precision": "fp64"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_option_of_the_command(data: tuple[Tensor, Tensor], options: dict[str, Any]) -> None:
    nets = [net(seed) for seed in (3, 4, 5)]
    grid = 5 if options.get("dims") == 1 else (3, 3)
    found = ls.landscape(net(0), "cross_entropy", *data, test=data, checkpoints=nets, grid=grid, quiet=True, **options)
    assert found.certificate["passed"]
    assert len(found.table) == np.prod(grid)


def test_a_loss_that_is_unknown_is_named(data: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ls.BadInput, match="did you mean 'mse'"):
        ls.landscape(net(0), "msee", *data)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "test"}, r"give test=\(inputs, targets\)"),
        ({"gird": 5}, "did you mean 'grid'"),
        ({"towards": nn.Linear(2, 2)}, "belongs to another model"),
        ({"normalize": "filters"}, "did you mean 'filter'"),
    ],
)
def test_what_does_not_fit_gets_one_clear_error(
    data: tuple[Tensor, Tensor], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ls.BadInput, match=words):
        ls.landscape(net(0), "cross_entropy", *data, quiet=True, **options)


class Tokens(nn.Module):
    """Token ids and mask to a mapping with logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(20, 8), nn.Linear(8, 20)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        hidden = self.embedding(input_ids) * attention_mask[..., None]
        return {"logits": self.out(hidden.cumsum(1)), "hidden": hidden}


def token_case() -> tuple[nn.Module, Any, Any]:
    ids, mask = torch.randint(20, (16, 6)), torch.ones(16, 6, dtype=torch.long)
    mask[:, 4:] = 0
    return Tokens(), {"input_ids": ids, "attention_mask": mask}, torch.where(mask == 1, ids, -100)


def loader_case() -> tuple[nn.Module, Any, Any]:
    data = TensorDataset(torch.randn(20, 6), torch.randint(3, (20,)))
    return net(0), DataLoader(data, batch_size=6), None


@pytest.mark.parametrize(
    ("case", "loss", "columns"),
    [
        (token_case, "cross_entropy", ["train_loss", "train_accuracy"]),
        (loader_case, "cross_entropy", ["train_loss", "train_accuracy"]),
        (lambda: (nn.DataParallel(net(0)), torch.randn(9, 6), torch.randn(9, 3)), "mse", ["train_loss"]),
    ],
    ids=["tokens", "loader", "numbers"],
)
def test_any_model_and_data(case: Any, loss: str, columns: list[str]) -> None:
    torch.manual_seed(0)
    model, inputs, targets = case()
    surface = ls.landscape(model, loss, inputs, targets, grid=3, quiet=True)
    assert list(surface.table) == ["x", "y", *columns]
    assert surface.certificate["passed"]
    assert surface.plot().get_xlabel()
