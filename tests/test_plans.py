"""Every plan against dense evaluation, over the shared table of models."""

import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from math import isnan

import pytest
import torch
from cases_models import MODEL_CASES, ModelCase
from torch import Tensor, nn

from lossscape import onednn
from lossscape.dropout import Dropout
from lossscape.errors import BadInput
from lossscape.evaluate import Subspace, Work, evaluate, products
from lossscape.evaluate.calibration import NAMES
from lossscape.evaluate.graph import first_layer
from lossscape.evaluate.lowering import Covering, Pointwise
from lossscape.evaluate.plans import is_small, reasons_against
from lossscape.evaluate.pool import pooled
from lossscape.evaluate.rewriting import lowers, rewritten
from lossscape.evaluate.statistics import RecomputedStatistics
from lossscape.objective import Objective, Plan, PlanName, Precision
from lossscape.vectors import Params
from lossscape.vectors.between import between
from tests.needs import needs_onednn, needs_packing

SAMPLES = 11
POINTS = [(0.0, 0.0), (0.3, -0.7), (-1.0, 1.0), (0.5, 0.0), (0.1, 0.2)]
TOLERANCE = {"fp64": 1e-10, "fp32": 1e-5}
NOT_FACTORED = {"shared_weights", "used_twice", "own_buffers", "branches"}


def objective_of(case: ModelCase, precision: str = "fp32", plan: Plan | None = None) -> Objective:
    model = case.model()
    for name, buffer in model.named_buffers():  # statistics as training leaves them
        if buffer.is_floating_point():
            generator = torch.Generator().manual_seed(len(name))
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return Objective(
        model, "cross_entropy", case.inputs(SAMPLES), case.targets(SAMPLES), precision=precision, plan=plan
    )


def plane_of(objective: Objective) -> Subspace:
    """All parameters move, those of BatchNorm too; one of the directions is in float64, as between checkpoints."""
    origin: Params = {name: value.clone() for name, value in objective.parameters().items()}
    generator = torch.Generator().manual_seed(3)
    directions = [
        {name: 0.1 * torch.randn(value.shape, generator=generator) for name, value in origin.items()} for _ in "xy"
    ]
    directions[0] = dict(between(origin, directions[0]))  # within one plane: there is no other net
    return Subspace(origin, directions, dict(objective.buffers()))


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize(("name", "case"), MODEL_CASES.items(), ids=MODEL_CASES.keys())
def test_every_plan_equals_dense(name: str, case: ModelCase, precision: str) -> None:
    objective = objective_of(case, precision, Plan(chunk=SAMPLES, channels_last=False))
    work = Work({"data": objective}, plane_of(objective))
    points = POINTS[:2] if name.startswith("resnet") else POINTS
    dense = [objective.metrics(*work.subspace.at(point)) for point in points]
    against = reasons_against(objective, work.subspace)
    assert ("factored" in against) == (name in NOT_FACTORED), against
    assert "folded" not in against
    for plan in NAMES:
        if plan in against or (plan == "stacked" and name.startswith("resnet")):
            continue  # stacks of so many convolutions take a CPU half a minute; other nets have them too
        for keep in (True, False) if plan == "factored" and points is POINTS else (None,):
            work = replace(work, keep=keep)
            last = plan != "dense" and case.shape == (2, 8, 8)
            how = Plan(4, channels_last=last, name=plan, points=3, packed=keep is not False, lowered=keep is not False)
            counted: list[int] = []
            found = [
                values
                for block in (points[:3], points[3:])
                if block
                for values in work.rows(block, how, counted.append)
            ]
            for point, one, other in zip(points, found, dense, strict=True):
                assert one["data_loss"] == pytest.approx(other["loss"], rel=TOLERANCE[precision], abs=1e-9), (
                    plan,
                    point,
                )
                assert one["data_accuracy"] == other["accuracy"], (plan, point)
            height = 6 if plan == "stacked" else len(points)  # a stack is always as high as its plan says
            assert sum(counted) == SAMPLES * height


