"""Models: shapes, formulas, sizes, initial values, and what is refused."""

import copy
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases_models import MODEL_CASES, ModelCase
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lossscape import losses, models, optimizers, schedules, yamlfile
from lossscape.batches import Batch
from lossscape.data.vision import torchvision
from lossscape.errors import BadInput
from lossscape.families import Component
from lossscape.models.activations import ACTIVATIONS
from lossscape.models.cnn import cnn
from lossscape.models.contrast import LocalContrast
from lossscape.models.initial import FAMILY as INITIAL
from lossscape.models.initial import initialise
from lossscape.models.mlp import mlp
from lossscape.models.resnet import resnet18, resnet50
from lossscape.models.summary import check_size, summarise

ALL = pytest.mark.parametrize("case", MODEL_CASES.values(), ids=MODEL_CASES)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def spec_of(name: str, **options: Any) -> Any:
    return TypeAdapter(models.FAMILY.type).validate_python({"name": name, **options})


def init_of(name: str, **options: Any) -> Component:
    return TypeAdapter(INITIAL.type).validate_python({"name": name, **options})


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert list(a) == list(b)
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


# Every model


@ALL
def test_gives_one_output_per_class_and_a_gradient_for_every_parameter(case: ModelCase) -> None:
    model = case.model()
    outputs = model(case.inputs(6))
    assert outputs.shape == (6, case.classes)
    nn.functional.cross_entropy(outputs, case.targets(6)).backward()
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        assert torch.isfinite(value.grad).all(), name


@ALL
def test_summary_agrees_with_torchs_own_count_and_leaves_the_model_alone(case: ModelCase) -> None:
    model = case.model()
    first = next(model.children(), model)
    first.eval()  # a flag that differs from the rest
    before, flags, random = state_of(model), [m.training for m in model.modules()], torch.get_rng_state()
    summary = summarise(model, case.shape)
    assert_same(state_of(model), before)
    assert [m.training for m in model.modules()] == flags
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random)

    assert summary.parameters == sum({p.data_ptr(): p.numel() for p in model.parameters()}.values())
    assert summary.outputs == (case.classes,)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.eval()(case.inputs(1))
    outside_layers = 12 * case.classes if "calls" in before else 0  # a bare matrix product, which is not counted
    contrast = [module for module in model.modules() if isinstance(module, LocalContrast)]
    outside_layers += sum(3 * 81 * pixels for pixels, _ in zip((64, 16), contrast, strict=False))  # windows of 9 × 9
    assert 2 * (summary.multiply_adds + outside_layers) == counter.get_total_flops()


@ALL
def test_eval_mode_is_deterministic_and_sample_by_sample(case: ModelCase) -> None:
    model, inputs = case.model().eval().double(), case.inputs(5, dtype=torch.float64)
    before = state_of(model)
    with torch.no_grad():
        together = model(inputs)
        alone = torch.cat([model(one) for one in inputs.split(1)])
    torch.testing.assert_close(alone, together, rtol=1e-10, atol=1e-12)
    assert_same(state_of(model), before)


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet18"])
def test_build_is_seeded_and_keeps_the_callers_random_state(name: str) -> None:
    random = torch.get_rng_state()
    one, same, other = (models.build(spec_of(name), (3, 16, 16), 10, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), random)
    assert_same(one.state_dict(), same.state_dict())
    name, weight = max(one.named_parameters(), key=lambda pair: pair[1].numel())
    assert not torch.equal(weight, other.get_parameter(name))


# The formulas


def test_mlp_is_the_written_formula() -> None:
    net = mlp((2, 3), 4, hidden=[7, 5], activation="tanh").double()
    x = torch.randn(8, 2, 3, dtype=torch.float64)
    w = [p.detach() for p in net.parameters()]
    h = torch.tanh(torch.tanh(x.reshape(8, 6) @ w[0].T + w[1]) @ w[2].T + w[3])
    torch.testing.assert_close(net(x).detach(), h @ w[4].T + w[5], rtol=1e-14, atol=1e-14)


