"""Nets whose inputs, outputs or targets are of any kind, against their losses as anyone would write them."""

import copy
import pickle
from typing import Any

import pytest
import torch
from cases_models import NET_CASES, NetCase
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler, TensorDataset

from lossscape.certificate.certify import fingerprint
from lossscape.certificate.curvature import Comparison, compare_along
from lossscape.derivatives import gradient
from lossscape.errors import BadInput
from lossscape.evaluate import RecomputedStatistics, Subspace, Work, calibrate, evaluate, table
from lossscape.evaluate.calibration import NAMES
from lossscape.evaluate.plans import reasons_against
from lossscape.evaluate.sampling import stratified_sample
from lossscape.objective import Objective, Plan, Precision
from lossscape.vectors import subtract
from lossscape.vectors.between import between
from lossscape.vectors.random import random_directions

SAMPLES = 9
every_net = pytest.mark.parametrize("case", NET_CASES.values(), ids=NET_CASES.keys())


def objective_of(case: NetCase, precision: Precision = "fp64", chunk: int = 4, n: int = SAMPLES) -> Objective:
    return Objective(
        case.model(), case.loss, *case.samples(n), output=case.output, precision=precision,
        plan=Plan(chunk, channels_last=False),
    )  # fmt: skip


def truth_of(case: NetCase, model: nn.Module, n: int = SAMPLES) -> float:
    return float(case.truth(copy.deepcopy(model).double().eval(), *case.doubled(n)).detach())


@every_net
def test_the_loss_is_the_one_that_is_written_out(case: NetCase) -> None:
    expected = truth_of(case, case.model())
    for chunk in (2, 100):
        found = objective_of(case, chunk=chunk).metrics()
        assert found["loss"] == pytest.approx(expected, rel=1e-10)
        assert tuple(found) == ("loss", *case.metrics)
    assert objective_of(case, "fp32").metrics()["loss"] == pytest.approx(expected, rel=1e-5)


@every_net
def test_every_plan_equals_dense_off_the_origin(case: NetCase) -> None:
    objective = objective_of(case)
    origin = objective.parameters()
    plane = Subspace(origin, random_directions(origin, 2))  # buffers are the model's own
    points = [(0.0, 0.0), (0.3, -0.2)]
    work = Work({"data": objective}, plane)
    against = reasons_against(objective, work.subspace)
    assert ("folded" not in against) == case.traced, against
    dense = [objective.metrics(*plane.at(point)) for point in points]
    for plan in set(NAMES) - set(against):
        if (plan == "stacked" and not case.traced) or (plan == "stacked" and case is NET_CASES["data_parallel"]):
            continue  # attention's fast path cannot be stacked, and stacks of resnets take long
        found = work.rows(points, Plan(4, channels_last=False, name=plan, points=2))
        for one, other in zip(found, dense, strict=True):
            assert {f"data_{name}": value for name, value in other.items()} == pytest.approx(one, rel=1e-9)
    assert calibrate({"data": objective}, plane, 2).plan.name not in against
    assert len(table(objective, plane, points)) == 2


@every_net
def test_gradient_and_curvature_are_those_of_the_loss(case: NetCase) -> None:
    objective = objective_of(case)
    net = copy.deepcopy(objective.model).requires_grad_(True)
    case.truth(net, *case.doubled(SAMPLES)).backward()
    origin = objective.parameters()
    found = gradient(objective, origin)
    for name, value in net.named_parameters():
        torch.testing.assert_close(found[name], value.grad, rtol=1e-8, atol=1e-10)
    if case is NET_CASES["data_parallel"]:
        return  # the curvature of resnets has its own test
    groups = [objective.part(slice(0, 3)), objective.part(slice(3, 6))]
    (direction,) = random_directions(origin, 1, normalize="global")
    compared = compare_along(groups, origin, direction, objective.buffers(), lambda samples: None)
    assert isinstance(compared, Comparison)
    assert compared.passed


@every_net
def test_evaluating_changes_nothing_and_can_be_sent(case: NetCase) -> None:
    model = case.model()
    before = fingerprint(model)
    objective = Objective(model, case.loss, *case.samples(SAMPLES), output=case.output)
    work = Work({"data": objective}, Subspace(objective.parameters(), []))
    plan = Plan(4, channels_last=False)
    assert pickle.loads(pickle.dumps(work)).rows([()], plan) == work.rows([()], plan)
    assert fingerprint(model) == before
    assert model.training


@every_net
def test_a_subset_of_all_samples_is_the_whole(case: NetCase) -> None:
    objective = objective_of(case)
    sample = stratified_sample(objective.targets, SAMPLES)
    found = objective.part(sample.indices).under(sample=sample).metrics()
    for name, value in objective.metrics().items():
        assert found[name] == pytest.approx(value, rel=1e-9)
        assert found[f"{name}_stderr"] == pytest.approx(0, abs=1e-12)


