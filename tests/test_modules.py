"""Modules as people write them: trained, on planes under every plan, on lines, relabelled; or refused in words.

What is held against is plain: a copy of the module in float64, given other values in place, called on copies of inputs.
"""

import copy
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cases_modules import IDIOMS, PIXELS, SHAPE, Checkpointed, Net, TiedLayers, sequential
from torch import Tensor, nn
from torch.nn.utils import parametrizations, weight_norm
from torch.utils.checkpoint import checkpoint

from lossscape.analyses import ANALYSES
from lossscape.analyses.interpolate.compute import POLICIES, line_of
from lossscape.config import Experiment, config_of
from lossscape.derivatives import gradient, hessian_product
from lossscape.errors import BadInput
from lossscape.evaluate import Subspace, Work, calibrate, table
from lossscape.evaluate.calibration import NAMES, by_rule
from lossscape.evaluate.plans import reasons_against
from lossscape.evaluate.statistics import tracks_statistics
from lossscape.library import landscape
from lossscape.measured import Measured
from lossscape.modules import Habits, habits_of
from lossscape.objective import Objective
from lossscape.problem import problem_of
from lossscape.runs import Run, check_state, point_of
from lossscape.train import train
from lossscape.vectors import Params, combine, norm
from lossscape.vectors.random import kinds_of_parameters, random_directions

CLASSES, SAMPLES = 3, 12
POINTS = [(0.3, -0.7), (-1.0, 0.5)]
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


def trained(name: str, folder: Path) -> Run:
    """A run of one epoch; name: of the net, in this table or in another file."""
    content = {
        "name": "net",
        "dataset": {"name": "synthetic", "shape": list(SHAPE), "classes": CLASSES, "train": SAMPLES, "test": 6},
        "model": {"name": name if ":" in name else f"cases_modules:{name}"},
        "optimizer": {"name": "momentum", "lr": 0.02},
        "training": {"epochs": 1, "batch_size": 6},
    }
    return train(config_of(Experiment, content, "a test", folder), folder)