@pytest.mark.parametrize("name", ["mlp", "mlp_batch_norm_prelu", "cnn"])
def test_no_plan_has_an_accuracy_beyond_what_fp32_holds(name: str) -> None:
    objective = objective_of(MODEL_CASES[name], "fp32", Plan(chunk=4, channels_last=False))
    plane = plane_of(objective)
    work = Work({"data": objective}, plane)
    for plan in NAMES:
        (row,) = work.rows([(1e30, 1e30)], Plan(4, False, plan))
        assert all(isnan(value) for value in row.values()), plan
    assert all(map(isnan, objective.metrics(*plane.at((1e30, 1e30))).values()))


def test_a_point_has_the_same_bits_in_every_block() -> None:
    objective = objective_of(MODEL_CASES["mlp_batch_norm_prelu"])
    work = Work({"data": objective}, plane_of(objective))
    for name in ("dense", "folded", "factored"):
        plan = Plan(4, channels_last=False, name=name, points=5)
        together = work.rows(POINTS, plan)
        assert [work.rows([point], plan)[0] for point in POINTS] == together
    stacked = Plan(4, channels_last=False, name="stacked", points=4)
    assert work.rows(POINTS[:2], stacked) == work.rows(POINTS[:2], stacked)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets torch's threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


class Positions(nn.Module):
    """Two linear layers over the positions of a sequence, one of them called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(96, 96), nn.Linear(96, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.inner(self.inner(x)))).mean(1)


def wide_mlp() -> nn.Module:
    """A first layer, one into which BatchNorm is folded, and one whose outputs are padded."""
    norm = nn.BatchNorm1d(144)
    layers = nn.Linear(120, 130), nn.ReLU(), nn.Linear(130, 144, bias=False), norm, nn.Tanh(), nn.Linear(144, 10)
    return nn.Sequential(*layers)


LAYERS: set[tuple[int, ...]] = {(150, 120, 130), (150, 130, 144)}
WIDE: dict[str, tuple[ModelCase, PlanName, set[tuple[int, ...]]]] = {
    "first layer": (ModelCase(wide_mlp, (120,), 10), "factored", LAYERS),
    "made anew": (ModelCase(wide_mlp, (120,), 10), "factored", LAYERS),
    "folded layer": (ModelCase(wide_mlp, (120,), 10), "folded", LAYERS),
    "sequences": (ModelCase(Positions, (4, 96), 10), "folded", {(150, 4, 96, 96)}),
}
"""Nets and plans, and the products that are enough for oneDNN: shape of the inputs, and outputs."""


def wide_objective(name: str, precision: Precision) -> Objective:
    case = WIDE[name][0]
    return Objective(case.model(), "cross_entropy", case.inputs(310), case.targets(310), precision=precision)


def wide_work(name: str) -> tuple[Work, Plan]:
    """In chunks of 150 samples, the last one of ten; of points in the pool."""
    objective = wide_objective(name, "fp32")
    keep = name != "made anew"
    return Work({"data": objective}, plane_of(objective), keep=keep), Plan(150, False, WIDE[name][1], 5, onednn=True)


@needs_onednn
@pytest.mark.cpu
@pytest.mark.parametrize("name", WIDE)
def test_products_by_onednn_have_the_values_of_float64(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (work, plan), calls, made = wide_work(name), set[tuple[int, ...]](), onednn.linear

    def noted(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        calls.add((*inputs.shape, len(weight)))
        return made(inputs, weight, bias)

    monkeypatch.setattr(onednn, "linear", noted)
    found, exact = work.rows(POINTS, plan), wide_objective(name, "fp64")
    assert calls == WIDE[name][2]
    for point, row in zip(POINTS, found, strict=True):
        expected = exact.metrics(*work.subspace.at(point))
        assert row == pytest.approx({f"data_{key}": value for key, value in expected.items()}, rel=1e-6), point
    calls.clear()
    for others in (  # which it is not for, or has no form of
        replace(plan, onednn=False),
        replace(plan, name="stacked", chunk=155),
        replace(plan, name="dense"),
    ):
        assert replace(work).rows(POINTS[:2], others)
    assert replace(Work({"data": exact}, work.subspace)).rows(POINTS[:2], plan)
    assert not calls


class Convolutions(nn.Module):
    """Convolutions of all kinds, four of which have weights that can be packed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.apart, self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 16, 3, stride=2, groups=2)
        self.wide = nn.Conv2d(16, 16, (3, 1), dilation=2, padding=(2, 0))
        self.same, self.mirrored = (
            nn.Conv2d(16, 16, 3, padding="same"),
            nn.Conv2d(16, 16, 3, 1, 1, padding_mode="reflect"),
        )
        self.again, self.back = nn.Conv2d(16, 16, 1), nn.ConvTranspose2d(16, 8, 2)
        self.one, self.other, self.out = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), nn.Linear(8, 5)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.grouped(self.apart(torch.relu(self.norm(self.first(x))))))
        x = x + torch.relu(self.wide(x))
        x = self.back(self.again(self.again(self.mirrored(self.same(x)))))
        return self.out(self.other(self.one(x)).mean((2, 3)))