def test_accuracy_of_texts_counts_positions() -> None:
    for name, weigh in (("tags", False), ("tags_by_token", True)):
        case = NET_CASES[name]
        inputs, targets = case.doubled(SAMPLES)
        right = case.model().double().eval()(**inputs)["logits"].argmax(-1) == targets
        counted = targets != -100
        each = [float(r[c].double().mean()) for r, c in zip(right, counted, strict=True)]
        expected = float(right[counted].double().mean()) if weigh else sum(each) / SAMPLES
        assert objective_of(case).metrics()["accuracy"] == pytest.approx(expected, rel=1e-12)
        part = objective_of(case).part(slice(0, 4))  # keeps what it knows of all samples
        rest = objective_of(case).part(slice(4, None))
        total = (4 * part.metrics()["loss"] + 5 * rest.metrics()["loss"]) / 9
        assert total == pytest.approx(objective_of(case).metrics()["loss"], rel=1e-12)


# --- data sets of torch's ---------------------------------------------------------------------------------------


class Named(Dataset[Any]):
    """Samples as mappings, with their labels among them."""

    def __init__(self) -> None:
        self.inputs, self.targets = NET_CASES["texts"].samples(SAMPLES)

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        return {name: value[place] for name, value in self.inputs.items()} | {"labels": self.targets[place]}


class Flowing(IterableDataset[Any]):
    """Samples in their order alone."""

    def __iter__(self) -> Any:
        return iter(zip(*NET_CASES["tuple"].samples(SAMPLES), strict=True))


class Noisy(Dataset[Any]):
    """Each time another sample."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return torch.randn(12), 0


def plain_set() -> TensorDataset:
    return TensorDataset(*NET_CASES["tuple"].samples(SAMPLES))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("tuple", plain_set()),
        ("tuple", DataLoader(plain_set(), batch_size=2, shuffle=True, drop_last=True)),
        ("tuple", Flowing()),
        ("texts", Named()),
        ("texts", DataLoader(Named(), batch_size=4)),
    ],
    ids=["data set", "loader", "iterable", "mappings", "loader of mappings"],
)
def test_data_sets_in_place_of_tensors(name: str, source: Any) -> None:
    case = NET_CASES[name]
    found = Objective(case.model(), case.loss, source, output=case.output, precision="fp64").metrics()
    assert found["loss"] == pytest.approx(truth_of(case, case.model()), rel=1e-10)


class NoTargets(Dataset[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> Tensor:
        return torch.zeros(12)


class Ragged(Dataset[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return torch.zeros(12 + place), 0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Noisy(), "a sample read twice is not the same"),
        (NoTargets(), "is needed"),
        (Ragged(), "do not make batches"),
        (TensorDataset(torch.zeros(0, 12), torch.zeros(0)), "has no samples"),
        (DataLoader(plain_set(), sampler=SubsetRandomSampler([1, 2])), "SubsetRandomSampler"),
    ],
    ids=["random", "no targets", "ragged", "empty", "sampler"],
)
def test_data_sets_that_are_refused(source: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Objective(NET_CASES["tuple"].model(), "cross_entropy", source)


# --- what does not fit ------------------------------------------------------------------------------------------

X, T = torch.randn(6, 12), torch.arange(6) % 3
NET = nn.Linear(12, 3)
MASK = {"input_ids": torch.zeros(6, 4, dtype=torch.int64), "attention_mask": torch.ones(5, 4)}


class Two(nn.Module):
    """Two outputs that could be the logits."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"a": x, "b": 2 * x}


def metrics_of(*given: Any, **more: Any) -> dict[str, float]:
    return Objective(*given, **more).metrics()