@torch.no_grad()
def loss_of(model: nn.Module, values: Params, inputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of a module in float64, in eval mode, with other values in place of its own."""
    model = copy.deepcopy(model).double().eval()
    for own in (model.named_parameters(), model.named_buffers()):
        for name, value in own:
            value.data.copy_(values[name])
    return nn.functional.cross_entropy(model(inputs.double().clone()), targets)


def values_at(subspace: Subspace, coordinates: tuple[float, ...]) -> Params:
    """θ₀ + Σ cᵢ dᵢ, written out in float64."""
    values = {name: value.double() for name, value in subspace.origin.items()}
    for coordinate, direction in zip(coordinates, subspace.directions, strict=True):
        values = {name: value + coordinate * direction[name].double() for name, value in values.items()}
    return values | subspace.buffers


@pytest.mark.parametrize("name", IDIOMS)
def test_every_analysis_is_right(name: str, tmp_path: Path) -> None:
    run = trained(name, tmp_path)
    end = point_of(str(run.path))
    policy = "interpolated" if tracks_statistics(run.model()) else None
    problem = problem_of(end, Measured(batch_norm=policy), policies=POLICIES)
    (inputs, targets), model = problem.data.train, run.model()
    before = inputs.clone()
    origin, buffers = problem.values(end)
    whole = loss_of(model, origin | buffers, inputs, targets)
    row = (run.path / "metrics.csv").read_text().splitlines()
    stored = dict(zip(row[0].split(","), row[-1].split(","), strict=True))
    assert float(stored["train_loss"]) == pytest.approx(float(whole), rel=1e-5)

    # a plane
    plane = Subspace(origin, random_directions(origin, 2), buffers)
    work = Work({"data": problem.objectives()["train"]}, replace(plane, frozen=True))
    expected = [float(loss_of(model, values_at(plane, point), inputs, targets)) for point in POINTS]
    refused = set(reasons_against(work.objectives["data"], work.subspace))
    for plan in [each for each in NAMES if each not in refused]:
        usual = replace(by_rule(work, [plan]), chunk=5, points=2)
        others = (replace(usual, packed=True), replace(usual, packed=True, lowered=True))
        for how in (usual, *others) if plan in ("folded", "factored") else (usual,):
            try:
                found = work.rows(POINTS, how)
            except BadInput:
                refused.add(plan)
                break
            assert [values["data_loss"] for values in found] == pytest.approx(expected, rel=2e-6), how
    assert refused == set(IDIOMS[name].refused)

    # the line from the first to the last checkpoint
    first, first_buffers = problem.values(point_of(f"{run.path}@first"))
    line = line_of(problem, point_of(f"{run.path}@first"), end)
    alphas = [(0.0,), (0.5,), (1.0,)]
    rows = Work(work.objectives, line).rows(alphas, by_rule(work, ["dense"]))
    for (alpha,), values in zip(alphas, rows, strict=True):
        between = {
            n: a if torch.equal(a, b) else (1 - alpha) * a.double() + alpha * b.double()
            for (n, a), b in zip((first | first_buffers).items(), (origin | buffers).values(), strict=True)
        }
        truth = float(loss_of(model, between, inputs, targets))
        assert values["data_loss"] == pytest.approx(truth, rel=2e-6), alpha

    # relabelled
    minimum = problem.held_against("soft", end).objectives()["train"]
    assert minimum.metrics(origin, buffers)["loss"] == pytest.approx(0, abs=1e-9)
    assert norm(gradient(minimum, origin, buffers)) < 1e-6
    free = copy.deepcopy(model).double().eval().requires_grad_(True)
    nn.functional.cross_entropy(free(inputs.double().clone()), targets).backward()
    slopes = gradient(work.objectives["data"], origin, buffers)
    for key, value in free.named_parameters():
        wanted = torch.zeros_like(value) if value.grad is None else value.grad
        torch.testing.assert_close(slopes[key], wanted, rtol=1e-4, atol=1e-6)
    assert torch.equal(inputs, before)


# --- what the certificate says of some of them --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ViewOfSize", "weight_normed", "SharedTwins", "Checkpointed", "Counts"])
def test_results_pass_their_certificate(name: str, tmp_path: Path) -> None:
    run = trained(name, tmp_path)
    for analysis, options in (
        ("landscape", {"centre": str(run.path), "grid": (2, 3)}),
        ("interpolate", {"start": str(run.path), "points": 3}),
    ):
        folder = ANALYSES[analysis].run(**options, quiet=True)
        certificate = json.loads((folder / "certificate.json").read_text())
        assert certificate["passed"]
        assert "not_checked" not in certificate
        kinds = {check["kind"] for check in certificate["checks"]}
        assert {"stored", "module", "dense", "curvature"} <= kinds


# --- weight normalisation -----------------------------------------------------------------------------------------


def normed(old: bool) -> nn.Module:
    wrap = weight_norm if old else parametrizations.weight_norm
    return nn.Sequential(wrap(nn.Conv2d(2, 4, 3)), nn.Flatten(), wrap(nn.Linear(64, 3), dim=None))


@pytest.mark.parametrize("old", [False, True])
def test_lengths_of_weight_normalisation_stay_put_and_its_filters_turn(old: bool) -> None:
    model = normed(old)
    kinds = kinds_of_parameters(model)
    norms = [name for name, kind in kinds.items() if kind == "norm"]
    assert norms == (["0.weight_g", "2.weight_g"] if old else [f"{n}.parametrizations.weight.original0" for n in "02"])
    origin = {name: value.detach() for name, value in model.named_parameters()}
    ignored = [name for name, kind in kinds.items() if kind != "weight"]
    (direction,) = random_directions(origin, 1, ignored=ignored)
    weights = []
    for step in (0.0, 1e-3):
        for name, value in model.named_parameters():
            value.data.copy_(origin[name] + step * direction[name])
        model(torch.zeros(1, *SHAPE))
        weights.append(model[0].weight.detach().flatten(1).double())
    before, after = weights
    torch.testing.assert_close(after.norm(dim=1), before.norm(dim=1))  # each filter keeps its length
    moved = (after - before).norm(dim=1) / before.norm(dim=1)
    assert (
        (moved > 0.8e-3) & (moved < 1.001e-3)
    ).all()  # by what the direction says, but for its part along the filter


@pytest.mark.parametrize("old", [False, True])
def test_second_derivatives_of_weight_normalisation(old: bool) -> None:
    objective = Objective(normed(old), "cross_entropy", torch.randn(6, *SHAPE), torch.arange(6) % 3, precision="fp64")
    origin = objective.parameters()
    (direction,) = random_directions(origin, 1)
    step = 1e-4
    ahead, behind = (gradient(objective, combine(origin, [direction], [s])) for s in (step, -step))
    found = hessian_product(objective, origin, direction)
    for name in origin:
        torch.testing.assert_close(found[name], (ahead[name] - behind[name]) / (2 * step), rtol=1e-4, atol=1e-6)


# --- what evaluation leaves as it was -----------------------------------------------------------------------------


def test_a_module_of_two_names_does_not_keep_the_values_of_a_call() -> None:
    inner = nn.Linear(PIXELS, PIXELS)
    model = nn.Sequential(nn.Flatten(), inner, nn.Tanh(), inner, nn.Linear(PIXELS, 3))
    objective = Objective(model, "cross_entropy", torch.randn(6, *SHAPE), torch.arange(6) % 3)
    before = {name: value.clone() for name, value in objective.parameters().items()}
    objective.metrics({name: value + 1 for name, value in before.items()})
    gradient(objective, {name: value + 1 for name, value in before.items()})
    for name, value in objective.parameters().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("name", ["Keeps", "weight_normed_before"])
def test_a_net_that_keeps_what_it_computed_is_copied(name: str) -> None:
    net, x = IDIOMS[name].net(classes=3), torch.randn(6, *SHAPE)
    nn.functional.cross_entropy(net(x), torch.arange(6) % 3).backward()
    objective = Objective(net, "cross_entropy", x, torch.arange(6) % 3)
    again = objective.again(net, "fp64").metrics()["loss"]
    assert objective.metrics()["loss"] == pytest.approx(again, rel=1e-6)


class Overwriting(nn.Module):
    """Writes over a named input, of integers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.words(ids.masked_fill_(mask == 0, 0)).mean(1)


def test_named_inputs_are_not_written_over() -> None:
    inputs = {"ids": torch.arange(1, 7).expand(6, 6).contiguous(), "mask": torch.eye(6).long()}
    before = inputs["ids"].clone()
    objective = Objective(Overwriting(), "cross_entropy", inputs, torch.arange(6) % 3)
    assert objective.habits.overwrites
    objective.metrics()
    gradient(objective, objective.parameters())
    assert torch.equal(inputs["ids"], before)


@pytest.mark.parametrize(("net", "fits"), [(IDIOMS["Reshape"].net, True), (IDIOMS["ViewOfSize"].net, False)])
def test_the_layout_of_convolutions_is_tried_and_not_assumed(net: Callable[..., nn.Module], fits: bool) -> None:
    model, x = net(classes=3), torch.randn(6, *SHAPE)
    objective = Objective(model, "cross_entropy", x, torch.arange(6) % 3)
    assert objective.plan.channels_last == fits
    assert habits_of(model.train(), x[:2]) == Habits(fits, overwrites=False)
    values = table(objective, Subspace(objective.parameters(), []), [()])
    assert values["loss"][0] == pytest.approx(objective.metrics()["loss"], rel=1e-6)


# --- what is refused ----------------------------------------------------------------------------------------------


class Complex(Net):
    def __init__(self) -> None:
        super().__init__(3)
        self.turns = nn.Parameter(torch.ones(3, dtype=torch.complex64))


class Reentrant(Checkpointed):
    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        return self.out(checkpoint(self.inner, x, use_reentrant=True))


def script(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and still met
        return torch.jit.script(model)


def quantised() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(net, {nn.Linear})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), "1.weight, 1.bias have no size yet"),
        (Complex, "the parameter turns is complex.*view_as_complex"),
        (quantised, r"holds 1._packed_params.dtype, which is no tensor"),
        (lambda: script(sequential(3)), "for it is TorchScript: give the Python module"),
        (lambda: nn.Sequential(nn.Flatten(), script(nn.Linear(PIXELS, 3))), "for its part 1 is TorchScript"),
    ],
    ids=["lazy", "complex", "quantised", "script", "script inside"],
)
def test_modules_that_cannot_be_given_values_are_refused(make: Callable[[], nn.Module], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Objective(make(), "cross_entropy", torch.randn(6, *SHAPE), torch.arange(6) % 3)
    with pytest.raises(BadInput, match=words):
        landscape(make(), "cross_entropy", torch.randn(6, *SHAPE), torch.arange(6) % 3, grid=3)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True:UserWarning")
def test_a_gradient_through_reentrant_checkpoints_is_refused() -> None:
    objective = Objective(Reentrant(3), "cross_entropy", torch.randn(6, *SHAPE), torch.arange(6) % 3)
    with pytest.raises(BadInput, match="use_reentrant=False"):
        gradient(objective, objective.parameters())


def test_a_plan_that_cannot_stack_a_net_is_refused_with_the_operation() -> None:
    objective = Objective(IDIOMS["lstm"].net(classes=3), "cross_entropy", torch.randn(6, *SHAPE), torch.arange(6) % 3)
    line = Subspace(objective.parameters(), random_directions(objective.parameters(), 1))
    with pytest.raises(BadInput, match=r"--plan stacked: an operation of the net cannot be stacked \(.*aten::lstm"):
        calibrate({"data": objective}, line, 3, plan="stacked")


def test_a_state_whose_tied_tensors_differ_is_refused() -> None:
    model = TiedLayers(3)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    check_state(model, state, "a file")
    state["b.weight"][0, 0] = torch.nan
    state["a.weight"][0, 0] = torch.nan
    check_state(model, state, "a file")
    state["b.weight"][0, 1] += 1
    with pytest.raises(BadInput, match=r"a.weight and b.weight differ, which the model ties"):
        check_state(model, state, "a file")


def only_evaluates(classes: int) -> nn.Module:
    net = sequential(classes)
    net.register_forward_pre_hook(lambda module, given: given if not module.training else given[0][:, 0])
    return net


def all_frozen(classes: int) -> nn.Module:
    return sequential(classes).requires_grad_(False)


def without_parameters(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(classes))


def two_heads(classes: int) -> nn.Module:
    net = sequential(classes)
    net.register_forward_hook(lambda module, given, output: (output, output) if module.training else output)
    return net


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("only_evaluates", "the model fails in training mode: RuntimeError"),
        ("all_frozen", "no parameter with requires_grad"),
        ("without_parameters", "no parameter with requires_grad"),
        ("two_heads", "several outputs could be the logits"),
    ],
)
def test_nets_that_do_not_train_are_refused_before_anything_is_written(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=words):
        trained(f"test_modules:{name}", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_nets_of_other_precisions_have_landscapes(dtype: torch.dtype) -> None:
    inputs, targets = torch.randn(6, *SHAPE), torch.arange(6) % 3
    shown = landscape(sequential(3).to(dtype), "cross_entropy", inputs, targets, grid=2, quiet=True)
    assert shown.certificate["passed"]