class Pixels(nn.Module):
    """Convolutions that are products of matrices but for the first: of pixels, one of them with a stride, of all of
    2 x 2 pixels, with a bias and with BatchNorm in its place, and of one pixel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first, self.point = nn.Conv2d(3, 24, 3, 2, 1), nn.Conv2d(24, 40, 1, bias=False)
        self.strided, self.norm = nn.Conv2d(40, 200, 1, 2), nn.BatchNorm2d(200)
        self.all, self.again = nn.Conv2d(200, 200, 3, padding=1, bias=False), nn.Conv2d(200, 120, 3, padding=1)
        self.down, self.last, self.out = nn.Conv2d(120, 40, 3, 2, 1), nn.Conv2d(40, 40, 3, 1, 1), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.strided(torch.relu(self.point(torch.relu(self.first(x))))))
        x = self.again(torch.relu(self.norm(self.all(x))) + x)
        return self.out(torch.relu(self.last(torch.relu(self.down(x)))).flatten(1))


MATRICES = {"point", "strided", "all", "again", "down", "last"}


def lowered_work(precision: Precision = "fp32") -> tuple[Work, Plan]:
    """In chunks of eight samples, the last one of six; some products are large enough for oneDNN."""
    case, plan = ModelCase(Pixels, (3, 8, 8), 5), Plan(8, True, "folded", onednn=True, lowered=True)
    inputs, targets = case.inputs(30), case.targets(30)
    objective = Objective(case.model(), "cross_entropy", inputs, targets, precision=precision, plan=plan)
    return Work({"data": objective}, plane_of(objective)), plan


@pytest.mark.cpu
@pytest.mark.parametrize("packed", [False, pytest.param(True, marks=needs_packing)])
def test_products_of_matrices_have_the_values_of_float64(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    (work, plan), (exact, _) = lowered_work(), lowered_work("fp64")
    net = rewritten(work.objectives["data"])
    assert net is not None
    assert {name for name, each in net.module.named_modules() if isinstance(each, Pointwise | Covering)} == MATRICES
    assert lowers(work.objectives["data"])
    assert not lowers(objective_of(MODEL_CASES["mlp"]))
    calls: list[int] = []
    known = onednn.linear
    monkeypatch.setattr(onednn, "linear", lambda *given: calls.append(len(given[0])) or known(*given))
    found = work.rows(POINTS, replace(plan, packed=packed))
    assert set(calls) == {8, 6}  # of maps of 2 x 2 pixels: the others are too small for oneDNN
    for point, row in zip(POINTS, found, strict=True):
        expected = exact.objectives["data"].metrics(*work.subspace.at(point))
        assert row == pytest.approx({f"data_{key}": value for key, value in expected.items()}, rel=1e-6), point
    assert isnan(work.rows([(1e30, 1e30)], plan)[0]["data_loss"])
    calls.clear()
    for others in (
        {"lowered": False},
        {"channels_last": False},
        {"name": "stacked"},
        {"name": "dense"},
        {"onednn": False},
    ):
        assert replace(work).rows(POINTS[:2], replace(plan, **others))
    assert exact.rows(POINTS[:2], plan)
    assert not calls


class ByName(nn.Module):
    """Layers and functions that are called with input=, a linear layer that is widened among them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.drop = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Dropout()
        self.along, self.point, self.all = nn.Linear(6, 2), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, (6, 2))
        self.norm, self.pool, self.out = nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.along(input=self.drop(input=self.relu(input=self.norm(input=self.first(input=x)))))
        x = self.all(input=torch.relu(input=self.point(input=x)))
        return self.out(input=self.pool(input=x).flatten(1))


