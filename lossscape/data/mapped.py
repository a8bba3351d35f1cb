"""Inputs in files of the cache folder, mapped into memory: data that may be larger than the memory."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossscape.data.split import Split
from lossscape.errors import BadInput
from lossscape.files import cache_folder, save_tensors, sweep, write_text
from lossscape.held import Held, Mapped

FOLDER = "mapped"
"""In the cache folder."""


def in_files(
    name: str, key: str, shapes: Sequence[tuple[int, ...]], make: Callable[[list[Tensor]], list[Tensor]]
) -> list[tuple[Held, Tensor]]:
    """Inputs float32 of these shapes in files, made once, and what belongs to each.

    key: what tells them from all others; make: writes inputs into tensors and returns the targets of each. Raises
    BadInput where the disk has no room for them.
    """
    folder = cache_folder() / FOLDER
    stem = f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    files = [Mapped(folder / f"{stem}-{number}.bin", torch.float32, shape) for number, shape in enumerate(shapes)]
    said = folder / f"{stem}.pt"  # comes last: with it all are whole
    targets = _targets_in(said) if all(map(is_whole, files)) else None
    if targets is None:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        beside, opened = list[Mapped](), list[Tensor]()
        try:
            for file in files:  # one after the other: what one takes is no longer free for the next
                beside.append(beginning(file))
                opened.append(beside[-1].open_to_write())
            targets = make(opened)
            for each, file in zip(beside, files, strict=True):
                settle(each, file)
        finally:
            for each in beside:
                with suppress(OSError):
                    each.path.unlink(missing_ok=True)
        save_tensors(said, {"targets": targets})
    return [(Held(file.open(), file=file), own) for file, own in zip(files, targets, strict=True)]


def _targets_in(said: Path) -> list[Tensor] | None:
    """The targets in a file; None where it is not there, or damaged."""
    try:
        content: list[Tensor] = torch.load(said, weights_only=True)["targets"]
    except Exception:  # torch.load has no common error for broken files
        return None
    return content


def is_whole(file: Mapped) -> bool:
    """Whether a file is there in the size that it should have."""
    with suppress(OSError):
        return file.path.stat().st_size == file.offset + file.bytes
    return False


def beginning(file: Mapped) -> Mapped:
    """The file beside one that is to be written. Raises BadInput where the disk has no room."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(file.path.parent).free
    if free < file.bytes:
        raise BadInput(
            f"dataset.mmap: {file.bytes / 1e9:.3g} GB are to be kept in {file.path.parent}, where {free / 1e9:.3g} GB "
            "are free: let LOSSSCAPE_CACHE name a folder with more"
        )
    return Mapped(file.path.with_name(f".{file.path.name}.{os.getpid()}.part"), file.dtype, file.shape)


def settle(written: Mapped, file: Mapped) -> None:
    """Bring a file that is written to the disk, and to its place."""
    with written.path.open("rb") as content:
        os.fsync(content.fileno())
    os.replace(written.path, file.path)


def remembered(train: Split, test: Split, measure: Callable[[], dict[str, Any]], normalized: bool) -> dict[str, Any]:
    """What is measured of all inputs; of those in files it is kept, for reading them through takes long."""
    files = [split.inputs.file if isinstance(split.inputs, Held) else None for split in (train, test)]
    if not all(files):
        return measure()
    key = hashlib.sha256(str(normalized).encode())
    for split, file in zip((train, test), files, strict=True):
        assert isinstance(split.inputs, Held)
        assert file is not None
        status = file.path.stat()
        key.update(f"{file} {status.st_size} {status.st_mtime_ns}".encode())
        for rows in (split.inputs.rows, split.targets):
            key.update(rows.contiguous().numpy().data if isinstance(rows, Tensor) else str(rows).encode())
    kept = cache_folder() / FOLDER / f"{key.hexdigest()[:32]}.json"
    with suppress(OSError, ValueError):
        found = json.loads(kept.read_text())
        if isinstance(found, dict) and found.keys() == {"mean", "std", "sha256"}:
            return found
    found = measure()
    with suppress(OSError):
        write_text(kept, json.dumps(found))
    return found