def test_mlp_layers_come_in_the_documented_order() -> None:
    net = mlp((4,), 3, hidden=[6, 5], activation="gelu", dropout=0.25, batch_norm=True, bias=False)
    kinds = [nn.Linear, nn.BatchNorm1d, nn.GELU, nn.Dropout]
    assert [type(layer) for layer in net.children()] == [nn.Flatten, *kinds, *kinds, nn.Linear]
    assert all(layer.bias is None for layer in net.modules() if isinstance(layer, nn.Linear))
    assert {layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)} == {0.25}


def test_softmax_regression_has_no_hidden_layer() -> None:
    assert summarise(mlp((1, 28, 28), 10, hidden=[]), (1, 28, 28)).parameters == 785 * 10


def test_cnn_of_the_study() -> None:
    """128-64-32-16-10 at 3×32×32: counts by hand, and the net is conv–ReLU–…–conv–mean over the map."""
    net = cnn((3, 32, 32), 10)
    sizes = [(3, 128), (128, 64), (64, 32), (32, 16), (16, 10)]
    summary = summarise(net, (3, 32, 32))
    assert summary.parameters == sum(9 * a * b + b for a, b in sizes)
    assert summary.multiply_adds == sum(9 * a * b for a, b in sizes) * 32 * 32
    assert summary.largest_activation == 128 * 32 * 32
    assert summary.layers == 5
    x, w = torch.randn(2, 3, 32, 32), list(net.parameters())
    h = x
    for number in range(5):
        h = nn.functional.conv2d(torch.relu(h) if number else h, w[2 * number], w[2 * number + 1], padding=1)
    torch.testing.assert_close(net(x), h.mean((2, 3)), rtol=1e-4, atol=1e-6)


def test_cnn_whose_last_width_is_not_the_classes_ends_in_a_linear_layer() -> None:
    net = cnn((1, 9, 8), 3, channels=[4, 6], pooling="avg", activation="sigmoid", batch_norm=True, dropout=0.1)
    block = ["conv", "norm", "activation"]
    names = [*(f"{part}1" for part in [*block, "pool", "dropout"]), *(f"{part}2" for part in [*block, "dropout"])]
    assert [name for name, _ in net.named_children()] == [*names, "average", "flatten", "output"]
    net.eval()
    x = torch.randn(2, 1, 9, 8)
    features = net[: len(names)](x)
    assert features.shape == (2, 6, 4, 4)
    assert isinstance(net[-1], nn.Linear)
    torch.testing.assert_close(net(x), net[-1](features.mean((2, 3))))