def with_options_of_one_number() -> nn.Module:
    """Convolutions whose options were set after they were made, as one number, of which torch takes them too."""
    strided, padded = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 5, 3)
    strided.stride, strided.dilation, padded.padding = 4, 1, 1  # type: ignore[assignment]
    last = nn.Conv2d(5, 5, 3, padding=(1,))
    return nn.Sequential(strided, nn.ReLU(), padded, nn.ReLU(), last, nn.Flatten(), nn.Linear(20, 5))


class Doubled(nn.Module):
    """Layers that were given a forward of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.point, self.out = nn.Linear(8, 8), nn.Conv2d(3, 8, 1), nn.Linear(8, 5)
        for layer in (self.first, self.point, self.out):
            layer.forward = partial(twice, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.point(self.first(x))).mean((2, 3)))


def twice(layer: nn.Module, inputs: Tensor) -> Tensor:
    return 2 * type(layer).forward(layer, inputs)


class Frozen(nn.Module):
    """Layers whose weights or biases are buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.point, self.all = nn.Conv2d(3, 6, 4, 4), nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 3, padding=1)
        self.biased, self.out = nn.Conv2d(6, 6, 1), nn.Linear(6, 5)
        for layer, key in ((self.first, "weight"), (self.point, "weight"), (self.all, "weight"), (self.biased, "bias")):
            value = layer.get_parameter(key).detach()
            delattr(layer, key)
            layer.register_buffer(key, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.biased(self.all(torch.relu(self.point(self.first(x))))).mean((2, 3)))


AS_PEOPLE_WRITE = {"by name": ByName, "one number": with_options_of_one_number, "doubled": Doubled, "frozen": Frozen}


@pytest.mark.cpu
@pytest.mark.parametrize("net", AS_PEOPLE_WRITE)
def test_layers_as_people_write_them_have_the_values_of_float64(net: str) -> None:
    case = ModelCase(AS_PEOPLE_WRITE[net], (3, 8, 8), 5)
    objective, exact = (objective_of(case, precision, Plan(4, channels_last=True)) for precision in ("fp32", "fp64"))
    plane = plane_of(objective)
    moved = replace(plane, buffers={name: 1.5 * value for name, value in plane.buffers.items()})
    against = reasons_against(objective, plane)
    assert "folded" not in against
    for names, subspace in ((POINTS[:2], plane), (POINTS[1:2], moved)):
        for name, onednn_too, lowered in product(NAMES[1:3], (False, True), (False, True)):
            if name in against:
                continue
            plan = Plan(4, True, name, 2, onednn=onednn_too, packed=True, lowered=lowered)
            found = Work({"data": objective}, subspace).rows(names, plan)
            for point, row in zip(names, found, strict=True):
                expected = exact.metrics(*subspace.at(point))["loss"]
                assert row["data_loss"] == pytest.approx(expected, rel=1e-5), (plan, point)


