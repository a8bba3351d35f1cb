"""torchvision's data sets: fetched, unpacked, missing, corrupt; and the import of torchvision itself."""

import functools
import gzip
import http.server
import importlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cases_data import cifar_files, idx_files, packed_cifar_files, packed_idx_files, published_idx_files

from lossscape import data
from lossscape.data import FAMILY, Data, download, torchvision_sets, vision, where_data_is
from lossscape.data.vision import torchvision
from lossscape.errors import BadInput, RunFailed

NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def load(name: str, root: Path) -> Data:
    return data.load(FAMILY.models[name].model_validate({"name": name, "root": str(root), "normalize": False}))


def left_over(root: Path) -> list[str]:
    return [str(path) for path in root.rglob(".*")]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to open a connection fails the test."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which it is published on this machine."""
    folder = tmp_path / "published"
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()
        thread.join()


def mirrors(patch: pytest.MonkeyPatch, *addresses: str) -> None:
    patch.setattr(torchvision().datasets.MNIST, "mirrors", list(addresses))


# files that are there


@pytest.mark.usefixtures("no_network")
def test_files_in_place_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = published_idx_files(tmp_path / "MNIST/raw", monkeypatch)
    read = load("mnist", tmp_path)
    assert torch.equal(read.train.inputs[:, 0], torch.from_numpy(written[NAMES[0]]).float() / 255)
    assert torch.equal(read.test.targets, torch.from_numpy(written[NAMES[3]]).long())
    batches = cifar_files(tmp_path, monkeypatch)
    pictures = load("cifar10", tmp_path)
    expected = torch.from_numpy(batches["data_batch_2"]["data"].reshape(-1, 3, 32, 32)).float() / 255
    assert torch.equal(pictures.train.inputs[20:40], expected)
    assert pictures.train.targets[20:40].tolist() == batches["data_batch_2"]["labels"]
    assert pictures.classes == [f"class {i}" for i in range(10)]


@pytest.mark.usefixtures("no_network")
def test_archives_in_place_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = packed_idx_files(tmp_path / "MNIST/raw", monkeypatch)
    assert torch.equal(load("mnist", tmp_path).train.targets, torch.from_numpy(written[NAMES[1]]).long())
    packed_cifar_files(tmp_path, monkeypatch)
    assert len(load("cifar10", tmp_path).train) == 100
    assert left_over(tmp_path) == []


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "harm",
    [lambda whole: whole[:-1], lambda whole: whole + b"\0", lambda whole: b"\1" + whole[1:], lambda whole: whole[:3]],
    ids=["truncated", "too long", "magic", "hardly begun"],
)
def test_corrupt_idx_file(name: str, harm: Callable[[bytes], bytes], tmp_path: Path) -> None:
    idx_files(tmp_path / "MNIST/raw")
    path = tmp_path / "MNIST/raw" / name
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(BadInput, match=rf"dataset mnist: {path} is corrupt .* remove it"):
        load("mnist", tmp_path)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_corrupt_cifar_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar_files(tmp_path, monkeypatch)
    path = tmp_path / "cifar-10-batches-py" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadInput, match=rf"dataset cifar10: {path} is corrupt .*checksum.*image_folder"):
        load("cifar10", tmp_path)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("file", NAMES)