@pytest.mark.parametrize(
    ("given", "more", "words"),
    [
        ((NET, "cross_entropy", X, T[:5]), {}, "6 inputs and 5 targets"),
        ((NET, "cross_entropy", X, T.tolist()), {}, "targets are a list"),
        ((NET, "cross_entropy", X.numpy(), T), {}, "inputs are a ndarray"),
        ((NET, "cross_entropy", X, None), {}, "targets are a NoneType"),
        ((NET, "cross_entropy", X, T.float()), {}, r"targets.long\(\)"),
        ((NET, "cross_entropy", X, T - 1), {}, "has the class -1"),
        ((NET, "cross_entropy", X, T + 1), {}, "have the class 3"),
        ((NET, "cross_entropy", X, T[:, None]), {}, "do not fit targets"),
        ((NET, "cross_entropy", X, T == 0), {}, "targets of torch.bool"),
        ((NET, "cross_entropy", X, torch.full((6, 3), torch.nan)), {}, "that of sample 0 is NaN"),
        ((NET, "cross_entropy", X, torch.zeros(6, 4)), {}, "distributions over the classes have the outputs' shape"),
        ((NET, "mse", X, torch.zeros(6)), {}, "the same shapes"),
        ((NET, "token_cross_entropy", X, T), {}, "several positions"),
        ((NET, "mse", X, torch.zeros(6, 3)), {"metrics": ["margin", "margin"]}, "twice"),
        ((NET, "mse", X, torch.zeros(6)), {"metrics": ["accuracy"]}, "accuracy is of classes"),
        ((NET, "mse", X, X[:, :3]), {"metrics": ["mae", "top5"]}, "top5 is of classes, and these are numbers"),
        ((NET, "cross_entropy", X, T), {"metrics": ["acuracy"]}, "did you mean 'accuracy'"),
        ((NET, "cross_entropy", X, T), {"metrics": "accuracy"}, "give a list"),
        ((NET, "cross_entropy", X, T), {"metrics": {"loss": lambda z, t: z}}, "another column"),
        ((NET, "cross_entropy", X, T), {"metrics": {"mine": lambda z, t: z}}, "metric mine gives shape"),
        ((NET, "cross_entropy", X, T), {"output": "logits"}, "no output to name"),
        ((NET, "cross_entropy", {}, T), {}, "empty mapping"),
        ((NET, "cross_entropy", MASK, T), {}, "input_ids 6, attention_mask 5"),
        ((Two(), "cross_entropy", X, T), {}, r"several outputs could be .* a \(float32 \[6, 12\]\), b"),
        ((Two(), "cross_entropy", X, T), {"output": "c"}, "no such output; it gives a"),
        ((nn.Flatten(0), "cross_entropy", X, T), {"plan": Plan(6, False)}, "for 6 samples"),
        ((nn.Linear(12, 1), lambda z, t: z[:, 0], X, T), {}, r"for accuracy; other metrics"),
        ((nn.Identity(), lambda z, t: z.mean((1, 2)), X.view(6, 3, 4), T), {}, "number for each class"),
    ],
)
def test_what_does_not_fit_is_said_in_words(given: Any, more: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        metrics_of(*given, **more)


@pytest.mark.parametrize("soft", [torch.eye(3)[T], torch.log_softmax(X[:, :3], 1)], ids=["shares", "logarithms"])
def test_distributions_have_a_class_under_any_loss(soft: Tensor) -> None:
    expected = float((NET(X).argmax(1) == soft.argmax(1)).double().mean())
    assert metrics_of(NET, "mse", X, soft, metrics=["accuracy"])["accuracy"] == pytest.approx(expected, rel=1e-12)


def test_names_that_the_model_lacks_are_refused_and_not_ignored() -> None:
    wrapped = nn.DataParallel(nn.Sequential(nn.Linear(12, 3)))
    objective = Objective(wrapped, "cross_entropy", X, T)
    own = dict(wrapped.named_parameters())
    with pytest.raises(BadInput, match=r"module\.0\.bias.*has no parameter or buffer of this name"):
        objective.metrics(own)
    with pytest.raises(BadInput, match=r"has no parameter 'module.0.weight'"):
        table(objective, Subspace(own, [own]), [(0.0,)])
    assert list(objective.parameters()) == ["0.weight", "0.bias"]


# --- BatchNorm statistics on a way to another net ---------------------------------------------------------------


def test_a_line_to_another_net_does_not_freeze_its_statistics_unsaid() -> None:
    nets = []
    for seed in range(2):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        net(3 * torch.randn(50, 12) + seed)  # in training mode: statistics of its own
        nets.append(net)
    a, b = (Objective(net, "cross_entropy", X, T, precision="fp64") for net in nets)
    way, moved = between(a.parameters(), b.parameters()), between(a.buffers(), b.buffers())
    for buffers in (a.buffers(), {}):
        with pytest.raises(BadInput, match="statistics are its own"):
            table(a, Subspace(a.parameters(), [way], buffers), [(0.0,), (1.0,)])
    right = table(a, Subspace(a.parameters(), [way], a.buffers(), [moved]), [(0.0,), (1.0,)])
    assert right["loss"].tolist() == pytest.approx([a.metrics()["loss"], b.metrics()["loss"]], rel=1e-9)
    frozen = table(a, Subspace(a.parameters(), [way], a.buffers(), frozen=True), [(1.0,)])
    expected = a.metrics(b.parameters(), a.buffers())["loss"]
    assert frozen["loss"][0] == pytest.approx(expected, rel=1e-9)
    statistics = RecomputedStatistics(nets[0], X, torch.float64)
    line = Subspace(a.parameters(), [way])
    ((_, values),) = evaluate({"data": a}, line, [(1.0,)], statistics)
    fresh = statistics(b.parameters(), {})
    assert values["data_loss"] == pytest.approx(a.metrics(b.parameters(), fresh)["loss"], rel=1e-9)
    assert subtract(fresh, a.buffers())["1.running_mean"].abs().max() > 0.1
