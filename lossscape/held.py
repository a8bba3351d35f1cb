"""Inputs held as they were read, bytes of pictures or a file on the disk, and made into what a net sees when asked for.

float32 inputs take four bytes where a picture has one, and all of them at once what a machine may not have. Every
number goes through the same operations as one that is held as float32, so the bits are the same.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossscape.errors import BadInput, RunFailed

CPU = torch.device("cpu")
LARGE = 2**31
"""Bytes of float32 inputs from which uint8 pictures are held as uint8."""
ROWS = 256
"""Samples that are looked at together where all are read once."""


@dataclass(frozen=True, eq=False)
class Held:
    """Inputs [N, ...] that behave like the float32 tensor that a net sees where samples are counted and chosen.

    What is chosen by an index is a tensor; `part` gives others that are held alike.
    """

    values: Tensor
    """As they were read, uint8 or float32, on the CPU."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    """By channel, of what is normalised; None: not at all."""
    rows: range | Tensor | None = None
    """Which samples of the values these are, in their order, a tensor of int64 [N] where they are no range; None: all.
    """
    device: torch.device = CPU
    """Where the tensors that are asked for lie."""
    file: Mapped | None = None
    """The file that the values are mapped from: another process maps it too, in place of being sent the values."""

    dtype = torch.float32

    def __len__(self) -> int:
        return len(self.values if self.rows is None else self.rows)

    def __getitem__(self, indices: Any) -> Tensor:
        """Samples as the net sees them: a slice, a list or tensor of indices, or a number for one sample alone."""
        if isinstance(indices, int):
            return self[[indices]][0]
        return seen(self.raw(indices), self.mean, self.std, self.device)

    def raw(self, indices: Any) -> Tensor:
        """Samples as they were read, not copied where they lie side by side. Raises as `Mapped.check`."""
        if self.file is not None:
            self.file.check()
        return self.values[self._places(indices)]

    def part(self, indices: slice | Tensor) -> Held:
        """Some of the samples, held alike."""
        places = self._places(indices)
        rows = range(len(self.values))[places] if isinstance(places, slice) else places
        return replace(self, rows=rows)

    def _places(self, indices: Any) -> slice | Tensor:
        """Where in the values samples lie."""
        rows = range(len(self.values)) if self.rows is None else self.rows
        if isinstance(rows, range) and isinstance(indices, slice):
            found = rows[indices]
            return slice(found.start, found.stop, found.step)
        if isinstance(rows, range):
            rows = torch.arange(rows.start, rows.stop, rows.step)
        return rows[indices.cpu() if isinstance(indices, Tensor) else indices]

    @property
    def shape(self) -> torch.Size:
        """[N, ...]"""
        return torch.Size((len(self), *self.values.shape[1:]))

    @property
    def ndim(self) -> int:
        """Of all samples."""
        return self.values.ndim

    def is_floating_point(self) -> bool:
        """Of what the net sees."""
        return True

    def index_select(self, axis: int, indices: Tensor) -> Tensor:
        """Some of the samples as the net sees them."""
        return self[indices]

    def split(self, size: int) -> Iterator[Tensor]:
        """Batches of `size` samples, each made when it is asked for; the last may have fewer."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def to(self, device: Any) -> Held:
        """The same for a net on another device; the values stay where they are."""
        return replace(self, device=torch.device(device))

    def cpu(self) -> Held:
        """On the CPU."""
        return self.to("cpu")

    def __getstate__(self) -> dict[str, Any]:
        """In place of a file's values when it was written; of few of all samples those alone."""
        if self.file is not None:
            return self.__dict__ | {"values": self.file.written}
        if 2 * len(self) <= len(self.values):
            return self.__dict__ | {"values": self.raw(slice(None)).clone(), "rows": None}
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Raises BadInput where the file is not there as it was."""
        self.__dict__.update(state)
        if self.file is not None:
            written, self.__dict__["values"] = state["values"], self.file.open()
            if written != self.file.written:
                raise BadInput(f"{self.file.path}: was written anew meanwhile; run the same command again")


def raw_parts(inputs: Tensor | Held, size: int = ROWS) -> Iterator[Tensor]:
    """Inputs as they were read, so many samples at a time."""
    for start in range(0, len(inputs), size):
        span = slice(start, start + size)
        yield inputs.raw(span) if isinstance(inputs, Held) else inputs[span]


def seen(
    values: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None, device: torch.device | str
) -> Tensor:
    """A float32 copy on the device: pictures divided by 255, then (x − mean) / std per channel."""
    copy = values.to(device).to(dtype=torch.float32, copy=True)
    if values.dtype == torch.uint8:
        copy.div_(255)
    if mean is not None and std is not None:
        per_channel = [1, len(mean)] + [1] * (values.dim() - 2)
        copy.sub_(torch.tensor(mean, device=device).reshape(per_channel))
        copy.div_(torch.tensor(std, device=device).reshape(per_channel))
    return copy


@dataclass(frozen=True)
class Mapped:
    """A tensor in a file: where it begins, and its form."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int = 0

    @property
    def bytes(self) -> int:
        """Of the tensor."""
        return self.dtype.itemsize * torch.Size(self.shape).numel()

    @property
    def written(self) -> int:
        """When the file was last written, in nanoseconds."""
        return self.path.stat().st_mtime_ns

    def check(self) -> None:
        """Raise RunFailed where the file has become too short: what is read of a page beyond its end ends the process.

        One that was deleted since it was opened is still there for those that have it open.
        """
        with suppress(FileNotFoundError):
            if (size := self.path.stat().st_size) < self.offset + self.bytes:
                raise RunFailed(
                    f"{self.path}: the file of inputs (dataset.mmap) was cut to {size:,} bytes while it was read, from "
                    f"{self.offset + self.bytes:,}: run the same command again, which makes it anew"
                )

    def open_to_write(self) -> Tensor:
        """The tensor, in a file that is made for it: what is written to one comes to the other.

        Raises OSError where the disk has no room, which is taken at once: a write to a mapped page that finds none ends
        the process.
        """
        with self.path.open("wb") as file:
            if self.bytes and hasattr(os, "posix_fallocate"):
                try:
                    os.posix_fallocate(file.fileno(), 0, self.bytes)
                except OSError as error:
                    error.filename = str(self.path)
                    raise
        whole = torch.from_file(str(self.path), shared=True, size=self.bytes, dtype=torch.uint8)
        return whole.view(self.dtype).view(self.shape)

    def open(self) -> Tensor:
        """The tensor, of which the system keeps in memory what is used, and lets go of it where memory is short.

        It is only to be read: these are the file's own pages, which no limit on a process's data counts.
        Raises BadInput where the file is not there or too short: another machine may not see this one's cache.
        """
        try:
            values = np.memmap(self.path, np.uint8, "r", self.offset, (self.bytes,))
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{self.path}: the file of inputs (dataset.mmap) cannot be mapped here ({error}); other machines need "
                "a LOSSSCAPE_CACHE that all of them see"
            ) from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch has no tensors that are only to be read
            return torch.from_numpy(values).view(self.dtype).view(self.shape)