PACKED = {(8, 3, 3, 3), (8, 1, 3, 3), (16, 4, 3, 3), (16, 16, 3, 1)}
"""Shapes of the weights that are: not of those that are read twice or belong to what pads in other ways."""


def convolving(precision: Precision) -> Objective:
    case = ModelCase(Convolutions, (3, 9, 9), 5)
    return Objective(case.model(), "cross_entropy", case.inputs(30), case.targets(30), precision=precision)


def packed_work() -> tuple[Work, Plan]:
    """In chunks of eight samples, the last one of six."""
    objective = convolving("fp32")
    return Work({"data": objective}, plane_of(objective)), Plan(8, True, "folded", packed=True)


@needs_packing
@pytest.mark.cpu
def test_packed_weights_have_the_values_of_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    (work, plan), packed, made = packed_work(), list[tuple[int, ...]](), onednn.Convolution.packed

    def noted(layer: onednn.Convolution, weight: Tensor, inputs: tuple[int, ...]) -> Tensor:
        packed.append(tuple(weight.shape))
        return made(layer, weight, inputs)

    monkeypatch.setattr(onednn.Convolution, "packed", noted)
    found, exact = work.rows(POINTS, plan), convolving("fp64")
    assert set(packed) == PACKED
    assert len(packed) == len(POINTS) * len(PACKED)  # once a point, not once a chunk
    for point, row in zip(POINTS, found, strict=True):
        expected = exact.metrics(*work.subspace.at(point))
        assert row == pytest.approx({f"data_{key}": value for key, value in expected.items()}, rel=1e-6), point
    assert isnan(work.rows([(1e30, 1e30)], plan)[0]["data_loss"])  # of which oneDNN's own ReLU would make 0
    packed.clear()
    for others in (
        replace(plan, packed=False),
        replace(plan, channels_last=False),
        replace(plan, name="stacked"),
        replace(plan, name="dense"),
    ):
        assert replace(work).rows(POINTS[:2], others)
    assert replace(Work({"data": exact}, work.subspace)).rows(POINTS[:2], plan)
    assert not packed


def pooled_works() -> dict[str, tuple[Work, Plan]]:
    """Works that threads share in different ways: points, chunks, with products made anew, masks, folded, oneDNN."""
    mlp, norm = objective_of(MODEL_CASES["mlp_dropout"]), objective_of(MODEL_CASES["cnn_max_batch_norm_dropout"])
    kept = mlp.under(dropout=Dropout(0, torch.arange(SAMPLES)), sample=None)
    branches = objective_of(MODEL_CASES["branches"])
    whole = Work({"data": mlp, "other": mlp.part(slice(5))}, plane_of(mlp))
    return {
        "products": (whole, Plan(2, False, "factored", 5)),
        "products made anew": (replace(whole, keep=False), Plan(2, False, "factored", 5)),
        "masks": (Work({"data": kept}, plane_of(mlp)), Plan(2, False, "folded", 5)),
        "folded layers": (Work({"data": norm}, plane_of(norm)), Plan(2, False, "folded", 5)),
        "branches": (Work({"data": branches}, plane_of(branches)), Plan(2, False, "folded", 5)),
        **{f"{name} by oneDNN": wide_work(name) for name in WIDE},
        "packed weights": packed_work(),
        "products of matrices": lowered_work(),
    }


@pytest.mark.parametrize("case", pooled_works())
def test_threads_that_share_the_work_give_the_same_bits(case: str, threads: Callable[[int], None]) -> None:
    work, plan = pooled_works()[case]
    blocks = (POINTS, POINTS[:1], POINTS[1:3])  # shares of points, and shares of chunks
    one = [row for block in blocks for row in work.rows(block, plan)]
    for number in (1, 2, 3):
        threads(number)
        there, counted = replace(work), list[int]()
        found = [row for block in blocks for row in there.rows(block, replace(plan, pool=True), counted.append)]
        assert found == one, number
        assert sum(counted) == 8 * work.cost(())
        assert torch.get_num_threads() == number
        assert there.rows(POINTS[3:], replace(plan, pool=True)) == one[3:5]