@pytest.mark.parametrize(("build", "parameters"), [(resnet18, 11_689_512), (resnet50, 25_557_032)])
def test_resnet_is_torchvisions(build: Any, parameters: int) -> None:
    torch.manual_seed(5)
    ours = build((3, 64, 64), 1000).eval()
    torch.manual_seed(5)
    theirs = getattr(torchvision().models, build.__name__)().eval()
    assert summarise(ours, (3, 64, 64)).parameters == parameters
    assert_same(ours.state_dict(), theirs.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


def test_local_contrast_is_the_formula() -> None:
    """Jarrett et al., section 2.1, pixel by pixel in NumPy's float64; the window counts the pixels that there are."""
    maps = torch.randn(2, 3, 7, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = maps.numpy()
    places = np.arange(-4, 5)
    window = np.exp(-(places[:, None] ** 2 + places[None, :] ** 2) / (2 * 2.25**2))

    def around(values: np.ndarray) -> np.ndarray:
        """Weighted means [N, H, W] over all maps and a window around each pixel."""
        found = np.zeros((len(values), *values.shape[2:]))
        for j, k in np.ndindex(*values.shape[2:]):
            rows = slice(max(j - 4, 0), j + 5)
            columns = slice(max(k - 4, 0), k + 5)
            w = window[rows.start - j + 4 :, columns.start - k + 4 :]
            part = values[:, :, rows, columns]
            w = w[: part.shape[2], : part.shape[3]]
            found[:, j, k] = (part * w).sum((1, 2, 3)) / (values.shape[1] * w.sum())
        return found

    v = x - around(x)[:, None]
    sigma = np.sqrt(around(v**2))
    y = v / np.maximum(sigma, sigma.mean((1, 2), keepdims=True))[:, None]
    np.testing.assert_allclose(LocalContrast()(maps), y, rtol=1e-6, atol=1e-7)


def test_local_contrast_of_constant_maps_is_0_and_has_a_gradient() -> None:
    maps = torch.full((1, 2, 6, 6), 0.7, dtype=torch.float64, requires_grad=True)
    normalised = LocalContrast()(maps)
    normalised.square().sum().backward()
    assert normalised.abs().max() < 1e-6
    assert maps.grad is not None
    assert bool(maps.grad.isfinite().all())
    assert not LocalContrast().state_dict()
    net = cnn((1, 8, 8), 10, channels=[4, 3], pooling="max", local_contrast=True)
    blocks = [name for name, _ in net.named_children()]
    assert blocks[:4] == ["conv1", "activation1", "contrast1", "pool1"]


def test_resnet_stem_for_small_pictures_keeps_the_map() -> None:
    net, sizes = resnet18((1, 32, 32), 10, stem="cifar"), []
    for part in (net.conv1, net.maxpool, net.layer1, net.layer4):
        part.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(output.shape[1:])))
    net.eval()(torch.zeros(1, 1, 32, 32))
    assert sizes == [(64, 32, 32), (64, 32, 32), (64, 32, 32), (512, 4, 4)]
    spread = resnet50((3, 8, 8), 10, stem="cifar").conv1.weight.detach().std()
    assert float(spread) == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)  # torchvision's fan-out rule


