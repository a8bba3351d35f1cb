"""Inputs that stay as they were read: the same numbers to the bit, in a fraction of the memory."""

import errno
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cases_data import picture_files
from torch import Tensor, nn

from lossscape import data
from lossscape.batches import part
from lossscape.config import read_experiment
from lossscape.data import RawData, Split
from lossscape.data.options import DataOptions
from lossscape.data.prepare import prepare
from lossscape.errors import BadInput, RunFailed
from lossscape.evaluate import Subspace, Work
from lossscape.evaluate.engine import blocks_of
from lossscape.evaluate.statistics import RecomputedStatistics
from lossscape.held import Held, Mapped
from lossscape.objective import Objective, Plan
from lossscape.train import train

CPU = torch.device("cpu")
TRAIN, TEST = 67, 13


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of a test."""
    monkeypatch.setenv("LOSSSCAPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def raw(kind: torch.dtype = torch.uint8) -> RawData:
    """Pictures of three classes."""
    generator = torch.Generator().manual_seed(5)

    def split(size: int) -> Split:
        pictures = torch.randint(0, 256, (size, 3, 5, 7), generator=generator)
        return Split(pictures.to(kind), torch.arange(size) % 3)

    return RawData(split(TRAIN), split(TEST), ["a", "b", "c"])


def loaded(large: int, kind: torch.dtype = torch.uint8, **options: Any) -> data.Data:
    """The same pictures, held as they are from so many bytes on."""
    return prepare(lambda: raw(kind), DataOptions(name="own", **options), CPU, large)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("kind", "mmap"), [(torch.uint8, False), (torch.uint8, True), (torch.float32, True)])
def test_what_is_held_is_seen_to_the_same_bit(normalize: bool, kind: torch.dtype, mmap: bool) -> None:
    given = {"normalize": normalize, "train_size": 50, "label_noise": 0.5}
    usual, held = loaded(2**40, kind, **given), loaded(1, kind, mmap=mmap, **given)
    assert usual.facts == held.facts
    for ours, theirs in ((held.train, usual.train), (held.test, usual.test)):
        inputs, expected = ours.inputs, theirs.inputs
        assert isinstance(inputs, Held)
        assert isinstance(expected, Tensor)
        assert inputs.values.dtype == kind
        assert torch.equal(ours.targets, theirs.targets)
        assert inputs.shape == expected.shape
        some = torch.tensor([3, 0, 3, 11])
        for one, other in (
            (inputs[:], expected), (inputs[2:9], expected[2:9]), (inputs[1::3], expected[1::3]),
            (inputs[4], expected[4]),
            (inputs[[0, -1]], expected[[0, -1]]), (inputs[some], expected[some]),
            (inputs.index_select(0, some), expected[some]), (torch.cat([*inputs.split(4)]), expected),
            (part(inputs, some)[1:], part(expected, some)[1:]),
            (inputs.part(slice(2, 12)).part(some[:3] % 4)[:], expected[2:12][some[:3] % 4]),
        ):  # fmt: skip
            assert isinstance(one, Tensor)
            assert isinstance(other, Tensor)
            assert one.dtype == torch.float32
            assert torch.equal(one, other)


def test_only_what_is_large_is_held_unasked() -> None:
    assert isinstance(loaded(4 * (TRAIN + TEST) * 105 + 1).train.inputs, Tensor)
    assert isinstance(loaded(4 * (TRAIN + TEST) * 105).train.inputs, Held)
    assert isinstance(loaded(1, torch.float32).train.inputs, Tensor)


NETS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(105, 6), nn.ReLU(), nn.Linear(6, 3)),
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ),
}


@pytest.mark.parametrize(
    ("net", "plan"), [("mlp", "dense"), ("mlp", "factored"), ("mlp", "stacked"), ("cnn", "dense"), ("cnn", "folded")]
)
def test_every_plan_gives_the_same_bits(net: str, plan: Any) -> None:
    found = []
    for large in (2**40, 1):
        split = loaded(large).train
        torch.manual_seed(0)
        model = NETS[net]()
        objective = Objective(model, "cross_entropy", part(split.inputs, torch.arange(1, TRAIN)), split.targets[1:])
        directions = [{name: torch.randn_like(value) for name, value in model.named_parameters()} for _ in range(2)]
        statistics = RecomputedStatistics(model, split.inputs) if net == "cnn" and plan == "dense" else None
        how = Plan(chunk=16, channels_last=net == "cnn", name=plan, points=3)
        work = Work({"train": objective.part(slice(60))}, Subspace(objective.parameters(), directions), statistics)
        points = [(0.1 * i, -0.2 * i) for i in range(5)]
        found.append([row for block in blocks_of(points, how) for row in work.rows(block, how)])
    assert found[0] == found[1]


# --- files ----------------------------------------------------------------------------------------------------

SOURCES = {"synthetic": {"shape": [3, 2], "classes": 3, "train": 600, "test": 5}, "image_folder": {}, "tensors": {}}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Pictures in folders, coloured and grey, and in a file of tensors."""
    picture_files(tmp_path / "pictures")
    picture_files(tmp_path / "grey", mode="L")
    own = raw()
    names = ("train_inputs", "train_targets", "test_inputs", "test_targets")
    torch.save(dict(zip(names, (*own.train, *own.test), strict=True)), tmp_path / "own.pt")
    return tmp_path


