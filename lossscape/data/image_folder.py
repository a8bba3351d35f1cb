"""Pictures in class folders, decoded once and then kept as one tensor file in the cache folder."""

import contextlib
import hashlib
import json
import os
import pickle
import re
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lossscape.data.decode import decode
from lossscape.data.folders import DataFolder
from lossscape.data.mapped import beginning, is_whole, settle
from lossscape.data.split import RawData, Split
from lossscape.errors import BadInput
from lossscape.files import cache_folder, sweep, write_text
from lossscape.held import Held, Mapped

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
WHAT = "dataset image_folder"
SPLITS = ("train", "test")


class Listing(NamedTuple):
    """The picture files of a split, classes in alphabetical order, with what tells a changed file."""

    classes: list[str]
    paths: list[str]
    targets: list[int]
    stamps: list[str]


def image_folder(root: Path, mmap: bool = False, *, note: str = "") -> RawData:
    """Pictures of equal size in root/train/CLASS/ and root/test/CLASS/, in torchvision's ImageFolder order.

    note: said wherever a figure comes from this data, e.g. "JPEG copy".
    The tensors are kept in the cache folder and used while paths, sizes and times of all files stay the same; what has
    changed is said on stderr, and so is a cache that is damaged.
    Raises BadInput for a missing folder, an empty class, other classes in test than in train, a picture that
    cannot be decoded, or pictures of unequal size.
    """
    train, test = map(listing, folders_of_splits(root))
    if train.classes != test.classes:
        differing = ", ".join(sorted(set(train.classes) ^ set(test.classes)))
        raise BadInput(f"{WHAT}: {root}/train and /test must have the same classes; only in one: {differing}")
    stamps, cached, size = train.stamps + test.stamps, _cache_file(root), len(train.paths)
    targets = torch.tensor(train.targets), torch.tensor(test.targets)
    if mmap:
        whole = _in_a_file(cached.with_suffix(".bin"), train.paths + test.paths, stamps)
        parts = whole.part(slice(size)), whole.part(slice(size, None))
        return RawData(Split(parts[0], targets[0]), Split(parts[1], targets[1]), train.classes, note)
    before, pictures = _read(cached)
    if before != stamps:
        if before:
            _say(f"the pictures in {root} have changed since they were decoded: {changes(before, stamps)}")
        pictures = torch.from_numpy(decode(train.paths + test.paths, WHAT))
        _write(cached, {"listing": "\0".join(stamps), "pictures": pictures})
    return RawData(Split(pictures[:size], targets[0]), Split(pictures[size:], targets[1]), train.classes, note)


def folder_of_pictures(root: Path) -> DataFolder:
    """The folder that image_folder looks at when a config gives no root, and what it lacks."""
    return DataFolder("image_folder", root, [split for split in SPLITS if not (root / split).is_dir()])


def folders_of_splits(root: Path) -> list[Path]:
    """The folders of classes that pictures lie in."""
    return [root / split for split in SPLITS]


def listing(folder: Path) -> Listing:
    if not folder.is_dir():
        raise BadInput(f"{WHAT}: there is no folder {folder}; dataset.root must hold train/CLASS/ and test/CLASS/")
    found, start = Listing([], [], [], []), len(str(folder))
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] != ".")
        for target, name in enumerate(names):
            files = sorted(_files(str(folder / name)))
            if not files:
                raise BadInput(f"{WHAT}: {folder / name} has no pictures ({' '.join(EXTENSIONS)})")
            found.classes.append(name)
            for parent, file, size, changed in files:
                path = f"{parent}/{file}"  # texts: 60,000 Path objects would take a second
                found.paths.append(path)
                found.stamps.append(f"{folder.name}{path[start:]}\t{size}\t{changed}")
            found.targets.extend([target] * len(files))
    except OSError as error:
        raise BadInput(f"{WHAT}: {error.filename or folder} cannot be read: {error.strerror}") from None
    if not found.classes:
        raise BadInput(f"{WHAT}: {folder} has no class folders, one folder of pictures per class")
    return found