class Watched(nn.Module):
    """Passes its inputs on and notes how many threads torch has."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def __deepcopy__(self, memo: object) -> "Watched":
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.append(torch.get_num_threads())
        return inputs


@pytest.mark.parametrize("name", ["dense", "stacked"])
def test_small_nets_get_one_thread_of_torch_under_every_plan(name: PlanName, threads: Callable[[int], None]) -> None:
    inputs = torch.randn(SAMPLES, 6, generator=torch.Generator().manual_seed(0))
    watched = Watched()
    own = Objective(nn.Sequential(watched, nn.Linear(6, 3)), "cross_entropy", inputs, torch.arange(SAMPLES) % 3)
    work, plan = Work({"data": own}, plane_of(own)), Plan(4, channels_last=False, name=name, points=5)
    one = work.rows(POINTS, plan)
    threads(3)
    watched.seen.clear()
    assert replace(work).rows(POINTS, plan) == one
    assert set(watched.seen[-1:]) == {1}
    assert torch.get_num_threads() == 3
    wide = Objective(nn.Linear(4_000, 3_000), "cross_entropy", torch.zeros(SAMPLES, 4_000), own.targets)
    assert not is_small(wide, replace(plan, chunk=SAMPLES))
    assert is_small(wide, replace(plan, chunk=1, points=1))


def test_threads_of_a_pool_begin_at_once(threads: Callable[[int], None]) -> None:
    threads(3)
    with pooled(wanted=True) as pool:
        assert pool.run([torch.get_num_threads] * 2) == [1, 1]
        assert sum(thread.name.startswith("lossscape_") for thread in threading.enumerate()) >= 3
    assert torch.get_num_threads() == 3  # and no thread is left to set its own number later, which is that of all


def test_threads_leave_torchs_arithmetic_as_it_was(threads: Callable[[int], None]) -> None:
    threads(3)
    work, plan = pooled_works()["products"]
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        for _ in range(20):  # each makes the products anew
            replace(work).rows(POINTS, replace(plan, chunk=1, pool=True))
            assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("small", [True, False])
def test_torch_has_its_own_threads_for_statistics_that_are_not_small(
    threads: Callable[[int], None], small: bool
) -> None:
    objective = objective_of(MODEL_CASES["cnn_max_batch_norm_dropout"])
    seen = []

    class Statistics(RecomputedStatistics):
        @property
        def small(self) -> bool:  # type: ignore[override]
            assert super().small, "a batch of eleven pictures"
            return small

        def __call__(self, parameters: Params, buffers: Params, done: Callable[[int], None] | None = None) -> Params:
            seen.append(torch.get_num_threads())
            return super().__call__(parameters, buffers, done)

    work = Work({"data": objective}, plane_of(objective), Statistics(objective.model, objective.inputs))
    plan = Plan(2, channels_last=False, name="folded", points=5)
    one = work.rows(POINTS, plan)
    threads(2)
    found = replace(work).rows(POINTS, replace(plan, pool=True))
    assert seen == [1] * 5 + [1 if small else 2] * 5
    assert found == one or not small
    for there, here in zip(found, one, strict=True):
        assert there == pytest.approx(here, rel=1e-5)


def test_what_threads_raise_is_raised_where_they_are_called(threads: Callable[[int], None]) -> None:
    where: set[str] = set()

    def metric(outputs: Tensor, targets: Tensor) -> Tensor:
        where.add(threading.current_thread().name)
        if broken:
            raise ValueError("no such thing")
        return targets.float()

    case, broken = MODEL_CASES["mlp"], False
    inputs, targets = case.inputs(SAMPLES), case.targets(SAMPLES)
    objective = Objective(case.model(), "cross_entropy", inputs, targets, metrics={"own": metric})
    work, plan = Work({"data": objective}, plane_of(objective)), Plan(2, False, "factored", points=5, pool=True)
    threads(3)
    found = work.rows(POINTS, plan)
    assert any(name.startswith("lossscape") for name in where)
    broken = True
    with pytest.raises(BadInput, match="metric own failed: ValueError: no such thing"):
        work.rows(POINTS, plan)
    broken = False

    def interrupted(samples: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.rows(POINTS, plan, interrupted)
    assert torch.get_num_threads() == 3
    assert work.rows(POINTS, plan) == found


def test_statistics_that_move_are_folded_at_every_point() -> None:
    objective = objective_of(MODEL_CASES["cnn_max_batch_norm_dropout"], "fp64")
    plane = plane_of(objective)
    moved = {name: 1 + value for name, value in plane.buffers.items() if value.is_floating_point()}
    still = {name: torch.zeros_like(value) for name, value in moved.items()}
    plane = replace(plane, buffer_directions=[moved, still])
    for name in ("folded", "factored"):
        plan = Plan(4, channels_last=True, name=name)
        for point, values in evaluate({"data": objective}, plane, POINTS, plan=plan):
            expected = objective.metrics(*plane.at(point))["loss"]
            assert values["data_loss"] == pytest.approx(expected, rel=1e-10)


def test_the_model_and_the_inputs_stay_as_they_are() -> None:
    for name in ("mlp", "branches", "cnn_max_batch_norm_dropout"):
        objective = objective_of(MODEL_CASES[name])
        inputs = objective.inputs.clone()
        before = {key: value.clone() for key, value in objective.model.state_dict().items()}
        work = Work({"data": objective}, plane_of(objective))
        for plan in set(NAMES) - set(reasons_against(objective, work.subspace)):
            work.rows(POINTS[:2], Plan(4, channels_last=False, name=plan, points=2))
            assert torch.equal(objective.inputs, inputs)
            for key, value in objective.model.state_dict().items():
                assert torch.equal(value, before[key]), (plan, key)


def test_bf16_of_every_plan_is_near_fp32() -> None:
    case = MODEL_CASES["mlp"]
    exact = objective_of(case)
    half = Objective(exact.model, "cross_entropy", exact.inputs, exact.targets, precision="bf16")
    plane = plane_of(exact)
    expected = exact.metrics(*plane.at(POINTS[1]))["loss"]
    for plan in NAMES:
        (found,) = Work({"data": half}, plane).rows([POINTS[1]], Plan(4, channels_last=False, name=plan))
        assert found["data_loss"] == pytest.approx(expected, rel=2e-2)
        assert found["data_loss"] != expected


def test_work_can_be_sent_to_another_process() -> None:
    objective = objective_of(MODEL_CASES["mlp"])
    work, plan = Work({"data": objective}, plane_of(objective)), Plan(4, channels_last=False, name="factored")
    here = work.rows(POINTS, plan)
    assert pickle.loads(pickle.dumps(work)).rows(POINTS, plan) == here


def test_no_direction_at_all_is_the_origin() -> None:
    objective = objective_of(MODEL_CASES["mlp"])
    origin = Subspace(objective.parameters(), [], objective.buffers())
    for name in NAMES:
        (found,) = Work({"data": objective}, origin).rows([()], Plan(4, channels_last=False, name=name))
        assert found["data_loss"] == pytest.approx(objective.metrics()["loss"], rel=1e-5)


class Sequences(nn.Module):
    """A linear layer over sequences and a BatchNorm over their positions, which is no scale of its features."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm, self.out = nn.Linear(4, 5), nn.BatchNorm1d(3), nn.Linear(15, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.norm(self.inner(x.reshape(-1, 3, 4)))).flatten(1))