def named(values: dict[str, Any]) -> data.Data:
    """The data set of a section of a config."""
    spec = data.FAMILY.models[values["name"]].model_validate(values)
    assert isinstance(spec, DataOptions)
    return data.load(spec)


def from_(place: Path, name: str, **options: Any) -> data.Data:
    """A data set by its name."""
    given = {"image_folder": {"root": str(place / "pictures")}, "tensors": {"file": str(place / "own.pt")}}
    values = {"name": name, **SOURCES[name], **given.get(name, {}), **options}
    return named(values)


@pytest.mark.parametrize(("name", "options"), [(name, {}) for name in SOURCES] + [("image_folder", {"root": "grey"})])
def test_data_in_files_are_the_same(place: Path, cache: Path, name: str, options: dict[str, Any]) -> None:
    options = {key: str(place / value) for key, value in options.items()}
    usual, mapped = from_(place, name, **options), from_(place, name, mmap=True, **options)
    files = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    again = from_(place, name, mmap=True, **options)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()} == files
    for each in (mapped, again):
        assert each.facts == usual.facts
        for ours, theirs in ((each.train, usual.train), (each.test, usual.test)):
            assert isinstance(ours.inputs, Held)
            assert isinstance(theirs.inputs, Tensor)
            assert torch.equal(ours.inputs[:], theirs.inputs)
            assert torch.equal(ours.targets, theirs.targets)
            if name != "tensors":
                sent = pickle.dumps(ours.inputs)
                assert len(sent) < 3000 + 8 * len(ours)
                assert torch.equal(pickle.loads(sent)[:], theirs.inputs)


def test_synthetic_is_what_one_draw_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(3, 3, 2, generator=generator)
    means *= (4.0 / means.flatten(1).norm(dim=1)).reshape(-1, 1, 1)
    targets = (torch.arange(600) % 3)[torch.randperm(600, generator=generator)]
    inputs = torch.randn(600, 3, 2, generator=generator).add_(means[targets])
    found = named({"name": "synthetic", "normalize": False, **SOURCES["synthetic"]})
    assert isinstance(found.train.inputs, Tensor)
    assert torch.equal(found.train.targets, targets)
    assert torch.equal(found.train.inputs, inputs)


@pytest.mark.parametrize("name", ["synthetic", "image_folder"])
def test_what_a_kill_has_left_is_made_again(place: Path, cache: Path, name: str) -> None:
    whole = from_(place, name, mmap=True)
    (path, *_) = sorted(cache.rglob("*.bin"))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    (path.parent / f".{path.name}.999999999.part").write_bytes(b"begun")
    again = from_(place, name, mmap=True)
    assert again.facts == whole.facts
    assert path.read_bytes() == content
    assert not list(cache.rglob("*.part"))