def _files(folder: str) -> list[tuple[str, str, int, int]]:
    """(folder, name, bytes, time changed in ns) of each picture at any depth; hidden names are left out."""
    files, inner = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] == ".":
                continue
            if entry.is_dir():
                inner.append(entry.path)
            elif entry.name.lower().endswith(EXTENSIONS):
                status = entry.stat()
                files.append((folder, entry.name, status.st_size, status.st_mtime_ns))
    for path in inner:
        files += _files(path)
    return files


def _cache_file(root: Path) -> Path:
    """One file per folder of pictures, so that a changed folder replaces its old tensors."""
    folder = root.resolve()
    slug = re.sub(r"[^A-Za-z0-9._-]+", "_", folder.name)[:40]
    return cache_folder() / "image_folder" / f"{slug}-{_sha256(str(folder))[:12]}.pt"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def changes(before: list[str], now: list[str]) -> str:
    """What differs between the stamps of two listings: how many files of each kind, with the name of the first."""
    old, new = ({name: rest for name, *rest in (stamp.rsplit("\t", 2) for stamp in each)} for each in (before, now))
    kinds = {
        "of another size or time": [name for name in new if name in old and old[name] != new[name]],
        "new": [name for name in new if name not in old],
        "gone": [name for name in old if name not in new],
    }
    found = [(f"{len(names):,} {kind}", names) for kind, names in kinds.items() if names]
    return ", ".join(f"{words} ({names[0]!r}{', …' if len(names) > 1 else ''})" for words, names in found)


def _in_a_file(path: Path, paths: list[str], stamps: list[str]) -> Held:
    """The decoded pictures of all files in a file of the cache folder, which is decoded to where it is not there.

    What is written to it is not kept in memory. Raises BadInput where the disk has no room.
    """
    said = path.with_suffix(".json")
    listing = _sha256("\0".join(stamps))
    try:
        facts = json.loads(said.read_text())
        kept = Mapped(path, torch.uint8, tuple(map(int, facts["shape"])))
        if facts["listing"] == listing and is_whole(kept):
            return Held(kept.open(), file=kept)
    except (OSError, ValueError, LookupError, TypeError):
        pass
    said.unlink(missing_ok=True)
    if path.parent.exists():
        sweep(path.parent)
    beside: list[Mapped] = []

    def room(shape: tuple[int, ...]) -> np.ndarray:
        beside.append(beginning(Mapped(path, torch.uint8, shape)))
        return beside[0].open_to_write().numpy()

    try:
        shape = decode(paths, WHAT, room=room).shape
        kept = Mapped(path, torch.uint8, shape)
        os.truncate(beside[0].path, kept.bytes)
        settle(beside[0], kept)
    finally:
        for each in beside:
            with contextlib.suppress(OSError):
                each.path.unlink(missing_ok=True)
    write_text(said, json.dumps({"listing": listing, "shape": list(shape)}))
    return Held(kept.open(), file=kept)


def _read(path: Path) -> tuple[list[str], torch.Tensor]:
    """The listing and the pictures that are kept, none where nothing is, or where it is damaged, which is said."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch.save stores checksums, and torch.load does not look at them
            whole = archive.testzip() is None
        kept = torch.load(path, mmap=True, weights_only=True) if whole else {}
        listing, pictures = kept["listing"].split("\0"), kept["pictures"]
        if pictures.dtype == torch.uint8 and pictures.dim() == 4 and len(pictures) == len(listing):
            return listing, pictures
    except OSError:
        return [], torch.empty(0)
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError):
        pass
    _say(f"the decoded pictures kept in {path} are damaged, or of another version: they are decoded again")
    return [], torch.empty(0)


def _say(words: str) -> None:
    print(f"lossscape: {words}", file=sys.stderr)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Keep decoded pictures; where the folder does not let us, say so and go on without."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        torch.save(content, beside)
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        _say(
            f"decoded pictures cannot be kept in {path.parent} ({error}); the next start decodes them again, unless "
            "LOSSSCAPE_CACHE names a writable folder"
        )
