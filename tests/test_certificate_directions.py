"""Directions are what they are called: each way to make, keep or follow them wrongly fails its own check."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from cases_models import MODEL_CASES
from computing import landscape
from torch import Tensor

from lossscape import spectra
from lossscape.certificate.chosen import few_of, off_axes
from lossscape.directions.pca import PrincipalComponents
from lossscape.directions.random import NORMALIZATIONS, Random
from lossscape.errors import RunFailed
from lossscape.evaluate import Subspace
from lossscape.objective import Objective
from lossscape.runs import Run, point
from lossscape.spectra import Eigenpairs
from lossscape.vectors import Params, scale
from lossscape.vectors import random as vectors_random
from lossscape.vectors.orthonormal import orthonormal
from lossscape.vectors.random import kinds_of_parameters, random_directions

Change = Callable[[list[Params]], list[Params]]
DRAWN, LONG = "numbers of {} that differ from those drawn again", "‖d‖ along {} (filter normalisation)"
WHOLE = "cosine between the directions"
ORTHOGONAL, FILE = f"{WHOLE}, filter by filter", "the direction {} in directions.pt, distance"


def of_each(change: Callable[[Tensor], Tensor]) -> Change:
    return lambda made: [{name: change(value) for name, value in each.items()} for each in made]


def turned(made: list[Params]) -> list[Params]:
    """One filter of y leans towards that of x, and keeps its length."""
    x, y = made
    name, (a, b) = next((name, (x[name], y[name])) for name in x if x[name].ndim > 1)
    leaning = b.clone()
    leaning[2] = 0.8 * b[2] + 0.6 * a[2]
    return [x, y | {name: leaning}]


def one_off(made: list[Params]) -> list[Params]:
    """One filter of x is longer than it should be."""
    x, y = made
    name = list(x)[2]
    longer = x[name].clone()
    longer[4] *= 1.001
    return [x | {name: longer}, y]


MADE: dict[str, tuple[Change, set[str]]] = {
    "y flipped": (lambda made: [made[0], scale(made[1], -1)], {DRAWN.format("y")}),
    "swapped": (lambda made: made[::-1], {DRAWN.format("x"), DRAWN.format("y")}),
    "scaled": (lambda made: [scale(made[0], 1 + 1e-3), made[1]], {LONG.format("x"), DRAWN.format("x")}),
    "one filter scaled": (one_off, {LONG.format("x"), DRAWN.format("x")}),
    "filters permuted": (
        of_each(lambda value: value.roll(1, 0)),
        {LONG.format("x"), LONG.format("y"), DRAWN.format("x"), DRAWN.format("y")},
    ),
    "not orthogonal": (turned, {WHOLE, ORTHOGONAL, DRAWN.format("y")}),
    "the same stream twice": (lambda made: [made[0], made[0]], {WHOLE, ORTHOGONAL, DRAWN.format("y")}),
}


def failing(run: Run, **options: Any) -> dict[str, str]:
    """The checks of a plane that fail, each with what it names; the command must say the first."""
    with pytest.raises(RunFailed) as error:
        landscape(point(str(run.path)), **{"grid": (5, 5), "plan": "dense"} | options)
    (path,) = run.path.glob("landscape/*/certificate.json")
    content = json.loads(path.read_text())
    found = {check["name"]: check.get("at", "") for check in content["checks"] if check["passed"] is False}
    first = next(iter(found))
    assert f"the certificate fails: {first}" in str(error.value)
    assert found[first] in str(error.value)
    return found


def made_otherwise(monkeypatch: pytest.MonkeyPatch, change: Change, **given: Any) -> None:
    right = vectors_random.random_directions
    monkeypatch.setattr(
        vectors_random, "random_directions", lambda *args, **options: change(right(*args, **options | given))
    )


@pytest.mark.parametrize("name", MADE)
def test_random_directions_that_are_made_wrongly(name: str, own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    change, expected = MADE[name]
    made_otherwise(monkeypatch, change)
    assert set(failing(own_run)) == expected


def test_which_filter_it_is_is_named(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made_otherwise(monkeypatch, one_off)
    found = failing(own_run)
    assert found[LONG.format("x")] == "output.weight[4]"
    assert found[DRAWN.format("x")] == "output.weight"


def test_a_filter_that_leans_is_named(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made_otherwise(monkeypatch, turned)
    assert failing(own_run)[ORTHOGONAL] == "linear1.weight[2]"


def test_layers_in_place_of_filters(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made_otherwise(monkeypatch, lambda made: made, normalize="layer")
    found = failing(own_run)
    assert found[LONG.format("x")].startswith("linear")
    assert set(found) == {each.format(axis) for each in (LONG, DRAWN) for axis in "xy"}


def test_biases_that_should_stay_put(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made_otherwise(monkeypatch, lambda made: made, ignored=())
    found = failing(own_run)
    assert found[LONG.format("x")].endswith(".bias")
    assert found[DRAWN.format("y")].endswith(".bias")


def test_uniform_numbers_in_place_of_normal_ones(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randn", torch.rand)
    assert set(failing(own_run)) == {DRAWN.format("x"), DRAWN.format("y")}


def test_a_file_that_holds_others_than_were_used(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from lossscape.analyses.landscape import compute

    right = compute.save_tensors
    monkeypatch.setattr(compute, "save_tensors", lambda path, made: right(path, made | {"y": scale(made["y"], -1)}))
    found = set(failing(own_run))
    assert {FILE.format("y"), DRAWN.format("y")} < found
    assert sum("θ(c)" in name for name in found) == 2


FOLLOWED: dict[str, Callable[[Sequence[float]], tuple[float, ...]]] = {
    "y flipped": lambda place: (place[0], -place[1]),
    "x and y swapped": lambda place: (place[1], place[0]),
    "y left out": lambda place: (place[0], 0.0),
    "twice as far": lambda place: (2 * place[0], 2 * place[1]),
    "a little too far": lambda place: (1.001 * place[0], 1.001 * place[1]),
}


@pytest.mark.parametrize("name", FOLLOWED)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_engine_that_goes_another_way(
    name: str, precision: str, own_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Subspace.at
    monkeypatch.setattr(Subspace, "at", lambda self, place: right(self, FOLLOWED[name](place)))
    found = failing(own_run, precision=precision)
    assert any(name.endswith("from the engine's, relative distance") for name in found)
    if precision == "fp32" and name != "a little too far":
        assert any(name.startswith("train loss at") and name.endswith("against θ(c)") for name in found)


def test_where_points_of_a_plane_lie(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from lossscape.vectors import through

    ends = [f"{own_run.path}@{epoch}" for epoch in (0, 1)]
    right = through.through
    monkeypatch.setattr(through, "through", lambda origin, points: right(origin, points[::-1]))
    found = failing(own_run, through=ends)
    for epoch in (0, 1):
        assert f"θ(c) at {own_run.name}@epoch-000{epoch} from it, relative distance" in found


@pytest.mark.parametrize(("change", "name"), [(-1.0, DRAWN.format("y")), (1.001, "‖d‖ along y (orthonormal)")])
def test_a_line_to_a_point_and_a_random_direction(
    change: float, name: str, own_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lossscape.vectors import through

    right = through.towards

    def wrong(*given: Any, **options: Any) -> Any:
        (x, y), spots = right(*given, **options)
        return [x, scale(y, change)], spots

    monkeypatch.setattr(through, "towards", wrong)
    found = failing(own_run, towards=f"{own_run.path}@1", seed=5)
    assert name in found
    assert not any("along x" in each for each in found)


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("case", ["mlp", "mlp_batch_norm_prelu", "cnn"])
@pytest.mark.parametrize("ignore", [[], ["bias", "norm"]])
def test_numbers_are_drawn_again_to_the_bit(normalize: str, case: str, ignore: list[str]) -> None:
    model = MODEL_CASES[case].model()
    origin = dict(model.named_parameters())
    origin = {name: value.detach() for name, value in origin.items()}
    still = {name for name, kind in kinds_of_parameters(model).items() if kind in ignore}
    for exact in (origin, {name: value.double() for name, value in origin.items()}):
        made = random_directions(exact, 2, seed=7, normalize=normalize, ignored=still)
        direction = Random({"seed": 7, "normalize": normalize, "ignore": ignore})
        for one, again in zip(made, direction.again(exact, made, model), strict=True):
            assert again is not None
            for name, value in one.items():
                assert torch.equal(value, again[name].to(value.dtype)), name


def test_what_has_no_length_or_number_of_its_own() -> None:
    case = MODEL_CASES["mlp"]
    objective = Objective(case.model(), "cross_entropy", case.inputs(2), case.targets(2))
    origin = objective.parameters()
    unscaled = Random({"seed": 0, "normalize": "none", "ignore": []})
    assert unscaled.lengths(origin, objective.model) == {}
    components = PrincipalComponents({"kind": "pca"})
    assert components.again(origin, [origin, origin], objective.model) == [None, None]
    assert components.lengths(origin, objective.model)[""].tolist() == [1.0]


def test_points_that_are_compared_show_which_way_both_axes_go() -> None:
    grid = [(float(x), float(y)) for x in (1, 0, -1) for y in (1, 0, -1)]
    values = {place: {"train_loss": 1.0} for place in [*grid, (0.5, -1.0)]}
    assert off_axes(grid, values) == (1.0, -1.0)
    assert few_of(grid, 3, values) == grid[:3]
    assert few_of(grid, 2, values) == [*grid[:2], (1.0, -1.0)]
    drawn = [*grid, (0.5, -1.0)]
    assert few_of(drawn, 3, values) == [*grid[:3], (0.5, -1.0)]
    assert off_axes(drawn, values) == (0.5, -1.0)
    assert off_axes(drawn, values | {(0.5, -1.0): {"train_loss": float("nan")}}) == (1.0, -1.0)
    assert off_axes([(0.0,), (2.0,)], {}) == (2.0,)
    assert few_of([], 3, {}) == []


def test_a_plane_that_is_made_elsewhere(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = landscape(point(str(own_run.path)), grid=(3, 3), directions_of=f"{own_run.path}@1")
    content = json.loads((folder / "certificate.json").read_text())
    assert content["passed"]
    made_otherwise(monkeypatch, one_off)
    found = failing(own_run, grid=(3, 3), directions_of=f"{own_run.path}@1", overwrite=True)
    assert set(found) == {LONG.format("x"), DRAWN.format("x")}


@pytest.mark.parametrize("change", [lambda made: made[::-1], lambda made: [scale(made[0], -1), turned_half(*made)]])
def test_principal_components_have_the_shares_that_they_claim(
    change: Change, own_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lossscape.vectors import pca

    right = pca.principal_components

    def wrong(*given: Any) -> Any:
        found = right(*given)
        return replace(found, directions=change(found.directions))

    monkeypatch.setattr(pca, "principal_components", wrong)
    found = failing(own_run, directions="pca")
    assert "part of Σ‖θₖ − θ‖² along component 2" in found


def turned_half(x: Params, y: Params) -> Params:
    """Half way from y to what is orthogonal to both."""
    (other,) = random_directions(x, 1, normalize="none")
    return orthonormal([x, {name: value + other[name] for name, value in y.items()}])[1]


def between_both(found: Eigenpairs) -> Eigenpairs:
    """Half way between two eigenvectors, with the curvature that there is."""
    a, b = found.vectors.T
    vectors = torch.stack([a + b, a - b], dim=1) / 2**0.5
    return replace(found, vectors=vectors, values=found.values.mean().expand(2))


def drawn_in_place(found: Eigenpairs) -> Eigenpairs:
    """Random vectors under the eigenvalues' names."""
    generator = torch.Generator().manual_seed(0)
    return replace(found, vectors=torch.linalg.qr(torch.randn(found.vectors.shape, generator=generator))[0])


OFF, CURVED, SECOND = (
    "‖Hd − λd‖ of the {} eigenvalue λ",
    "dᵀHd of the {} eigenvalue λ",
    "second difference (dᵀHd) along {}",
)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (between_both, [OFF]),
        (drawn_in_place, [OFF, CURVED, SECOND]),
        (lambda found: replace(found, vectors=found.vectors.flip(1)), [OFF, CURVED, SECOND]),
    ],
    ids=["between", "drawn", "swapped"],
)
def test_eigenvectors_that_are_none(
    change: Callable[[Eigenpairs], Eigenpairs], names: list[str], own_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = spectra.eigenpairs
    monkeypatch.setattr(spectra, "eigenpairs", lambda *given, **options: change(right(*given, **options)))
    found = failing(own_run, directions="hessian-ends", grid=(3, 3), samples=60)
    expected = {name.format(which) for name in names for which in ("xy" if name == SECOND else ("largest", "smallest"))}
    assert {name.partition(" at ")[0] for name in found} == expected
