"""Objective against an independent float64 evaluation, over the shared table of models."""

import copy

import pytest
import torch
from cases_models import MODEL_CASES, ModelCase
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lossscape.certificate.certify import fingerprint
from lossscape.errors import BadInput
from lossscape.evaluate.statistics import RecomputedStatistics, tracks_statistics
from lossscape.objective import CACHE_BYTES, Objective, Plan, cache_chunk

SAMPLES = 13
case_table = pytest.mark.parametrize("case", MODEL_CASES.values(), ids=MODEL_CASES.keys())


def explicit(case: ModelCase, model: nn.Module, n: int = SAMPLES) -> tuple[float, float]:
    """Mean cross-entropy and accuracy by the formula, sample by sample in float64."""
    net = copy.deepcopy(model).double().eval()
    loss, right = 0.0, 0
    for x, t in zip(case.inputs(n), case.targets(n), strict=True):
        z = net(x.double()[None])[0].detach()
        loss += float(z.max() + (z - z.max()).exp().sum().log() - z[t])
        right += int(z.argmax() == t)
    return loss / n, right / n


@case_table
def test_metrics_agree_with_float64(case: ModelCase) -> None:
    model = case.model()
    loss, accuracy = explicit(case, model)
    single = Objective(model, "cross_entropy", case.inputs(SAMPLES), case.targets(SAMPLES))
    double = Objective(model, "cross_entropy", case.inputs(SAMPLES), case.targets(SAMPLES), precision="fp64")
    assert double.metrics() == pytest.approx({"loss": loss, "accuracy": accuracy}, rel=1e-10)
    assert single.metrics()["loss"] == pytest.approx(loss, rel=1e-5, abs=1e-9)
    assert single.metrics()["accuracy"] == accuracy


@case_table
def test_displaced_metrics_agree_with_a_displaced_model(case: ModelCase) -> None:
    model = case.model()
    objective = Objective(model, "cross_entropy", case.inputs(SAMPLES), case.targets(SAMPLES), precision="fp64")
    generator = torch.Generator().manual_seed(5)
    moved = {
        name: value + 0.1 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
        for name, value in objective.parameters().items()
    }
    displaced = copy.deepcopy(model).double()
    with torch.no_grad():
        for name, parameter in displaced.named_parameters():
            parameter.copy_(moved[name])
    assert objective.metrics(moved)["loss"] == pytest.approx(explicit(case, displaced)[0], rel=1e-10)


@case_table
def test_evaluating_changes_nothing(case: ModelCase) -> None:
    model = case.model()  # in training mode, as a user may leave it
    before, flags = fingerprint(model), [module.training for module in model.modules()]
    gradients = [parameter.requires_grad for parameter in model.parameters()]
    objective = Objective(model, "cross_entropy", case.inputs(SAMPLES), case.targets(SAMPLES))
    first = objective.metrics()
    if tracks_statistics(model):
        statistics = RecomputedStatistics(model, case.inputs(SAMPLES))
        objective.metrics(buffers=statistics(objective.parameters(), objective.buffers(), None))
    assert objective.metrics() == first
    assert fingerprint(model) == before
    assert [module.training for module in model.modules()] == flags
    assert [parameter.requires_grad for parameter in model.parameters()] == gradients


@case_table
@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_chunks_do_not_matter(case: ModelCase, chunk: int) -> None:
    model = case.model()
    data = case.inputs(SAMPLES), case.targets(SAMPLES)
    whole = Objective(model, "cross_entropy", *data, precision="fp64", plan=Plan(SAMPLES, False)).metrics()
    parts = Objective(model, "cross_entropy", *data, precision="fp64", plan=Plan(chunk, True)).metrics()
    assert parts == pytest.approx(whole, rel=1e-12)


@given(st.integers(1, 40), st.integers(1, 17))
@settings(max_examples=25, deadline=None)
def test_the_mean_is_over_samples_also_with_a_short_last_chunk(samples: int, chunk: int) -> None:
    case = MODEL_CASES["mlp"]
    model = case.model()
    x, t = case.inputs(samples), case.targets(samples)
    expected = nn.functional.cross_entropy(copy.deepcopy(model).double().eval()(x.double()), t)
    found = Objective(model, "cross_entropy", x, t, precision="fp64", plan=Plan(chunk, False)).metrics()
    assert found["loss"] == pytest.approx(float(expected.detach()), rel=1e-12)


