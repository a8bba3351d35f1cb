"""Directions: normal numbers, orthogonal, scaled as their names say; a test against each way others got it wrong."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from cases_models import MODEL_CASES, ModelCase
from scipy import stats

from lossscape.directions import Asked, choose, sentence
from lossscape.errors import BadInput
from lossscape.runs import Run, point, split_state
from lossscape.vectors import Params, combine, cosine, dot, norm
from lossscape.vectors.between import between
from lossscape.vectors.orthonormal import orthonormal
from lossscape.vectors.pca import Memory, loadings, principal_components
from lossscape.vectors.project import inner_products, project
from lossscape.vectors.random import NORMALIZATIONS, kinds_of_parameters, random_directions

CASES = {name: case for name, case in MODEL_CASES.items() if "resnet" not in name}  # millions of numbers add nothing
case_table = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def rows(value: torch.Tensor) -> torch.Tensor:
    return value.flatten(1) if value.ndim > 1 else value.reshape(1, -1)


def test_numbers_are_normal_and_not_uniform() -> None:
    drawn = random_directions({"w": torch.zeros(200, 300)}, 1, normalize="none")[0]["w"].double().flatten()
    assert stats.kstest(drawn.numpy(), "norm").pvalue > 0.01


@case_table
@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_two_directions_are_orthogonal(case: ModelCase, normalize: str) -> None:
    origin = split_state(case.model())[0]
    first, second = random_directions(origin, 2, normalize=normalize)
    singles = sum(value.numel() for value in origin.values() if rows(value).numel() == 1)
    assert abs(cosine(first, second)) < (1e-6 if not singles else 0.3)
    for name, value in first.items():
        a, b = rows(value.double()), rows(second[name].double())
        if a.shape[1] > 1:
            torch.testing.assert_close(
                (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)), torch.zeros(len(a)).double(), atol=1e-5, rtol=0
            )


@case_table
def test_filter_normalisation_gives_each_filter_its_norm(case: ModelCase) -> None:
    origin = split_state(case.model())[0]
    for direction in random_directions(origin, 2, normalize="filter"):
        for name, value in direction.items():
            torch.testing.assert_close(rows(value).norm(dim=1), rows(origin[name]).norm(dim=1), rtol=1e-4, atol=1e-7)


@case_table
def test_other_normalisations(case: ModelCase) -> None:
    origin = split_state(case.model())[0]
    layer = random_directions(origin, 1, normalize="layer")[0]
    for name, value in layer.items():
        assert float(value.norm()) == pytest.approx(float(origin[name].norm()), rel=1e-4)
    assert norm(random_directions(origin, 1, normalize="global")[0]) == pytest.approx(norm(origin), rel=1e-6)
    assert norm(random_directions(origin, 1, normalize="unit")[0]) == pytest.approx(1, rel=1e-6)
    free = norm(random_directions(origin, 1, normalize="none")[0])
    size = sum(value.numel() for value in origin.values())
    assert free == pytest.approx(math.sqrt(size), rel=5 / math.sqrt(size))


@case_table
def test_kinds_of_parameters(case: ModelCase) -> None:
    model = case.model()
    kinds = kinds_of_parameters(model)
    assert set(kinds) == {name for name, _ in model.named_parameters()}
    for name, value in model.named_parameters():
        assert kinds[name] == "weight" if value.ndim > 1 else kinds[name] in ("bias", "norm")
    norms = {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if "Norm" in type(module).__name__
        for name, _ in module.named_parameters(recurse=False)
    }
    assert {name for name, kind in kinds.items() if kind == "norm"} == norms


@case_table
def test_ignored_parameters_and_buffers_stay_put(case: ModelCase) -> None:
    model = case.model()
    origin = split_state(model)[0]
    ignored = [name for name, kind in kinds_of_parameters(model).items() if kind in ("bias", "norm")]
    for direction in random_directions(origin, 2, ignored=ignored):
        assert set(direction) == set(origin)  # no running_mean or running_var
        for name, value in direction.items():
            assert bool((value == 0).all()) == (name in ignored)
            assert torch.isfinite(value).all()


def test_seeds_and_indices_give_their_own_streams() -> None:
    origin = {"w": torch.ones(20, 30)}
    a = random_directions(origin, 2, seed=0)
    assert all(torch.equal(x["w"], y["w"]) for x, y in zip(a, random_directions(origin, 2, seed=0), strict=True))
    assert torch.equal(a[0]["w"], random_directions(origin, 1, seed=0)[0]["w"])
    others = [random_directions(origin, 1, seed=seed)[0] for seed in range(1, 6)]
    assert all(abs(cosine(a[0], other)) < 0.2 for other in [a[1], *others])


def test_biases_are_not_copied_into_both_directions() -> None:
    first, second = random_directions({"bias": torch.randn(50)}, 2, normalize="filter")
    assert abs(cosine(first, second)) < 1e-6


def test_zero_filters_stay_finite() -> None:
    origin = {"w": torch.zeros(3, 4), "b": torch.zeros(3)}
    for normalize in ("filter", "layer", "global"):
        for direction in random_directions(origin, 2, normalize=normalize):
            assert norm(direction) == 0


def test_between_reaches_both_ends_to_the_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    a = {"w": torch.randn(100, 100, generator=generator)}
    b = {"w": torch.randn(100, 100, generator=generator) * 1e-3}
    d = between(a, b)
    assert torch.equal(combine(a, [d], [0.0])["w"], a["w"])
    assert torch.equal(combine(a, [d], [1.0])["w"].float(), b["w"])


def cloud(points: int) -> tuple[Params, list[Params]]:
    """An origin and points around it that spread less and less from one parameter to the next."""
    generator = torch.Generator().manual_seed(0)
    origin = {
        "a": torch.randn(3, 4, generator=generator),
        "b": torch.randn(1, generator=generator),
        "c": torch.randn(7, generator=generator),
    }
    spread = {"a": 1.0, "b": 0.3, "c": 0.1}
    return origin, [
        {n: v + spread[n] * torch.randn(v.shape, generator=generator) for n, v in origin.items()} for _ in range(points)
    ]


@pytest.mark.parametrize("slab", [4 * 9, 4 * 9 * 5, 2**29], ids=["one number", "five numbers", "all"])
def test_principal_components_are_those_of_an_svd(slab: int) -> None:
    memory = Memory(slab, columns=8 * 9 * 2, products=8 * 9 * 4)
    origin, points = cloud(9)
    loaded: list[int] = []
    loaders = [lambda p=p: p for p in points]  # type: ignore[misc]
    found = principal_components(origin, loaders, 3, loaded.append, memory)
    assert len(loaded) == loadings(origin, 9, memory)
    deltas = torch.stack([torch.cat([v.flatten() for v in between(origin, p).values()]) for p in points])
    _, s, rows = torch.linalg.svd(deltas, full_matrices=False)
    assert found.shares == pytest.approx((s**2 / (s**2).sum())[:3].tolist(), rel=1e-12)
    for i, direction in enumerate(found.directions):
        flat = torch.cat([v.flatten() for v in direction.values()])
        assert abs(float(flat @ rows[i])) == pytest.approx(1, abs=1e-13)
        assert found.coordinates[:, i] == pytest.approx((deltas @ flat).numpy(), abs=1e-12)
        assert found.coordinates[abs(found.coordinates[:, i]).argmax(), i] > 0


def test_components_of_many_points_are_those_of_an_svd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose other components are not computed: all of them would take minutes."""
    origin, points = cloud(2001)
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: pytest.fail("all eigenvalues were asked for"))
    found = principal_components(origin, [lambda p=p: p for p in points], 2)  # type: ignore[misc]
    deltas = torch.stack([torch.cat([(p[n].double() - origin[n].double()).flatten() for n in origin]) for p in points])
    _, s, rows = torch.linalg.svd(deltas, full_matrices=False)
    assert found.shares == pytest.approx((s**2 / (s**2).sum())[:2].tolist(), rel=1e-12)
    for i, direction in enumerate(found.directions):
        flat = torch.cat([v.flatten() for v in direction.values()])
        assert abs(float(flat @ rows[i])) == pytest.approx(1, abs=1e-9)