def test_altered_idx_file(name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit of the last label or pixel: a whole IDX file, but not the published one."""
    folder = tmp_path / {"mnist": "MNIST/raw", "fashion_mnist": "FashionMNIST/raw"}[name]
    published_idx_files(folder, monkeypatch)
    assert len(load(name, tmp_path).train) == 40
    alter(folder / file)
    with pytest.raises(BadInput) as caught:
        load(name, tmp_path)
    said = str(caught.value)
    assert f"dataset {name}: {folder / file} is corrupt (its checksum is not that of the published file)" in said
    assert f"dataset: {{name: idx, root: {folder}}}" in said
    assert len(load("idx", folder).train) == 40  # on purpose
    for other in set(NAMES) - {file}:
        alter(folder / other)
    with pytest.raises(BadInput, match=rf"{NAMES[0]} is corrupt .*, nor are {', '.join(NAMES[1:])}\)"):
        load(name, tmp_path)


def alter(path: Path) -> None:
    """Flip the lowest bit of a file's last byte."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))


def test_sums_of_every_published_file_are_known() -> None:
    for name, stored in torchvision_sets.STORED.items():
        sums = torchvision_sets.published(name)
        assert sorted(sums) == sorted(stored.files)
        assert all(len(sum_) in (32, 64) for sum_ in sums.values())
    assert torchvision_sets.published("cifar10")["data_batch_1"] == "c99cafc152244af753f735de768cd75f"


@pytest.mark.skipif("LOSSSCAPE_TEST_DATA" not in os.environ, reason="LOSSSCAPE_TEST_DATA is not set: no real data")
def test_an_altered_copy_of_the_real_mnist(tmp_path: Path) -> None:
    shutil.copytree(Path(os.environ["LOSSSCAPE_TEST_DATA"]) / "MNIST/raw", tmp_path / "MNIST/raw")
    alter(tmp_path / "MNIST/raw" / NAMES[2])
    with pytest.raises(BadInput, match=rf"{NAMES[2]} is corrupt \(its checksum is not that of the published file\)"):
        load("mnist", tmp_path)
    alter(tmp_path / "MNIST/raw" / NAMES[2])
    assert len(load("mnist", tmp_path).test) == 10_000


# files of one's own in the form of MNIST's


def test_own_idx_files_unpacked_or_not(tmp_path: Path) -> None:
    written = idx_files(tmp_path)
    for name in NAMES[:2]:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    read = load("idx", tmp_path)
    assert torch.equal(read.train.inputs[:, 0], torch.from_numpy(written[NAMES[0]]).float() / 255)
    assert torch.equal(read.test.targets, torch.from_numpy(written[NAMES[3]]).long())
    assert read.classes == [str(label) for label in range(10)]


def test_own_idx_files_that_are_none(tmp_path: Path) -> None:
    idx_files(tmp_path)
    (tmp_path / NAMES[2]).unlink()
    with pytest.raises(BadInput, match=f"dataset idx: {tmp_path} lacks {NAMES[2]}; put them there, unpacked or .gz"):
        load("idx", tmp_path)
    for content, why in (
        (b"no gzip", "cannot be unpacked"),
        (gzip.compress(b"\0\0\x08\3"), "4 bytes that are no whole"),
    ):
        (tmp_path / f"{NAMES[2]}.gz").write_bytes(content)
        with pytest.raises(BadInput, match=rf"dataset idx: .*/{NAMES[2]}\.gz is corrupt \({why}"):
            load("idx", tmp_path)


@pytest.mark.usefixtures("no_network")
def test_corrupt_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed_idx_files(tmp_path / "MNIST/raw", monkeypatch)
    path = tmp_path / "MNIST/raw" / f"{NAMES[2]}.gz"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(BadInput, match=rf"{path} is corrupt"):
        load("mnist", tmp_path)


# files that are not there


def test_download(server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    folder, address = server
    written = packed_idx_files(folder, monkeypatch)
    mirrors(monkeypatch, address + "elsewhere/", address)
    root = tmp_path / "new"
    assert torch.equal(load("mnist", root).train.targets, torch.from_numpy(written[NAMES[1]]).long())
    assert sorted(path.name for path in (root / "MNIST/raw").iterdir()) == sorted(NAMES)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count(f"downloading {address}train-images-idx3-ubyte.gz") == 1
    assert "100" in output.err  # per cent


def test_only_what_is_missing_is_fetched(
    server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    packed_idx_files(folder, monkeypatch)
    mirrors(monkeypatch, address)
    published_idx_files(tmp_path / "MNIST/raw", monkeypatch)
    (tmp_path / "MNIST/raw" / NAMES[1]).unlink()
    for name in (NAMES[0], NAMES[2], NAMES[3]):
        (folder / f"{name}.gz").unlink()
    assert len(load("mnist", tmp_path).train) == 40


def test_download_that_comes_out_wrong(
    server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    packed_idx_files(folder, monkeypatch)
    mirrors(monkeypatch, address)
    (folder / f"{NAMES[1]}.gz").write_bytes(b"<html>log in first</html>")
    with pytest.raises(BadInput, match=r"train-labels-idx1-ubyte\.gz"):
        load("mnist", tmp_path)
    assert left_over(tmp_path) == []
    assert [path.name for path in (tmp_path / "MNIST/raw").iterdir()] == [NAMES[0]]  # whole, and kept


def test_refused_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrors(monkeypatch, "http://127.0.0.1:9/", "https://127.0.0.1:9/")
    root, before = tmp_path / "new", time.monotonic()
    with pytest.raises(BadInput) as caught:
        load("mnist", root)
    assert time.monotonic() - before < 10
    for part in (str(root / "MNIST/raw"), *NAMES, f"{NAMES[0]}.gz", "dataset.root", "LOSSSCAPE_DATA", "refused"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not root.exists()


def test_server_that_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/train.gz"
        archive = download.Archive(tmp_path / "train.gz", [url], "", tmp_path, ("train",))
        before = time.monotonic()
        with pytest.raises(download.NotFetched, match=r"no answer|timed out"):
            download.fetch([archive], "dataset mnist", patience=0.2)
        assert time.monotonic() - before < 5


def test_cifar_offline_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "unreachable", lambda urls, patience: f"no way to {urls[0]}")
    with pytest.raises(BadInput, match=r"no way to https://www.cs.toronto.edu.*cifar-10-python.tar.gz into") as caught:
        load("cifar10", tmp_path)
    assert "data_batch_5" in str(caught.value)


def test_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "unreachable", lambda urls, patience: None)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match="cannot be written"):
        load("mnist", tmp_path / "file")


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "unreachable", lambda urls, patience: None)
    monkeypatch.setattr(torchvision().datasets.utils, "download_url", full)
    with pytest.raises(RunFailed, match="No space left on device"):
        load("mnist", tmp_path)
    assert left_over(tmp_path) == []


def test_where_data_is(tmp_path: Path) -> None:
    idx_files(tmp_path / "MNIST/raw")
    (tmp_path / "MNIST/raw" / NAMES[3]).unlink()
    shutil.copytree(tmp_path / "MNIST", tmp_path / "FashionMNIST")
    (tmp_path / "FashionMNIST/raw" / NAMES[3]).touch()
    places = {place.name: place for place in where_data_is(str(tmp_path))}
    assert places["mnist"].missing == [NAMES[3]]
    assert not places["mnist"].there
    assert places["fashion_mnist"].there
    assert places["cifar100"].folder == tmp_path / "cifar-100-python"
    assert places["image_folder"].missing == ["train", "test"]
    assert places["idx"].missing == NAMES


# the import of torchvision


def test_torchvision_can_be_used() -> None:
    module = torchvision()
    assert module is torchvision() is sys.modules["torchvision"]
    assert sum(p.numel() for p in module.models.resnet18().parameters()) == 11_689_512
    assert len(module.datasets.MNIST.resources) == 4


@pytest.mark.slow
def test_missing_operator_is_mended(tmp_path: Path) -> None:
    """A package that does what torchvision does without its compiled part, in a process of its own."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/half.py").write_text("print('half imported')\n")
    (tmp_path / "torchvision/__init__.py").write_text(
        "import torch\nimport torchvision.half\n"
        "@torch.library.register_fake('torchvision::nms')\ndef nms(dets, scores, iou_threshold): ...\n"
        "@torch.library.register_fake('torchvision::qnms')\ndef qnms(dets, scores, iou_threshold): ...\n"
    )
    code = (
        "import sys, lossscape.data; from lossscape.data.vision import torchvision\n"
        "assert 'torchvision' not in sys.modules; module = torchvision(); assert module is torchvision()\n"
        "print(module.nms.__name__, module.half.__name__)"
    )
    paths = os.pathsep.join([str(tmp_path), str(Path(data.__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split("\n") == ["half imported", "half imported", "nms torchvision.half", ""]


@pytest.mark.parametrize("error", [RuntimeError("operator torchvision::roi_align does not exist"), ImportError("x")])
def test_other_errors_pass(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> None:
        raise error

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(type(error)) as caught:
        vision.torchvision.__wrapped__()
    assert caught.value is error
