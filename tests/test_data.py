"""Data sets and what is done to them: every set by one table, labels, statistics, your own function."""

import gzip
import os
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from cases_data import DATA_CASES, DataCase
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch import Tensor

from lossscape import data
from lossscape.config import RunConfig, read_config
from lossscape.data import DATASETS, FAMILY, Data, RawData, Split
from lossscape.data.augment import augment
from lossscape.data.digits import digits
from lossscape.data.folders import data_root
from lossscape.data.labels import noisy, proportional, stratified
from lossscape.data.options import Augment, DataOptions
from lossscape.data.prepare import prepare, statistics
from lossscape.data.synthetic import synthetic
from lossscape.data.toys import circles, regression_1d, spirals, two_moons, xor
from lossscape.errors import BadInput

steady = settings(derandomize=True, deadline=None, database=None, max_examples=60)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data and caches of a test lie in its own folder."""
    monkeypatch.setenv("LOSSSCAPE_DATA", str(tmp_path))
    monkeypatch.setenv("LOSSSCAPE_CACHE", str(tmp_path / "cache"))


def load(name: str, **options: Any) -> Data:
    return data.load(FAMILY.models[name].model_validate({"name": name, **options}))


def own(returned: Any, **options: Any) -> Data:
    """A user's function that returns something, under the shared options."""
    spec = DataOptions.model_validate({"name": "mine.py:f", **options})
    return prepare(lambda: returned, spec, torch.device("cpu"))


def four(train: int = 30, test: int = 12, classes: int = 3, shape: tuple[int, ...] = (4,)) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(train, *shape, generator=generator) * 3 + 1,
        torch.arange(train) % classes,
        torch.randn(test, *shape, generator=generator),
        torch.arange(test) % classes,
    )


# every data set


def test_every_data_set_has_a_case() -> None:
    assert {case.name for case in DATA_CASES} == set(DATASETS)