def test_components_that_are_not_there() -> None:
    origin, (point,) = cloud(1)
    with pytest.raises(ValueError, match="1"):
        principal_components(origin, [lambda: point, lambda: origin], 2)
    with pytest.raises(ValueError, match="0"):
        principal_components(origin, [lambda: origin], 1)


def test_a_basis_without_skew() -> None:
    _, vectors = cloud(3)
    vectors[1] = {n: vectors[0][n] + 1e-4 * v for n, v in vectors[1].items()}  # all but parallel
    assert inner_products(orthonormal(vectors)) == pytest.approx(np.eye(3), abs=1e-14)
    with pytest.raises(ValueError, match="1"):
        orthonormal([vectors[0], {n: -2 * v for n, v in vectors[0].items()}])


def test_projections_are_least_squares() -> None:
    """Divided by ‖d‖², with the directions' inner products where they are not orthogonal."""
    origin, (first, second, point) = cloud(3)
    directions = [between(origin, first), between(origin, second)]
    inside = combine(origin, directions, [0.3, -2.0])
    place, off = project(origin, directions, inner_products(directions), inside)
    assert place.tolist() == pytest.approx([0.3, -2.0], rel=1e-13)
    assert off < 1e-13
    matrix = torch.stack([torch.cat([v.flatten() for v in d.values()]) for d in directions], dim=1)
    target = torch.cat([v.flatten() for v in between(origin, point).values()])
    found = torch.linalg.lstsq(matrix, target).solution
    place, off = project(origin, directions, inner_products(directions), point)
    assert place == pytest.approx(found.numpy(), rel=1e-10)
    assert off == pytest.approx(float((target - matrix @ found).norm()), rel=1e-12)


