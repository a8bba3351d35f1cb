"""Dropout that stays on: seeded masks, the same whatever the chunks, the plan and the samples beside one's own."""

import math
import pickle
from pathlib import Path

import pytest
import torch
import yaml
from computing import interpolate
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lossscape.config import experiment_from
from lossscape.derivatives import gradient
from lossscape.dropout import Dropout, Masks, applied
from lossscape.errors import BadInput
from lossscape.evaluate import Subspace, Work
from lossscape.evaluate.calibration import NAMES
from lossscape.evaluate.plans import reasons_against
from lossscape.files import read_json
from lossscape.objective import Objective, Plan
from lossscape.results import read_curve
from lossscape.results.folder import CERTIFICATE, SETTINGS
from lossscape.runs import point
from lossscape.train import train

SAMPLES, CLASSES = 37, 5


def flat() -> nn.Module:
    return nn.Sequential(
        nn.Linear(12, 9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 7), nn.Tanh(), nn.Dropout(0.2), nn.Linear(7, CLASSES)
    )


def pictures() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(6, 8, 3), nn.ReLU(),
        nn.Dropout2d(0.4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES),
    )  # fmt: skip


def on_inputs() -> nn.Module:
    return nn.Sequential(nn.Dropout(0.1), nn.Linear(12, CLASSES))


NETS = {"flat": (flat, (12,)), "pictures": (pictures, (2, 8, 8)), "on_inputs": (on_inputs, (12,))}


def objective_of(name: str, *, seed: int = 0, plan: Plan | None = None, rows: Tensor | None = None) -> Objective:
    build, shape = NETS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = build().eval()
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(SAMPLES, *shape, generator=generator)
    targets = torch.randint(CLASSES, (SAMPLES,), generator=generator)
    rows = torch.arange(SAMPLES) if rows is None else rows
    return Objective(model, "cross_entropy", inputs, targets, precision="fp64", plan=plan).under(
        dropout=Dropout(seed, rows)
    )


def explicit_flat(objective: Objective) -> Tensor:
    """Losses of the flat net, written out, with the masks of all samples at once."""
    assert objective.masks is not None
    values = objective.parameters()
    masks = objective.masks.of(torch.arange(SAMPLES), torch.float64)
    x = objective.inputs.double()
    h = (x @ values["0.weight"].T + values["0.bias"]).clamp(min=0) * masks["2.mask"]
    h = torch.tanh(h @ values["3.weight"].T + values["3.bias"]) * masks["5.mask"]
    return cross_entropy(h @ values["6.weight"].T + values["6.bias"], objective.targets, reduction="none")


def test_the_loss_is_that_of_the_net_written_out() -> None:
    objective = objective_of("flat", plan=Plan(8, channels_last=False))
    expected = float(explicit_flat(objective).mean())
    assert objective.metrics()["loss"] == pytest.approx(expected, rel=1e-12)
    off = Objective(flat(), "cross_entropy", objective.inputs, objective.targets, precision="fp64")
    off.model.load_state_dict(objective.model.state_dict())
    assert abs(off.metrics()["loss"] - expected) > 1e-5


@pytest.mark.parametrize("name", NETS)
def test_every_plan_has_the_same_masks(name: str) -> None:
    objective = objective_of(name)
    origin = dict(objective.parameters())
    generator = torch.Generator().manual_seed(3)
    direction = {key: torch.randn(v.shape, generator=generator, dtype=torch.float64) for key, v in origin.items()}
    work = Work({"data": objective}, Subspace(origin, [direction], dict(objective.buffers())))
    points = [(0.0,), (0.1,), (-0.2,)]
    dense = [objective.metrics(*work.subspace.at(place))["loss"] for place in points]
    tried = []
    for plan in NAMES:
        if plan in reasons_against(objective, work.subspace):
            continue
        tried.append(plan)
        for chunk in (4, 16, 64):
            found = work.rows(points, Plan(chunk, channels_last=name == "pictures", name=plan, points=3))
            assert [values["data_loss"] for values in found] == pytest.approx(dense, rel=1e-10), (plan, chunk)
    assert len(tried) == (3 if name == "on_inputs" else 4)


@pytest.mark.parametrize("name", NETS)
def test_masks_keep_the_share_that_they_should_and_scale_it(name: str) -> None:
    objective = objective_of(name)
    assert objective.masks is not None
    rows = torch.arange(5000)
    for buffer, mask in objective.masks.of(rows, torch.float64).items():
        probability = objective.masks.layers[buffer.removesuffix(".mask")].probability
        assert set(mask.unique().tolist()) == {0.0, 1 / (1 - probability)}
        spread = math.sqrt((1 - probability) * probability / mask.numel())
        assert abs(float((mask > 0).double().mean()) - (1 - probability)) < 5 * spread
        each = (mask > 0).double().mean(0)  # no unit is always off
        assert float((each - (1 - probability)).abs().max()) < 6 * math.sqrt(probability * (1 - probability) / 5000)