@pytest.mark.parametrize("build", [resnet18, resnet50])
def test_resnet_without_shortcuts_is_a_chain(build: Any) -> None:
    torch.manual_seed(5)
    chain = build((3, 8, 8), 10, stem="cifar", shortcuts=False).eval()
    torch.manual_seed(5)
    full = build((3, 8, 8), 10, stem="cifar").eval()
    kept = {name: value for name, value in full.state_dict().items() if "downsample" not in name}
    assert_same(chain.state_dict(), kept)

    x = torch.randn(2, 64, 8, 8)
    for block, plain in zip(full.layer1, chain.layer1, strict=True):
        h = x
        for number in range(1, 4 if build is resnet50 else 3):
            h = torch.relu(getattr(block, f"bn{number}")(getattr(block, f"conv{number}")(h)))
        torch.testing.assert_close(plain(x), h)
        assert not torch.allclose(plain(x), block(x))
        x = h


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("relu", lambda x: max(x, 0.0)),
        ("leaky_relu", lambda x: max(x, 0.01 * x)),
        ("prelu", lambda x: max(x, 0.25 * x)),
        ("sigmoid", lambda x: 1 / (1 + math.exp(-x))),
        ("tanh", math.tanh),
        ("gelu", lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    ],
)
def test_activation_is_the_written_formula(name: Any, formula: Any) -> None:
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    expected = torch.tensor([formula(value) for value in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(ACTIVATIONS[name]().double()(x).detach(), expected, rtol=1e-12, atol=1e-15)


def test_prelu_learns_a_slope_for_each_layer() -> None:
    net = mlp((3,), 2, hidden=[4, 4], activation="prelu")
    assert [n for n, p in net.named_parameters() if p.numel() == 1] == ["activation1.weight", "activation2.weight"]


def test_dropout_acts_in_training_only() -> None:
    net = mlp((50,), 2, hidden=[2000], dropout=0.3)
    hidden = net[:-1]
    zeros = (hidden(torch.rand(20, 50) + 1) == 0).float().mean() - (
        hidden.eval()(torch.rand(20, 50) + 1) == 0
    ).float().mean()
    assert float(zeros) == pytest.approx(0.3 * 0.5, abs=0.05)  # half of the units are already 0 behind ReLU
    x = torch.randn(4, 50)
    assert torch.equal(net.eval()(x), net.eval()(x))


# Initial values


LAYERS = {
    "linear": (lambda: nn.Linear(400, 300), 400, 300),
    "conv": (lambda: nn.Conv2d(64, 96, (3, 5)), 64 * 15, 96 * 15),
    "grouped": (lambda: nn.Conv2d(64, 128, 3, groups=4), 16 * 9, 32 * 9),
    "transposed": (lambda: nn.ConvTranspose2d(96, 64, 3), 96 * 9, 64 * 9),
}
SPREADS = {
    "normal": lambda n_in, n_out: 0.3,
    "xavier": lambda n_in, n_out: math.sqrt(2 / (n_in + n_out)),
    "he": lambda n_in, n_out: math.sqrt(2 / n_in),
    "lecun": lambda n_in, n_out: math.sqrt(1 / n_in),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", SPREADS)
def test_initial_weights_are_normal_with_the_spread_of_the_formula(name: str, kind: str) -> None:
    build, n_in, n_out = LAYERS[kind]
    layer = build()
    initialise(nn.Sequential(layer), init_of(name, **({"std": 0.3} if name == "normal" else {})))
    scaled = layer.weight.detach().double().flatten() / SPREADS[name](n_in, n_out)
    error = 4 / math.sqrt(len(scaled))  # four standard errors of the mean; a little more for the moments
    assert float(scaled.mean()) == pytest.approx(0, abs=error)
    assert float((scaled**2).mean()) == pytest.approx(1, abs=1.5 * error)
    assert float((scaled**4).mean()) == pytest.approx(3, abs=10 * error)  # 1.8 if uniform
    assert torch.count_nonzero(layer.bias) == 0


def test_default_is_what_torch_draws_and_norm_layers_are_left_alone() -> None:
    torch.manual_seed(1)
    ours = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.PReLU(), nn.Linear(4, 3))
    theirs = state_of(ours)
    initialise(ours, init_of("default"))
    assert_same(ours.state_dict(), theirs)
    for name, options in (("he", {}), ("constant", {"value": 7.0})):
        initialise(ours, init_of(name, **options))
        assert torch.equal(ours[1].weight, torch.ones(4))
        assert torch.equal(ours[1].bias, torch.zeros(4))
        assert ours[2].weight.tolist() == [0.25]
    assert (ours[0].bias == 7).all()
    assert (ours[3].weight == 7).all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_values_keep_the_units_of_a_layer_equal_through_training(value: float) -> None:
    net = models.build(
        spec_of("mlp", hidden=[6, 4], activation="sigmoid", init={"name": "constant", "value": value}), (5,), 3
    )
    drawn = models.build(spec_of("mlp", hidden=[6, 4], activation="sigmoid"), (5,), 3)
    x, y = torch.randn(40, 5), torch.randint(3, (40,))
    for model in (net, drawn):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, foreach=False)
        for _ in range(25):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    def spread(model: nn.Module) -> float:
        """Largest difference of two units of one hidden layer, incoming weights and biases."""
        layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][:-1]
        rows = [torch.cat([layer.weight, layer.bias[:, None]], 1).detach() for layer in layers]
        return max(float((row - row[0]).abs().max()) for row in rows)

    assert spread(net) < 1e-6
    assert spread(drawn) > 0.1
    moved = (net.get_parameter("output.bias") - value).detach().abs().max()
    assert float(moved) > 0.01  # it did train