def test_vectors_against_explicit_sums() -> None:
    a: Params = {"x": torch.tensor([1.0, 2.0]), "y": torch.tensor([[3.0]])}
    b: Params = {"x": torch.tensor([4.0, -1.0]), "y": torch.tensor([[0.5]])}
    assert dot(a, b) == 1 * 4 - 2 * 1 + 3 * 0.5
    assert norm(a) == math.sqrt(14)
    assert cosine(a, b) == pytest.approx(3.5 / (math.sqrt(14) * math.sqrt(17.25)))
    assert combine(a, [b, a], [2.0, -1.0])["x"].tolist() == [8.0, -2.0]


def test_points_may_be_given_by_their_names(own_run: Run) -> None:
    centre, name = point(str(own_run.path)), str(own_run.path)
    for asked, words in (
        (Asked(through=(f"{name}@0", f"{name}@1")), ["through", "epoch-0000", "epoch-0001"]),
        (Asked(towards=f"{name}@0", seed=3), ["towards", "epoch-0000", "seed3"]),
        (Asked("pca", of=f"{name}@1"), ["pca", "directions-of-epoch-0001"]),
        (Asked(of=f"{name}@last"), []),
        (Asked(normalize="layer", ignore=(), seed=1), ["layer", "ignore-none", "seed1"]),
    ):
        assert choose(centre, 2, asked).words(centre) == words


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"name": "principal"}, "--directions 'principal' is not known"),
        ({"name": "towards"}, "--directions 'towards' is not known"),
        ({"name": "pca", "towards": "b"}, "choose one"),
        ({"through": ("b", "c"), "of": "b"}, "--directions-of"),
        ({"normalize": "filters"}, "did you mean 'filter'"),
        ({"ignore": ("biases",)}, "--ignore 'biases' is not known"),
    ],
)
def test_what_is_no_direction_is_refused(asked: dict[str, Any], told: str, own_run: Run) -> None:
    with pytest.raises(BadInput, match=re.escape(told)):
        choose(point(str(own_run.path)), 2, Asked(**asked))


def test_a_kind_that_is_not_there_is_told() -> None:
    with pytest.raises(BadInput, match=r"directions\.kind 'gone' is not known"):
        sentence({"directions": {"kind": "gone"}}, 2)
