"""Folders of pictures: order, colours, the cache, and folders that are refused."""

import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases_data import picture_files, random_bytes
from PIL import Image

from lossscape.data import decode
from lossscape.data.vision import torchvision
from lossscape.errors import BadInput, RunFailed

image_folder = importlib.import_module("lossscape.data.image_folder")  # the package gives the function that name


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of a test."""
    monkeypatch.setenv("LOSSSCAPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "image_folder"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small folder of RGB pictures."""
    picture_files(tmp_path / "pictures")
    return tmp_path / "pictures"


def read(root: Path, **options: Any) -> Any:
    return image_folder.image_folder(root, **options)


def decoding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call from now on decodes."""
    calls: list[int] = []
    original = decode.decode

    def counted(paths: list[str], what: str) -> Any:
        calls.append(len(paths))
        return original(paths, what)

    monkeypatch.setattr(image_folder, "decode", counted)
    return calls


def single_cache(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


# what is read


def in_processes(root: Path) -> Any:
    """The pictures of train and test, decoded by processes."""
    return decoded(root, processes_from=1)


def in_threads(root: Path) -> Any:
    """The pictures of train and test, decoded by threads."""
    return decoded(root, processes_from=10**9)


def decoded(root: Path, **options: int) -> Any:
    paths = [path for split in image_folder.SPLITS for path in image_folder.listing(root / split).paths]
    return torch.from_numpy(decode.decode(paths, image_folder.WHAT, block=5, **options))


@pytest.mark.parametrize("decoded_in", [in_processes, in_threads])
def test_same_as_torchvision(root: Path, decoded_in: Callable[[Path], torch.Tensor]) -> None:
    deeper = root / "train/ant/more"
    shutil.copytree(root / "train/cat", deeper)
    shutil.move(deeper / "1.png", root / "train/ant/Z.PNG")
    result = read(root)
    pictures = decoded_in(root)
    assert torch.equal(pictures, torch.cat([result.train.inputs, result.test.inputs]))
    for split, folder in ((result.train, "train"), (result.test, "test")):
        theirs = torchvision().datasets.ImageFolder(root / folder)
        assert result.classes == theirs.classes
        assert split.targets.tolist() == theirs.targets
        expected = np.stack([np.asarray(picture) for picture, _ in theirs])
        assert torch.equal(split.inputs, torch.from_numpy(expected).permute(0, 3, 1, 2))


def test_hidden_and_other_files_are_left_out(root: Path) -> None:
    (root / "train/ant/notes.txt").write_text("no picture")
    (root / "train/ant/._0.png").write_bytes(b"left by another system")
    (root / "train/.trash").mkdir()
    assert len(read(root).train) == 12


COLOURS: dict[str, tuple[Callable[[], Image.Image], Callable[[Image.Image], Image.Image]]] = {
    "grey with transparency": (
        lambda: Image.merge("LA", [Image.fromarray(random_bytes(5, 7, seed=i)) for i in (0, 1)]),
        lambda p: p.getchannel("L"),
    ),
    "black and white": (lambda: Image.fromarray(random_bytes(5, 7)).convert("1"), lambda p: p.convert("L")),
    "transparent": (lambda: Image.fromarray(random_bytes(5, 7, 4)), lambda p: Image.merge("RGB", p.split()[:3])),
    "palette": (lambda: Image.fromarray(random_bytes(5, 7, 3)).quantize(16), lambda p: p.convert("RGB")),
}


@pytest.mark.parametrize("kind", COLOURS)
def test_colours(kind: str, tmp_path: Path) -> None:
    make, expected = COLOURS[kind]
    for split in ("train", "test"):
        (tmp_path / split / "only").mkdir(parents=True)
        make().save(tmp_path / split / "only/0.png")
    pixels = np.asarray(expected(make()))
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    assert torch.equal(read(tmp_path).train.inputs[0], torch.from_numpy(pixels.copy()))


def test_transparent_palette(tmp_path: Path) -> None:
    palette = Image.fromarray(random_bytes(5, 7, 3)).quantize(8)
    for split in ("train", "test"):
        (tmp_path / split / "only").mkdir(parents=True)
        palette.save(tmp_path / split / "only/0.png", transparency=bytes([0, 128, 255]))
    pixels = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    assert torch.equal(read(tmp_path).train.inputs[0], torch.from_numpy(pixels.copy()))


def test_grey_among_colours_becomes_colour(root: Path) -> None:
    grey = random_bytes(5, 7)
    Image.fromarray(grey).save(root / "test/bee/1.png")
    inputs = read(root).test.inputs
    assert inputs.shape == (6, 3, 5, 7)
    assert torch.equal(inputs[3], torch.from_numpy(grey).expand(3, 5, 7))


def test_grey_stays_grey(tmp_path: Path) -> None:
    picture_files(tmp_path, mode="L", size=(4, 4))
    result = read(tmp_path, note="scans")
    assert result.train.inputs.shape == (12, 1, 4, 4)
    assert result.note == "scans"
    with Image.open(tmp_path / "train/cat/3.png") as picture:
        assert torch.equal(result.train.inputs[11, 0], torch.from_numpy(np.array(picture)))


@pytest.mark.skipif("LOSSSCAPE_TEST_DATA" not in os.environ, reason="LOSSSCAPE_TEST_DATA is not set: no real data")
def test_real_pictures(tmp_path: Path) -> None:
    whole = Path(os.environ["LOSSSCAPE_TEST_DATA"]) / "cifar10-jpeg"
    assert [len(image_folder.listing(whole / split).paths) for split in ("train", "test")] == [50_000, 10_000]
    for path in [*whole.glob("train/*/00[01]?.jpg"), *whole.glob("test/*/000?.jpg")]:
        copy = tmp_path / "few" / path.relative_to(whole)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    result = read(tmp_path / "few", note="JPEG copy")
    assert (len(result.train), len(result.test)) == (200, 100)
    assert result.train.inputs.shape[1:] == (3, 32, 32)
    theirs = torchvision().datasets.ImageFolder(tmp_path / "few" / "test")
    expected = torch.from_numpy(np.stack([np.asarray(picture) for picture, _ in theirs])).permute(0, 3, 1, 2)
    assert torch.equal(result.test.inputs, expected)
    assert result.classes == sorted(path.name for path in (whole / "train").iterdir())


# the cache


def test_second_time_nothing_is_decoded(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, calls = read(root), decoding(monkeypatch)
    again = read(root)
    monkeypatch.chdir(root)
    read(Path("../pictures"))
    read(Path())
    assert calls == []
    assert torch.equal(first.train.inputs, again.train.inputs)
    assert torch.equal(first.test.inputs, again.test.inputs)
    assert single_cache(cache).name.startswith("pictures-")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another time": (
        lambda root: os.utime(root / "train/ant/0.png", ns=(0, 10**18)),
        "1 of another size or time ('train/ant/0.png')",
    ),
    "another size": (
        lambda root: Image.fromarray(np.zeros((5, 7, 3), np.uint8)).save(root / "test/cat/0.png"),
        "1 of another size or time ('test/cat/0.png')",
    ),
    "another name": (
        lambda root: (root / "train/ant/0.png").rename(root / "train/ant/9.png"),
        "1 new ('train/ant/9.png'), 1 gone ('train/ant/0.png')",
    ),
    "two less": (
        lambda root: [(root / f"train/bee/{i}.png").unlink() for i in (2, 3)],
        "2 gone ('train/bee/2.png', …)",
    ),
    "moved to test": (
        lambda root: (root / "train/bee/2.png").rename(root / "test/bee/2.png"),
        "1 new ('test/bee/2.png'), 1 gone ('train/bee/2.png')",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_folder_is_read_again_and_told(
    change: str, root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    read(root)
    harm, told = CHANGES[change]
    harm(root)
    assert capsys.readouterr().err == ""
    calls = decoding(monkeypatch)
    result = read(root)
    assert calls == [len(result.train) + len(result.test)]
    assert f"the pictures in {root} have changed since they were decoded: {told}\n" in capsys.readouterr().err
    read(root)
    assert len(calls) == 1
    assert capsys.readouterr().err == ""
    single_cache(cache)  # in the place of the old one


@pytest.mark.parametrize("kept", [0, 10, 0.5, -1], ids=["empty", "ten bytes", "half", "all but one byte"])
def test_broken_cache_is_made_again(kept: float, root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(root)
    whole = single_cache(cache).read_bytes()
    single_cache(cache).write_bytes(whole[: int(len(whole) * kept) if isinstance(kept, float) else kept])
    calls = decoding(monkeypatch)
    assert torch.equal(read(root).train.inputs, first.train.inputs)
    assert calls == [18]
    read(root)
    assert calls == [18]


@pytest.mark.parametrize("what", ["pictures", "listing"])
def test_a_flipped_bit_of_the_cache_is_told_and_healed(what: str, root: Path, cache: Path, capsys: Any) -> None:
    first = read(root)
    whole = bytearray(single_cache(cache).read_bytes())
    part = first.train.inputs[3].numpy().tobytes() if what == "pictures" else b"train/ant/2.png"
    assert whole.count(part) == 1
    whole[whole.index(part) + 5] ^= 1
    single_cache(cache).write_bytes(whole)
    assert torch.equal(read(root).train.inputs, first.train.inputs)
    assert f"kept in {single_cache(cache)} are damaged" in capsys.readouterr().err
    assert torch.equal(read(root).train.inputs, first.train.inputs)
    assert capsys.readouterr().err == ""


def test_two_folders_do_not_share_a_cache(tmp_path: Path) -> None:
    """Even where names, sizes and times of all files are the same."""
    roots = [tmp_path / "a" / "pictures", tmp_path / "b" / "pictures"]
    for seed, root in enumerate(roots):
        for split in ("train", "test"):
            path = root / split / "only" / "0.ppm"
            path.parent.mkdir(parents=True)
            Image.fromarray(random_bytes(5, 7, 3, seed=seed)).save(path)
            os.utime(path, ns=(0, 0))
    for _ in range(2):
        for seed, root in enumerate(roots):
            expected = torch.from_numpy(random_bytes(5, 7, 3, seed=seed)).permute(2, 0, 1)
            assert torch.equal(read(root).train.inputs[0], expected)


def test_no_place_for_a_cache(root: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(read(root).train) == 12
    output = capsys.readouterr()
    assert "LOSSSCAPE_CACHE" in output.err
    assert output.out == ""


def test_nothing_is_written_beside_the_pictures(root: Path) -> None:
    before = sorted(root.rglob("*"))
    read(root)
    assert sorted(root.rglob("*")) == before


# what is refused


def replace(path: Path, picture: Image.Image) -> None:
    picture.save(path)


Wrong = dict[str, tuple[Callable[[Path], object], str]]
WRONG_FOLDERS: Wrong = {
    "no train": (lambda root: shutil.rmtree(root / "train"), r"there is no folder .*/train; dataset.root must"),
    "no test": (lambda root: shutil.rmtree(root / "test"), r"there is no folder .*/test"),
    "no classes": (lambda root: [shutil.rmtree(p) for p in (root / "train").iterdir()], "has no class folders"),
    "empty class": (lambda root: [p.unlink() for p in (root / "test/cat").iterdir()], "test/cat has no pictures"),
    "other classes": (lambda root: (root / "test/cat").rename(root / "test/dog"), "only in one: cat, dog"),
}
WRONG_PICTURES: Wrong = {
    "no picture": (lambda root: (root / "train/bee/1.png").write_bytes(b"?" * 99), "bee/1.png cannot be decoded"),
    "truncated": (
        lambda root: (root / "test/ant/1.png").write_bytes((root / "test/ant/1.png").read_bytes()[:-30]),
        "test/ant/1.png cannot be decoded",
    ),
    "empty": (lambda root: (root / "train/ant/0.png").write_bytes(b""), "train/ant/0.png cannot be decoded"),
    "unequal": (
        lambda root: replace(root / "test/bee/0.png", Image.new("RGB", (7, 6))),
        r"train/ant/0.png has 7×5 pixels, .*/test/bee/0.png has 7×6; resize",
    ),
    "turned": (lambda root: replace(root / "train/cat/0.png", Image.new("RGB", (5, 7))), "cat/0.png has 5×7"),
    "16 bits": (lambda root: replace(root / "train/cat/0.png", Image.new("I;16", (7, 5))), "more than 8 bits"),
}


@pytest.mark.parametrize("key", [*WRONG_FOLDERS, *WRONG_PICTURES])
def test_refused(key: str, root: Path, cache: Path) -> None:
    harm, message = (WRONG_FOLDERS | WRONG_PICTURES)[key]
    harm(root)
    with pytest.raises(BadInput, match=message) as caught:
        read(root)
    assert str(caught.value).startswith("dataset image_folder: ")
    assert "\n" not in str(caught.value)
    assert not cache.exists()


@pytest.mark.parametrize("decoded_in", [in_processes, in_threads])
@pytest.mark.parametrize("key", WRONG_PICTURES)
def test_pictures_are_refused_wherever_they_are_decoded(
    key: str, decoded_in: Callable[[Path], object], root: Path
) -> None:
    harm, message = WRONG_PICTURES[key]
    harm(root)
    with pytest.raises(BadInput, match=message) as caught:
        decoded_in(root)
    assert str(caught.value).startswith("dataset image_folder: ")
    assert "\n" not in str(caught.value)


def test_unreadable_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("train/ant"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BadInput, match="train/ant cannot be read: Permission denied"):
        read(root)


def test_more_pictures_than_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: 20)
    with pytest.raises(BadInput, match=r"18 pictures of 7×5 pixels need .* GB"):
        read(root)


def test_worker_that_is_killed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, original = os.getpid(), Image.open

    def die(path: str) -> Any:
        if os.getpid() != parent:
            os.kill(os.getpid(), 9)
        return original(path)

    monkeypatch.setattr(Image, "open", die)
    with pytest.raises(RunFailed, match="out of memory"):
        in_processes(root)