@pytest.mark.parametrize("case", DATA_CASES, ids=lambda case: case.name)
def test_what_comes_out(case: DataCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case.lay(tmp_path, monkeypatch)
    first, again = load(case.name, **case.options), load(case.name, **case.options)
    assert first.shape == case.shape
    assert len(first.classes) == len(set(first.classes)) == case.classes
    for split, size in ((first.train, case.train), (first.test, case.test)):
        assert split.inputs.shape == (size, *case.shape)
        assert split.inputs.dtype == torch.float32
        if case.classes:
            assert split.targets.shape == (size,)
            assert split.targets.dtype == torch.int64
            assert set(split.targets.tolist()) <= set(range(case.classes))
        else:
            assert split.targets.shape == (size, first.outputs)
            assert split.targets.dtype == torch.float32
    assert first.facts == again.facts
    assert all(torch.equal(a, b) for a, b in zip((*first.train, *first.test), (*again.train, *again.test), strict=True))
    assert first.facts["shape"] == list(case.shape)
    assert (first.facts["train_size"], first.facts["test_size"]) == (case.train, case.test)
    assert first.facts["note"] == case.options.get("note", "")


@pytest.mark.parametrize("case", DATA_CASES, ids=lambda case: case.name)
def test_sources_hold_every_file_of_a_data_set(case: DataCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case.lay(tmp_path, monkeypatch)
    found = data.sources(FAMILY.models[case.name].model_validate({"name": case.name, **case.options}))
    assert found is not None
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if not any(path.is_relative_to(each) for each in found)] == []
    assert bool(found) == bool(files)


def test_a_data_set_of_ones_own_may_be_read_from_anywhere() -> None:
    assert data.sources(DataOptions(name="a.b:c")) is None


@pytest.mark.parametrize("case", DATA_CASES, ids=lambda case: case.name)
def test_shared_options(case: DataCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case.lay(tmp_path, monkeypatch)
    noise = {"label_noise": 0.5} if case.classes else {}
    options = {"train_size": case.train // 2, "test_size": 3, **noise, "seed": 5}
    small = load(case.name, **options, **case.options)
    facts = small.facts
    assert (len(small.train), len(small.test)) == (case.train // 2, 3)
    if case.classes:
        assert facts["labels_redrawn"] == round(0.5 * (case.train // 2))
        assert 0 < facts["labels_changed"] <= facts["labels_redrawn"]
    else:
        with pytest.raises(BadInput, match="no class for each sample"):
            load(case.name, label_noise=0.5, **case.options)
    axes = [0, *range(2, small.train.inputs.dim())] if len(case.shape) > 1 else [0, 1]
    inputs = small.train.inputs.double()
    torch.testing.assert_close(inputs.mean(axes), torch.zeros_like(inputs.mean(axes)), atol=1e-6, rtol=0)
    torch.testing.assert_close(inputs.var(axes, correction=0), torch.ones_like(inputs.mean(axes)), atol=1e-5, rtol=0)
    plain = load(case.name, normalize=False, **options, **case.options)
    assert plain.facts["sha256"] == facts["sha256"]
    assert plain.facts["mean"] is plain.facts["std"] is None
    if len(case.shape) == 3:  # pictures
        assert 0.0 <= float(plain.train.inputs.min()) < float(plain.train.inputs.max()) <= 1.0
    channels = [1, len(facts["mean"]), *[1] * (len(case.shape) - 1)]
    mean, std = (torch.tensor(facts[key], dtype=torch.float64).reshape(channels) for key in ("mean", "std"))
    for normal, raw in ((small.train, plain.train), (small.test, plain.test)):
        expected = ((raw.inputs.double() - mean) / std).float()
        torch.testing.assert_close(normal.inputs, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", DATA_CASES, ids=lambda case: case.name)
def test_more_than_there_is(case: DataCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case.lay(tmp_path, monkeypatch)
    with pytest.raises(BadInput, match=rf"dataset.train_size: {case.train + 1} .* {case.name} has {case.train}"):
        load(case.name, train_size=case.train + 1, **case.options)


# single sets


def test_digits_are_the_file() -> None:
    text = gzip.decompress(files("lossscape.data").joinpath("embedded/digits.csv.gz").read_bytes())
    rows = np.loadtxt(text.decode().splitlines(), delimiter=",")
    raw = digits(Path())
    together = torch.cat([torch.cat([s.inputs.flatten(1) * 16, s.targets[:, None]], 1) for s in (raw.train, raw.test)])
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, rows.tolist()))
    assert raw.train.inputs[0, 0, 0].mul(16).tolist() == rows[0 if raw.train.targets[0] == 0 else 1, :8].tolist()
    counts = np.bincount(rows[:, -1].astype(int))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # scikit-learn's documentation
    assert np.abs(np.bincount(raw.test.targets) - counts * 360 / 1797).max() < 1


def test_digits_split_stays_as_it_is() -> None:
    """Results are compared across versions, so the split must not move."""
    assert load("digits").facts["sha256"] == "711a4b6d95245e63927b7a286007f3ead88d4cdd331571930b2029d0c4d46670"


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("sine", lambda x: np.sin(np.pi * x)),
        ("sinc", lambda x: np.sin(3 * np.pi * x) / (3 * np.pi * x)),
        ("step", lambda x: np.where(x > 0, 1.0, 0.0)),
        ("absolute", np.abs),
        ("cubic", lambda x: x * x * x - 0.5 * x),
    ],
)
def test_a_curve_is_the_written_formula(name: str, formula: Callable[..., Any]) -> None:
    clean, noisy = (regression_1d(Path(), function=name, noise=n, train=2000, test=8) for n in (0.0, 0.2))  # type: ignore[arg-type]
    x = clean.train.inputs.double().numpy()
    np.testing.assert_allclose(clean.train.targets, formula(x), atol=1e-6)
    assert float((noisy.train.targets - clean.train.targets).std()) == pytest.approx(0.2, rel=0.05)
    assert torch.equal(noisy.test.inputs, torch.linspace(-1, 1, 8)[:, None])
    assert -1 <= x.min() < -0.99 < 0.99 < x.max() <= 1


def test_classes_in_the_plane_lie_where_they_should() -> None:
    def points(made: RawData) -> list[np.ndarray]:
        return [made.train.inputs[made.train.targets == c].numpy() for c in range(len(made.classes))]

    upper, lower = points(two_moons(Path(), noise=0.0))
    np.testing.assert_allclose(np.hypot(*upper.T), 1, rtol=1e-5)
    np.testing.assert_allclose(np.hypot(*(lower - [1, 0.5]).T), 1, rtol=1e-5)
    assert upper[:, 1].min() >= -1e-6
    assert lower[:, 1].max() <= 0.5 + 1e-6
    for radius, own in zip((1, 0.5), points(circles(Path(), noise=0.0)), strict=True):
        np.testing.assert_allclose(np.hypot(*own.T), radius, rtol=1e-5)
    for sign, own in zip((1, -1), points(xor(Path(), noise=0.0)), strict=True):
        assert (np.abs(own) == 1).all()
        assert (own[:, 0] * own[:, 1] == sign).all()
    for arm, own in enumerate(points(spirals(Path(), arms=3, turns=0.7, noise=0.0))):
        radius = np.hypot(*own.T)
        turned = np.exp(1j * (np.arctan2(own[:, 1], own[:, 0]) - 2 * np.pi * (0.7 * radius + arm / 3)))
        np.testing.assert_allclose(turned, 1, atol=1e-4)


def test_synthetic_can_be_learned_as_far_as_separation_says() -> None:
    def nearest_mean(separation: float) -> float:
        raw = synthetic(Path(), 3, shape=[5, 4], classes=4, train=2000, test=2000, separation=separation)
        means = torch.stack([raw.train.inputs[raw.train.targets == c].mean(0).flatten() for c in range(4)])
        guess = torch.cdist(raw.test.inputs.flatten(1), means).argmin(1)
        return float((guess == raw.test.targets).float().mean())

    assert nearest_mean(8.0) > 0.99
    assert abs(nearest_mean(0.0) - 0.25) < 0.05


def test_synthetic_is_seeded_and_balanced() -> None:
    a, b = load("synthetic", shape=[3], seed=1), load("synthetic", shape=[3], seed=2)
    assert a.facts["sha256"] != b.facts["sha256"]
    assert torch.bincount(a.train.targets).tolist() == [100] * 10
    assert not torch.equal(a.train.targets, a.train.targets.sort().values)


def test_synthetic_beyond_memory_is_refused() -> None:
    with pytest.raises(BadInput, match="GB of memory"):
        load("synthetic", shape=[1_000_000, 1_000_000])


@pytest.mark.skipif("LOSSSCAPE_TEST_DATA" not in os.environ, reason="LOSSSCAPE_TEST_DATA is not set: no real data")
def test_real_mnist() -> None:
    from lossscape.data.vision import torchvision

    root = os.environ["LOSSSCAPE_TEST_DATA"]
    read = load("mnist", root=root, normalize=False)
    assert (len(read.train), len(read.test)) == (60_000, 10_000)
    assert read.train.targets[:5].tolist() == [5, 0, 4, 1, 9]
    for split, train in ((read.train, True), (read.test, False)):
        theirs = torchvision().datasets.MNIST(root, train=train)
        assert torch.equal(split.inputs, theirs.data.unsqueeze(1).float() / 255)
        assert torch.equal(split.targets, theirs.targets)
    facts = load("mnist", root=root).facts
    assert facts["mean"] == pytest.approx([0.1307], abs=5e-5)  # as everybody writes them
    assert facts["std"] == pytest.approx([0.3081], abs=5e-5)


# labels


@steady
@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.data())
def test_shares_are_proportional(counts: list[int], draw: st.DataObject) -> None:
    size = draw.draw(st.integers(1, sum(counts)))
    shares = proportional(counts, size)
    assert sum(shares) == size
    for share, count in zip(shares, counts, strict=True):
        assert 0 <= share <= count
        assert abs(share - size * count / sum(counts)) < 1


@steady
@given(st.lists(st.integers(0, 4), min_size=1, max_size=300), st.integers(0, 2**70), st.data())
def test_stratified_subset(labels: list[int], seed: int, draw: st.DataObject) -> None:
    size = draw.draw(st.integers(1, len(labels)))
    targets = torch.tensor(labels)
    chosen = stratified(targets, size, seed)
    assert len(chosen) == size
    assert bool((chosen[1:] > chosen[:-1]).all())  # in file order, none twice
    present, counts = targets.unique(return_counts=True)
    shares = proportional(counts.tolist(), size)
    assert [int((targets[chosen] == label).sum()) for label in present] == shares
    assert torch.equal(chosen, stratified(targets, size, seed))


def test_subset_follows_its_seed_for_ever() -> None:
    targets = torch.arange(20) % 2
    assert stratified(targets, 6, 0).tolist() == [0, 2, 3, 9, 12, 15]
    assert stratified(targets, 6, 1).tolist() == [0, 2, 11, 13, 17, 18]


@steady
@given(st.integers(1, 400), st.floats(0, 1), st.integers(0, 1000))
def test_noise_is_exact(size: int, fraction: float, seed: int) -> None:
    """With a billion classes hardly a label is drawn as it was, so what changed is what was drawn."""
    targets = torch.arange(size) % 3
    result, redrawn = noisy(targets, fraction, 10**9, seed)
    assert redrawn == round(fraction * size) == int((result != targets).sum())
    assert torch.equal(targets, torch.arange(size) % 3)


def test_noise_is_uniform_over_all_classes() -> None:
    result, _ = noisy(torch.zeros(40_000, dtype=torch.int64), 1.0, 10, 0)
    assert np.abs(np.bincount(result, minlength=10) - 4000).max() < 5 * np.sqrt(4000 * 0.9)
    kept, redrawn = noisy(torch.arange(9), 0.0, 10, 0)
    assert redrawn == 0
    assert torch.equal(kept, torch.arange(9))


def test_noise_leaves_test_labels_alone() -> None:
    assert torch.equal(load("digits", label_noise=1.0).test.targets, load("digits").test.targets)


# statistics


def test_statistics_of_pictures() -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (700, 3, 30, 20)).astype(np.uint8)
    pixels[:, 1] = 7
    mean, std = statistics(torch.from_numpy(pixels))
    exact = pixels.astype(np.float64) / 255
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, [exact[:, 0].std(), 1.0, exact[:, 2].std()], rtol=1e-12)


def test_statistics_of_floats() -> None:
    values = np.random.RandomState(0).standard_normal((900, 2, 700)).astype(np.float32) * 3 + 1000
    values[:, 1] = 0.1  # no binary fraction: its deviation is not exactly 0 when summed
    mean, std = statistics(torch.from_numpy(values))
    np.testing.assert_allclose(mean, values.astype(np.float64).mean((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, [values[:, 0].astype(np.float64).std(), 1.0], rtol=1e-9)
    vectors = values[:, 0]
    mean, std = statistics(torch.from_numpy(vectors))
    np.testing.assert_allclose((mean[0], std[0]), (vectors.mean(dtype=np.float64), vectors.std(dtype=np.float64)))


# your own function


def test_own_function_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def rings(root, seed, width: int = 2, *, scale: float = 1.0):\n"
        "    x = torch.full((6, width), float(seed)) * scale\n"
        "    assert root.name == 'here'\n"
        "    return x, torch.arange(6) % 3, x, torch.arange(6) % 3\n"
    )
    name = f"{tmp_path / 'mine.py'}:rings"
    options = {"root": "~/here", "seed": 4, "normalize": False, "width": 5, "scale": 0.5}
    result = data.load(TypeAdapter(FAMILY.type).validate_python({"name": name, **options}))
    assert result.shape == (5,)
    assert result.classes == ["0", "1", "2"]
    assert result.train.inputs.unique().tolist() == [2.0]
    assert result.facts["name"] == name


def test_own_tensors_are_not_touched() -> None:
    given = four()
    before = [tensor.clone() for tensor in given]
    result = own(given, label_noise=0.5)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
    assert result.train.inputs.data_ptr() != given[0].data_ptr()


def test_own_raw_data_and_other_types() -> None:
    x, y, x_test, y_test = four()
    whole = RawData(Split(x.double(), y.to(torch.uint8)), Split(x_test.double(), y_test), ["a", "b", "c", "d"], "toy")
    result = own(whole)
    assert result.classes == ["a", "b", "c", "d"]
    assert result.facts["note"] == "toy"
    assert result.train.inputs.dtype == torch.float32
    assert torch.equal(result.train.targets, y)
    same = own(whole, train_size=30)
    assert torch.equal(same.train.inputs, result.train.inputs)


def without(index: int, value: Any) -> tuple[Any, ...]:
    parts: list[Any] = list(four())
    parts[index] = value
    return tuple(parts)


WRONG = {
    "nothing": (None, "must return RawData or"),
    "three": (four()[:3], "not a tuple of 3"),
    "numpy": (without(0, np.zeros((30, 4))), "train_inputs is numpy.ndarray, not a torch.Tensor"),
    "lengths": (without(1, torch.zeros(7, dtype=torch.int64)), "train has 30 inputs and 7 targets"),
    "shapes": (without(2, torch.zeros(12, 5)), "they must be alike"),
    "kinds": (without(2, torch.zeros(12, 4, 1, 1, dtype=torch.uint8)), "they must be alike"),
    "nan": (without(0, torch.full((30, 4), float("nan"))), "train_inputs has values that are NaN or infinite"),
    "too big": (without(2, torch.full((12, 4), 1e300, dtype=torch.float64)), "test_inputs has values that are NaN"),
    "whole numbers": (without(0, torch.zeros(30, 4, dtype=torch.int16)), "train_inputs is torch.int16"),
    "tokens and numbers": (without(0, torch.zeros(30, 4, dtype=torch.int64)), "they must be alike"),
    "names of inputs": (without(0, {"ids": torch.zeros(30, 4), "mask": torch.zeros(29, 4)}), "unequal numbers"),
    "no channel": (without(0, torch.zeros(30, 4, 4, dtype=torch.uint8)), r"pictures are \[N, C, H, W\]"),
    "no samples": (without(0, torch.zeros(0, 4)), "at least one sample"),
    "no dimension": (without(0, torch.zeros(30)), r"it must be \[N, ...\]"),
    "targets of yes and no": (without(1, torch.zeros(30, dtype=torch.bool)), "targets are integer classes"),
    "one-hot": (without(3, torch.zeros(12, 3, dtype=torch.int64)), r"test targets torch.int64 \[3\]"),
    "float targets": (without(1, torch.zeros(30)), "train targets are torch.float32"),
    "NaN targets": (without(1, torch.full((30,), float("nan"))), "train_targets has values that are NaN"),
    "negative": (without(3, torch.full((12,), -1)), "test_targets has the class -1"),
    "beyond": (RawData(Split(*four()[:2]), Split(*four()[2:]), ["a", "b"]), "target 2 is beyond the 2 classes"),
}


@pytest.mark.parametrize("key", WRONG)
def test_what_is_no_data_set(key: str) -> None:
    returned, message = WRONG[key]
    with pytest.raises(BadInput, match=message) as caught:
        own(returned)
    assert "dataset mine.py:f: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_own_function_that_fails() -> None:
    def broken() -> None:
        raise KeyError("label")

    with pytest.raises(BadInput, match="dataset a:b: it raised KeyError: 'label'") as caught:
        prepare(broken, DataOptions(name="a:b"), torch.device("cpu"))
    assert isinstance(caught.value.__cause__, KeyError)


def test_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert data_root(None) == tmp_path
    assert data_root("~/x") == Path.home() / "x"
    monkeypatch.delenv("LOSSSCAPE_DATA")
    assert data_root(None) == Path.home() / ".cache/lossscape"


def test_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every config in docs/guides/data.md is valid, and its function does what it says."""
    text = (Path(__file__).parents[1] / "docs/guides/data.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_data.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    configs = [yaml.safe_load(block)["dataset"] for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    specs = [TypeAdapter(FAMILY.type).validate_python(config) for config in configs]
    assert [spec.name for spec in specs] == [
        "mnist",
        "cifar10",
        "idx",
        "image_folder",
        "synthetic",
        "synthetic_regression",
        "regression_1d",
        "two_moons",
        "spirals",
        "my_data.py:rings",
    ]
    assert data.load(specs[-1]).train.inputs.shape == (100, 5)
    shapes = [data.load(spec).shape for spec in specs[-6:-1]]
    assert shapes == [(3, 8, 8), (8,), (1,), (2,), (2,)]


# augmentation


def by_hand(pictures: Tensor, options: Augment, seed: int) -> Tensor:
    """The same, one pixel row and picture at a time."""
    generator = torch.Generator().manual_seed(seed)
    count, _, height, width = pictures.shape
    shifts = torch.randint(0, 2 * options.crop + 1, (2, count), generator=generator) if options.crop else None
    coins = torch.randint(0, 2, (count,), generator=generator) if options.flip else torch.zeros(count)
    result = pictures.clone()
    for n in range(count):
        down, right = (0, 0) if shifts is None else (shifts[:, n] - options.crop).tolist()
        for row in range(height):
            for column in range(width):
                y, x = row + down, (width - 1 - column if coins[n] else column) + right
                inside = 0 <= y < height and 0 <= x < width
                result[n, :, row, column] = pictures[n, :, y, x] if inside else 0.0
    return result


@pytest.mark.parametrize("options", [Augment(), Augment(crop=2), Augment(flip=True), Augment(crop=3, flip=True)])
def test_augment_equals_a_loop(options: Augment) -> None:
    pictures = torch.randn(40, 3, 5, 6, generator=torch.Generator().manual_seed(1))
    before = pictures.clone()
    for seed in (0, 1):
        result = augment(pictures, options, torch.Generator().manual_seed(seed))
        assert torch.equal(result, by_hand(pictures, options, seed))
    assert torch.equal(pictures, before)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("synthetic", {"shape": [4]}, "needs pictures"), ("digits", {}, "give less than 8")],
)
def test_augment_that_does_not_fit(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=rf"dataset.augment.*{message}"):
        load(name, augment={"crop": 8}, **options)


def test_tensors_from_a_file_beside_the_config(tmp_path: Path) -> None:
    """As they are, with as many classes as the file says, else as the targets show."""
    content = {
        "train_inputs": torch.randn(6, 3),
        "train_targets": torch.tensor([0, 1, 2, 0, 1, 2]),
        "test_inputs": torch.randn(2, 3),
        "test_targets": torch.tensor([0, 3]),
    }
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.yaml").write_text(
        "name: mine\ndataset: {name: tensors, file: mine.pt, normalize: false}\nmodel: {name: mlp}\n"
    )
    for more, classes in (({}, 4), ({"classes": 7}, 7)):
        torch.save(content | more, tmp_path / "a" / "mine.pt")
        config = read_config(RunConfig, tmp_path / "a" / "mine.yaml")
        assert config.resolved()["dataset"]["file"] == "mine.pt"
        assert config.resolved(tmp_path / "runs" / "b")["dataset"]["file"] == "../../a/mine.pt"
        loaded = data.load(config.dataset)
        for split, name in ((loaded.train, "train"), (loaded.test, "test")):
            assert torch.equal(split.inputs, content[f"{name}_inputs"])
            assert torch.equal(split.targets, content[f"{name}_targets"])
        assert len(loaded.classes) == classes