def test_masks_go_by_the_sample_and_not_by_its_place() -> None:
    whole = objective_of("flat")
    places = torch.tensor([0, 3, 4, 20, 36])
    losses = whole.per_sample(whole.outputs(), whole.targets)["loss"]
    part = whole.part(places)
    assert torch.allclose(part.per_sample(part.outputs(), part.targets)["loss"], losses[places], rtol=1e-12)
    first = whole.part(slice(7))
    assert torch.allclose(first.per_sample(first.outputs(), first.targets)["loss"], losses[:7], rtol=1e-12)
    assert whole.metrics()["loss"] != objective_of("flat", seed=1).metrics()["loss"]
    moved = objective_of("flat", rows=torch.arange(SAMPLES) + 5000)
    assert whole.metrics()["loss"] != moved.metrics()["loss"]


def test_masks_are_drawn_again_where_there_is_no_room_for_them() -> None:
    rows = torch.arange(0, 5000, 3)
    inputs = torch.zeros(2, 12)
    expected_masks = Masks(flat(), inputs, 0)
    expected = expected_masks.of(rows, torch.float32)
    assert expected_masks.kept_bytes > 40_000
    room = 20_000  # two blocks of the first layer
    made = Masks(flat(), inputs, 0, room)
    for masks in (made, pickle.loads(pickle.dumps(made))):
        assert masks.kept_bytes == 0
        for _ in range(2):
            found = masks.of(rows, torch.float32)
            assert all(torch.equal(found[name], expected[name]) for name in expected)
            assert 0 < masks.kept_bytes <= room
    assert pickle.loads(pickle.dumps(made)).kept_bytes == 0


def test_the_gradient_is_that_of_the_kept_loss() -> None:
    objective = objective_of("flat", plan=Plan(8, channels_last=False))
    leaves = {name: value.clone().requires_grad_() for name, value in objective.parameters().items()}
    masked = objective_of("flat")
    masked.parameters = lambda: leaves  # type: ignore[method-assign]
    expected = torch.autograd.grad(explicit_flat(masked).mean(), list(leaves.values()))
    found = gradient(objective, dict(objective.parameters()))
    for name, truth in zip(leaves, expected, strict=True):
        assert torch.allclose(found[name], truth, rtol=1e-10, atol=1e-14)


def test_layers_whose_masks_cannot_be_kept_are_refused() -> None:
    inputs = torch.zeros(2, 12)
    with pytest.raises(BadInput, match="no dropout"):
        Masks(nn.Linear(12, 3), inputs, 0)
    with pytest.raises(BadInput, match="layer 0 is a AlphaDropout"):
        Masks(nn.Sequential(nn.AlphaDropout(0.1), nn.Linear(12, 3)), inputs, 0)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.drop = nn.Linear(12, 12), nn.Dropout(0.5)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.drop(self.layer(self.drop(inputs)))

    with pytest.raises(BadInput, match="layer drop is not called once"):
        Masks(Twice(), inputs, 0)
    shared = nn.Dropout(0.5)
    with pytest.raises(BadInput, match="layer 2 has another name too"):
        Masks(nn.Sequential(shared, nn.Linear(12, 12), shared), inputs, 0)
    encoder = nn.TransformerEncoderLayer(12, 2, 8, dropout=0.1, batch_first=True)
    with pytest.raises(BadInput, match="layer self_attn is a MultiheadAttention"):
        Masks(encoder, torch.zeros(2, 5, 12), 0)
    with pytest.raises(BadInput, match="is a LSTM"):
        Masks(nn.LSTM(12, 4, num_layers=2, dropout=0.5), inputs, 0)


def test_interpolate_with_dropout_on(tmp_path: Path) -> None:
    experiment = experiment_from(
        {
            "name": "a",
            "dataset": {"name": "digits", "train_size": 200, "test_size": 40},
            "model": {"name": "mlp", "hidden": [12], "dropout": 0.5},
            "optimizer": {"name": "momentum", "lr": 0.02},
            "training": {"epochs": 1, "batch_size": 20},
        }
    )
    run = train(experiment, tmp_path)
    ends = point(f"{run.path}@first"), point(f"{run.path}@last")
    folders = {
        name: interpolate(*ends, points=41, dropout="keep" if name != "off" else "off", seed=seed)
        for name, seed in (("off", None), ("keep", 0), ("other", 1))
    }
    curves = {name: read_curve(folder).table["train_loss"].to_numpy() for name, folder in folders.items()}
    assert abs(curves["keep"] - curves["off"]).min() > 0
    assert abs(curves["keep"] - curves["other"]).min() > 0
    settings = yaml.safe_load((folders["keep"] / SETTINGS).read_text())
    assert settings["dropout"] == {"keep": True, "seed": 0}
    assert "dropout" not in yaml.safe_load((folders["off"] / SETTINGS).read_text())
    certificate = read_json(folders["keep"] / CERTIFICATE)
    assert certificate["passed"]
    assert any(check["kind"] == "stored" for check in certificate["checks"])  # with dropout off
    inputs, targets = run.tensors("train")
    model = run.model("last").double().eval()
    masks = Masks(run.model("last"), inputs[:2], 0).of(torch.arange(200), torch.float64)
    with applied(model, masks):
        loss = float(cross_entropy(model(inputs.double()), targets).detach())
    assert curves["keep"][-1] == pytest.approx(loss, rel=1e-5)