def test_users_own_initial_values(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def ones(module, scale: float):\n    for p in module.parameters():\n        p.fill_(scale)\n")
    net = models.build(spec_of("mlp", hidden=[2], init={"name": f"{file}:ones", "scale": 2.0}), (3,), 2)
    assert all((value == 2).all() for value in net.parameters())
    with pytest.raises(ValidationError, match="scale"):
        spec_of("mlp", init={"name": f"{file}:ones"})


def test_shorthand_of_init() -> None:
    assert spec_of("mlp", init="lecun").init == spec_of("mlp", init={"name": "lecun"}).init
    assert spec_of("mlp").init.name == "default"


# What is refused


@pytest.mark.parametrize(
    "options",
    [
        {"name": "mlp", "hidden": [100, 0]},
        {"name": "mlp", "hidden": [-5]},
        {"name": "mlp", "hidden": 100},
        {"name": "mlp", "hidden": [10**9]},
        {"name": "mlp", "hidden": ["100"]},
        {"name": "mlp", "dropout": 1.0},
        {"name": "mlp", "batch_norm": 1},
        {"name": "mlp", "activation": "rleu"},
        {"name": "mlp", "channels": [3]},
        {"name": "cnn", "channels": []},
        {"name": "cnn", "kernel_size": 4},
        {"name": "cnn", "pooling": "mean"},
        {"name": "resnet18", "stem": "mnist"},
        {"name": "resnet34"},
        {"name": "mlp", "init": "normal"},
        {"name": "mlp", "init": {"name": "normal", "std": 0.0}},
        {"name": "mlp", "init": "kaiming"},
        {"name": "mlp", "init": {"name": "constant", "value": math.inf}},
        {"hidden": [3]},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(models.FAMILY.type).validate_python(options)


def test_pictures_are_asked_for() -> None:
    for name in ("cnn", "resnet18", "resnet50"):
        with pytest.raises(BadInput, match=rf"{name}.*\[C, H, W\].*\[64\]"):
            models.build(spec_of(name), (64,), 10)


def test_pooling_more_often_than_the_picture_allows() -> None:
    options = {"channels": [4, 4, 4, 4], "pooling": "max"}
    assert models.build(spec_of("cnn", **options), (1, 8, 9), 3)(torch.zeros(2, 1, 8, 9)).shape == (2, 3)
    with pytest.raises(BadInput, match=r"7×9 .*halved 3 times"):
        models.build(spec_of("cnn", **options), (1, 7, 9), 3)


def test_absurd_sizes_are_refused_before_memory_is_taken() -> None:
    with pytest.raises(BadInput, match=r"1,000,0\d\d,\d\d\d,\d\d\d parameters.*GB"):
        models.build(spec_of("mlp", hidden=[1_000_000, 1_000_000]), (28,), 10)
    with pytest.raises(BadInput, match="choose smaller"):
        check_size(lambda: nn.Linear(10**7, 10**7), "mine")


def test_a_builder_that_needs_numbers_is_not_judged_by_size() -> None:
    def build() -> nn.Module:
        assert float(torch.ones(())) == 1.0  # fails on the meta device
        return nn.Linear(2, 2)

    check_size(build, "mine")


def test_users_own_model(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "def good(shape, classes, width: int = 3):\n"
        "    layers = torch.nn.Linear(shape[0], width), torch.nn.Linear(width, classes)\n"
        "    return torch.nn.Sequential(*layers)\n"
        "def fixed():\n    return torch.nn.Linear(4, 2)\n"
        "class Net(torch.nn.Linear):\n    def __init__(self, classes=9):\n        super().__init__(4, classes)\n"
        "def none(shape, classes):\n    return 7\n"
        "def fails(shape, classes):\n    raise KeyError('depth')\n"
        "def lazy(shape, classes):\n    return torch.nn.LazyLinear(classes)\n"
    )
    assert summarise(models.build(spec_of(f"{file}:good", width=6), (4,), 2), (4,)).parameters == 30 + 14
    for name in ("fixed", "Net"):  # what they do not name is not handed to them
        assert summarise(models.build(spec_of(f"{file}:{name}"), (4,), 2), (4,)).outputs == (2,)
    with pytest.raises(ValidationError, match="widht"):
        spec_of(f"{file}:good", widht=6)
    for name, message in {
        "none": "returned int, not a torch.nn.Module",
        "fails": "failed: KeyError: 'depth'",
        "lazy": "weight, bias have no size yet",
    }.items():
        with pytest.raises(BadInput, match=message):
            models.build(spec_of(f"{file}:{name}"), (4,), 2)


def test_summary_of_a_model_that_does_not_take_the_input() -> None:
    with pytest.raises(BadInput, match=r"\[N, 3, 8, 8\]"):
        summarise(nn.Linear(5, 2), (3, 8, 8))


def test_summary_of_a_forward_that_looks_at_its_numbers() -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) if float(x.sum()) == 0.0 else x

    assert summarise(Looks(), (3,)).multiply_adds == 6


def test_summary_of_a_net_that_fails_on_a_mask_of_zeros() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return self.layer(x) * (5 // int(mask.sum()))

    example = Batch({"x": torch.ones(1, 3), "mask": torch.ones(1, 3, dtype=torch.long)})
    assert summarise(Masked(), example).outputs == (2,)


def test_summary_counts_one_dimensional_and_transposed_convolutions() -> None:
    net = nn.Sequential(nn.Conv1d(4, 6, 3, groups=2), nn.ConvTranspose1d(6, 2, 5, stride=2))
    assert summarise(net, (4, 10)).multiply_adds == 8 * 6 * 2 * 3 + 8 * 6 * 2 * 5


def test_summary_tells_batch_norm_and_dropout() -> None:
    flags = {
        name: (summary.has_batch_norm, summary.has_dropout)
        for name in ("mlp", "mlp_dropout", "mlp_batch_norm_prelu", "cnn_max_batch_norm_dropout")
        for summary in [summarise(MODEL_CASES[name].model(), MODEL_CASES[name].shape)]
    }
    assert flags == {
        "mlp": (False, False),
        "mlp_dropout": (False, True),
        "mlp_batch_norm_prelu": (True, False),
        "cnn_max_batch_norm_dropout": (True, True),
    }


# The documentation

DOCS = Path(__file__).parents[1] / "docs"
SECTIONS = {"model": models.FAMILY, "optimizer": optimizers.FAMILY, "schedule": schedules.FAMILY, "loss": losses.FAMILY}


def documented(file: str, folder: Path) -> list[tuple[str, Any]]:
    """Every config section in the YAML of a page, as (section, spec); its Python files are written to `folder`."""
    text = (DOCS / file).read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        if name := re.match(r"# (\w+\.py)\n", code):
            (folder / name[1]).write_text(code, encoding="utf-8")
    sections = [
        item
        for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        for item in yamlfile.Document(block, file).data.items()
    ]
    return [(key, TypeAdapter(SECTIONS[key].type).validate_python(value)) for key, value in sections]


@pytest.mark.parametrize(
    ("file", "keys"), [("guides/models.md", ["model"]), ("guides/optimizers.md", ["optimizer", "schedule", "loss"])]
)
def test_docs_show_every_member_with_every_option(
    file: str, keys: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = documented(file, tmp_path)
    given = {(key, spec.name): set[str]() for key, spec in shown}
    for key, spec in shown:
        given[key, spec.name] |= spec.model_fields_set
    for key in keys:
        for name, model in SECTIONS[key].models.items():
            own = set(model.model_fields) - set(SECTIONS[key].base.model_fields)
            assert own <= given[key, name], name
        assert {option for (k, _), seen in given.items() if k == key for option in seen} >= set(
            SECTIONS[key].base.model_fields
        )


def test_the_users_own_functions_of_the_docs_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = {
        key: spec
        for file in ("guides/models.md", "guides/optimizers.md")
        for key, spec in documented(file, tmp_path)
        if ":" in spec.name
    }
    net = models.build(own["model"], (1, 4, 4), 3)
    assert net[1].out_features == 32
    assert isinstance(optimizers.build(own["optimizer"], net.parameters()), torch.optim.RAdam)
    assert schedules.factor(own["schedule"], 5, 1, 10) == pytest.approx(0.55)
    outputs, targets = torch.tensor([[2.0, 1.5, -1.0]]), torch.tensor([0])
    values = losses.FAMILY.function(own["loss"])(outputs, targets, **losses.FAMILY.arguments(own["loss"]))
    assert values.tolist() == [0.5]
