"""The plane around a checkpoint: truth against explicitly displaced models, axes, and what is stored."""

import copy
import json
from pathlib import Path

import pytest
import torch
from computing import landscape
from torch import nn

from lossscape import Objective, Subspace, grid_points, random_directions, table
from lossscape.errors import BadInput
from lossscape.results import read_curve, read_surface
from lossscape.runs import Run, point
from lossscape.vectors import cosine, norm


def displaced_loss(run: Run, directions: dict[str, dict[str, torch.Tensor]], x: float, y: float) -> float:
    """Loss in float64 of a model moved by hand along the stored directions."""
    model = run.model("last").double()
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.add_(x * directions["x"][name].double() + y * directions["y"][name].double())
    inputs, targets = run.tensors("train")
    return float(nn.functional.cross_entropy(model(inputs.double()), targets).detach())


def test_a_surface_is_the_loss_along_its_stored_directions(own_run: Run) -> None:
    folder = landscape(point(str(own_run.path)), grid=(5, 3), x_range=(-1, 1), y_range=(-0.5, 0.7))
    surface = read_surface(folder)
    directions = torch.load(folder / "directions.pt", weights_only=True)
    assert surface.x.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert surface.y[[0, 2]].tolist() == [-0.5, 0.7]
    values = surface.values("train_loss")
    assert values.shape == (3, 5)  # rows are y
    for j, y in enumerate(surface.y):
        for i, x in enumerate(surface.x):
            assert values[j, i] == pytest.approx(displaced_loss(own_run, directions, x, y), rel=1e-5, abs=1e-9)


def test_the_centre_is_the_checkpoint_and_is_certified(own_run: Run) -> None:
    folder = landscape(point(str(own_run.path)), grid=(3, 3), split="both")
    certificate = json.loads((folder / "certificate.json").read_text())
    assert [check["passed"] for check in certificate["checks"] if check["kind"] == "stored"] == [True, True]
    assert abs(certificate["cosine"]) < 1e-6
    assert certificate["model_unchanged"]
    directions = torch.load(folder / "directions.pt", weights_only=True)
    assert [norm(directions["x"]), norm(directions["y"])] == pytest.approx(certificate["direction_norms"], rel=1e-9)
    assert cosine(directions["x"], directions["y"]) == pytest.approx(certificate["cosine"], abs=1e-12)
    assert read_surface(folder).splits == ["train", "test"]


def test_an_even_grid_does_not_move_the_centre(own_run: Run) -> None:
    surface = read_surface(landscape(point(str(own_run.path)), grid=(4, 4)))
    assert surface.x.tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    assert 0.0 not in surface.x


def test_a_random_line(own_run: Run) -> None:
    folder = landscape(point(str(own_run.path)), dims=1, grid=9)
    line = read_curve(folder)
    plane = landscape(point(str(own_run.path)), grid=(9, 3))
    middle = read_surface(plane).values("train_loss")[1]
    assert line.table["train_loss"].to_numpy() == pytest.approx(middle, rel=1e-6)
    assert list(torch.load(folder / "directions.pt", weights_only=True)) == ["x"]


def test_settings_name_the_folder(own_run: Run) -> None:
    centre = point(str(own_run.path))
    plain = landscape(centre, grid=(3, 3))
    other = landscape(centre, grid=(3, 3), seed=1, normalize="unit", ignore=[])
    assert plain.name.startswith("epoch-0003-3x3-")
    assert other.name.startswith("epoch-0003-3x3-unit-ignore-none-seed1-")
    assert (other / "surface.csv").read_bytes() != (plain / "surface.csv").read_bytes()


def test_a_rerun_is_the_same_to_the_byte(own_run: Run) -> None:
    centre = point(str(own_run.path))
    folder = landscape(centre, grid=(3, 4), split="both")
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert landscape(centre, grid=(3, 4), split="both", overwrite=True) == folder
    again = {file.name: file.read_bytes() for file in folder.iterdir()}
    for name in (".lock", "engine.json", "digests.jsonl"):  # a process number, how long plans took, a digest of that
        del files[name], again[name]
    assert again == files


def test_bad_choices_are_refused(own_run: Run) -> None:
    centre = point(str(own_run.path))
    with pytest.raises(BadInput, match=r"--normalize 'filt'.*did you mean 'filter'"):
        landscape(centre, normalize="filt")
    with pytest.raises(BadInput, match="--ignore 'biases'"):
        landscape(centre, ignore=["biases"])
    with pytest.raises(BadInput, match="range"):
        landscape(centre, x_range=(1.0, -1.0))


def test_any_module_without_a_run(tmp_path: Path) -> None:
    """The library on a net of one's own: a quadratic whose loss is known in closed form."""

    class Quadratic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.p = nn.Parameter(torch.tensor([1.0, -2.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * self.p).sum(1, keepdim=True).expand(-1, 2)

    model = Quadratic()
    before = copy.deepcopy(model.state_dict())
    inputs = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    objective = Objective(model, lambda z, t: z[:, 0] ** 2, inputs, torch.tensor([0, 0]))
    plane = Subspace(objective.parameters(), [{"p": torch.tensor([1.0, 0.0])}, {"p": torch.tensor([0.0, 2.0])}])
    surface = table(objective, plane, grid_points((3, 3), (-1, 1), (-1, 1)))
    expected = ((1 + surface["x"]) ** 2 + (-2 + 2 * surface["y"]) ** 2) / 2
    assert surface["loss"].tolist() == pytest.approx(expected.tolist())
    assert surface.columns.tolist() == ["x", "y", "loss", "accuracy"]
    assert torch.equal(model.state_dict()["p"], before["p"])
    assert len(random_directions(objective.parameters(), 2)) == 2