def test_damaged_targets_are_made_again(place: Path, cache: Path) -> None:
    whole = from_(place, "synthetic", mmap=True)
    (path,) = cache.rglob("*.pt")
    path.write_bytes(path.read_bytes()[:-100])
    assert from_(place, "synthetic", mmap=True).facts == whole.facts


@pytest.mark.parametrize("name", ["synthetic", "image_folder"])
def test_a_disk_that_is_full_leaves_nothing(
    place: Path, cache: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left on device.*part"):
        from_(place, name, mmap=True)
    assert not list(cache.rglob("*.part"))


def test_a_file_is_as_large_as_what_it_is_made_for(place: Path, cache: Path) -> None:
    sizes = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lossscape.data.mapped.settle", lambda part, file: sizes.append(part.path.stat()))
        with pytest.raises(BadInput, match="cannot be mapped"):
            from_(place, "synthetic", mmap=True)
    assert sizes
    assert all(512 * each.st_blocks >= each.st_size for each in sizes)


def test_a_file_that_is_another_by_now_is_refused(place: Path, cache: Path) -> None:
    sent = pickle.dumps(from_(place, "synthetic", mmap=True).train.inputs)
    path = next(path for path in cache.rglob("*-0.bin"))
    os.utime(path, ns=(0, 0))
    with pytest.raises(BadInput, match="written anew"):
        pickle.loads(sent)
    path.write_bytes(b"")
    with pytest.raises(BadInput, match="a LOSSSCAPE_CACHE that all of them see"):
        pickle.loads(sent)


def test_few_of_many_samples_are_sent_alone() -> None:
    many = Held(torch.arange(4000, dtype=torch.uint8).reshape(1000, 4))
    for few in (many.part(slice(100, 120)), many.part(torch.tensor([900, 3, 3, 999]))):
        sent = pickle.dumps(few)
        assert len(sent) < 1000
        assert torch.equal(pickle.loads(sent)[:], few[:])


def test_a_disk_without_room_is_refused(place: Path) -> None:
    with pytest.raises(BadInput, match="LOSSSCAPE_CACHE"):
        from_(place, "synthetic", mmap=True, train=10**9, shape=[1000, 1000])


def test_a_file_that_is_cut_while_it_is_read_is_told(place: Path) -> None:
    inputs = from_(place, "synthetic", mmap=True).train.inputs
    assert isinstance(inputs, Held)
    assert inputs.file is not None
    before, size = inputs[:4].clone(), inputs.file.path.stat().st_size
    os.truncate(inputs.file.path, size - 1)  # within the last page, so that reading it would go well all the same
    with pytest.raises(RunFailed, match=f"cut to {size - 1:,} bytes while it was read, from {size:,}: run"):
        inputs[:4]
    inputs.file.path.unlink()
    assert torch.equal(inputs[:4], before)  # it is still there for those that have it open
    again = from_(place, "synthetic", mmap=True).train.inputs
    assert torch.equal(again[:4], before)


def test_a_part_of_a_file_is_a_tensor(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"head" + torch.arange(6, dtype=torch.float32).numpy().tobytes())
    found = Mapped(tmp_path / "file", torch.float32, (2, 3), offset=4)
    assert torch.equal(found.open(), torch.arange(6.0).reshape(2, 3))


def test_training_from_a_file_gives_the_same_run(place: Path) -> None:
    config = {
        "name": "a", "dataset": {"name": "image_folder", "root": str(place / "pictures"), "augment": {"flip": True}},
        "model": {"name": "mlp", "hidden": [4]}, "optimizer": {"name": "momentum", "lr": 0.01},
        "training": {"epochs": 2, "batch_size": 3},
    }  # fmt: skip
    (place / "a.yaml").write_text(json.dumps(config))
    runs = [
        train(read_experiment(place / "a.yaml", [f"name={name}", *more]), place / "runs")
        for name, more in (("plain", []), ("mapped", ["dataset.mmap=true"]))
    ]
    states = [run.checkpoint("last").state() for run in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert runs[0].settings() == runs[1].settings()
    assert "mmap" not in runs[0].config_file.read_text()