class Looks(nn.Module):
    """A forward that depends on the numbers, which no trace can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) if x.sum() > 0 else -self.inner(x)


class Recurrent(nn.Module):
    """A layer that keeps its weights in a second list."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.inner(x.reshape(-1, 3, 4))[0][:, -1])


class Reused(nn.Module):
    """What an activation is given is needed again, so nothing may be written over."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(12, 12), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(x)
        return self.out(torch.relu(h) + torch.tanh(h) + x)


@pytest.mark.parametrize("kind", [Sequences, Looks, Recurrent, Reused])
def test_nets_that_are_not_what_they_seem(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    objective = Objective(kind(), "cross_entropy", torch.randn(9, 12), torch.arange(9) % 2, precision="fp64")
    work = Work({"data": objective}, plane_of(objective))
    against = reasons_against(objective, work.subspace)
    assert ("folded" in against) == (kind in (Looks, Recurrent))
    for plan in set(NAMES) - set(against) - ({"stacked"} if kind in (Looks, Recurrent) else set()):
        for point, found in zip(POINTS, work.rows(POINTS, Plan(4, False, plan, points=5)), strict=True):
            expected = objective.metrics(*work.subspace.at(point))["loss"]
            assert found["data_loss"] == pytest.approx(expected, rel=1e-10), plan


@pytest.mark.parametrize("plan", ["folded", "factored"])
def test_a_plan_that_does_not_fit_is_refused(plan: PlanName) -> None:
    objective = Objective(Looks(), "cross_entropy", torch.randn(9, 12), torch.arange(9) % 2)
    work = Work({"data": objective}, plane_of(objective))
    with pytest.raises(BadInput, match=f"--plan {plan}: the net's forward cannot be traced"):
        work.rows(POINTS, Plan(4, channels_last=False, name=plan))


def test_a_layer_that_is_used_elsewhere_is_not_factored() -> None:
    layer = nn.Linear(4, 4)
    assert first_layer(nn.Sequential(layer, nn.ReLU(), layer)) is None
    assert first_layer(nn.Sequential(nn.Linear(4, 4), nn.ReLU())) is not None
    assert first_layer(nn.Sequential(nn.Flatten(1, 2), nn.Linear(3, 4))) is None


@pytest.mark.parametrize("far", [1.0, 3.0])
@pytest.mark.parametrize(("plan", "keep"), [("factored", True), ("factored", False), ("stacked", True)])
def test_small_differences_of_large_numbers_are_not_made_of_products(plan: PlanName, keep: bool, far: float) -> None:
    objective = objective_of(MODEL_CASES["mlp"])
    near = dict(objective.parameters())
    large = {name: 3e4 * value for name, value in near.items()}
    back = {name: value / far for name, value in between(large, near).items()}  # reaches the net after `far` steps
    work = Work({"data": objective}, Subspace(large, [back]), keep=keep)
    points = [(0.0,), (far,), (far / 2,)]
    found = work.rows(points, Plan(4, channels_last=False, name=plan, points=3))
    for point, values in zip(points, found, strict=True):
        assert values["data_loss"] == pytest.approx(objective.metrics(*work.subspace.at(point))["loss"], rel=1e-6)


def test_products_that_do_not_fit_are_not_kept() -> None:
    objective = objective_of(MODEL_CASES["mlp"])
    work = Work({"data": objective}, plane_of(objective))
    needed = 4 * SAMPLES * 3 * 10  # bytes, samples, origin and two directions, outputs of the first layer
    first = first_layer(objective.model)
    assert first is not None
    assert products.products_bytes(objective, work.subspace, first) == needed
    assert work.keeps_products()
    assert replace(work, room=needed).keeps_products()
    assert not replace(work, room=needed - 1).keeps_products()


def test_batch_norm_is_folded_and_activations_write_over_what_they_read() -> None:
    net = rewritten(objective_of(MODEL_CASES["resnet18"]))
    assert net is not None
    kinds = {type(module) for module in net.module.modules()}
    assert nn.BatchNorm2d not in kinds
    assert nn.ReLU not in kinds
    assert len(net.folds) == 20