def test_a_small_loss_keeps_its_digits() -> None:
    """Logits of float32 whose loss is about 1e-5: log-softmax in float32 would be wrong in the second digit."""
    logits = torch.tensor([[11.5, 0.0, -3.0]])
    objective = Objective(nn.Identity(), "cross_entropy", logits, torch.tensor([0]))
    z = logits.double()[0]
    assert objective.metrics({}, {})["loss"] == pytest.approx(
        float(torch.log1p((z[1] - z[0]).exp() + (z[2] - z[0]).exp())), rel=1e-9
    )


@case_table
def test_recomputed_statistics_are_the_cumulative_average(case: ModelCase) -> None:
    model = case.model()
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not layers:
        pytest.skip("no BatchNorm in this model")
    inputs = case.inputs(SAMPLES, dtype=torch.float64)
    seen: dict[str, torch.Tensor] = {}
    reference = copy.deepcopy(model).double().eval()
    for name, module in reference.named_modules():
        if name in layers:
            module.train()  # normalises with the batch's own statistics
            module.register_forward_pre_hook(lambda _, args, name=name: seen.__setitem__(name, args[0].detach()))
    reference(inputs)
    double = copy.deepcopy(model).double()
    found = RecomputedStatistics(double, inputs, torch.float64)(
        {name: value.detach() for name, value in double.named_parameters()}, {}, None
    )
    for name in layers:
        axes = [0, *range(2, seen[name].ndim)]
        torch.testing.assert_close(found[f"{name}.running_mean"], seen[name].mean(axes))
        torch.testing.assert_close(found[f"{name}.running_var"], seen[name].var(axes, unbiased=True))


def test_inf_and_nan_are_results() -> None:
    objective = Objective(nn.Identity(), "cross_entropy", torch.tensor([[float("nan"), 0.0]]), torch.tensor([0]))
    assert objective.metrics({}, {})["loss"] != objective.metrics({}, {})["loss"]
    huge = Objective(nn.Identity(), lambda z, t: z.sum(1), torch.tensor([[float("inf"), 1.0]]), torch.tensor([0]))
    assert huge.metrics({}, {})["loss"] == float("inf")


def test_bad_data_is_refused() -> None:
    with pytest.raises(BadInput, match="3 inputs and 2 targets"):
        Objective(nn.Identity(), "cross_entropy", torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(BadInput, match="did you mean 'cross_entropy'"):
        Objective(nn.Identity(), "cross_entrop", torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64))


def test_a_loss_that_is_not_one_per_sample_is_refused() -> None:
    model, x, t = nn.Linear(3, 2), torch.randn(4, 3), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(BadInput, match="reduction='none'"):
        Objective(model, nn.functional.cross_entropy, x, t).metrics()
    with pytest.raises(BadInput, match="differences need the same shapes"):
        Objective(model, "mse", x, torch.zeros(4)).metrics()


def test_modules_of_other_types_than_float32() -> None:
    x, t = torch.randn(4, 3, dtype=torch.float64), torch.zeros(4, dtype=torch.int64)
    model = nn.Linear(3, 2).double()
    expected = float(nn.functional.cross_entropy(model(x), t).detach())
    assert Objective(model, "cross_entropy", x, t).metrics()["loss"] == pytest.approx(expected, rel=1e-5)
    assert model.weight.dtype == torch.float64
    words = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2))
    tokens = torch.tensor([[0, 4], [1, 2]])
    expected = float(nn.functional.cross_entropy(words(tokens), t[:2]).detach())
    assert Objective(words, "cross_entropy", tokens, t[:2]).metrics()["loss"] == pytest.approx(expected, rel=1e-5)


def test_recomputing_with_a_lone_last_sample_and_other_layers_that_track_statistics() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    statistics = RecomputedStatistics(net, torch.randn(1001, 2))
    found = statistics(dict(net.named_parameters()), {}, None)
    assert int(found["1.num_batches_tracked"]) == 1
    both = nn.Sequential(nn.InstanceNorm2d(2, track_running_stats=True), nn.BatchNorm2d(2))
    nn.init.constant_(both[0].running_mean, 3.0)
    kept = RecomputedStatistics(both, torch.randn(8, 2, 4, 4))(dict(both.named_parameters()), {}, None)
    assert kept["0.running_mean"].tolist() == [3.0, 3.0]
    assert kept["1.running_mean"].tolist() != [0.0, 0.0]


def test_chunks_keep_activations_in_the_cache() -> None:
    net = nn.Sequential(nn.Conv2d(3, 128, 3, padding=1))
    chunk = cache_chunk(net, torch.zeros(1, 3, 32, 32))
    assert chunk == CACHE_BYTES // (4 * 128 * 32 * 32)
