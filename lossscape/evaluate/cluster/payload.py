"""What a worker needs, packed once to travel as one stream of bytes.

Tensors travel beside the pickle, uncopied where they are dense on the CPU, and arrive with the strides and the
alignment of torch's own, so that a worker computes the same bits. Tensors of a GPU arrive on the worker's own.
"""

import hashlib
import io
import itertools
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
import torch
from torch import Tensor

from lossscape import usercode

ALIGNMENT = 64
"""Bytes; torch aligns its own tensors so, and some CPU kernels' last bits depend on it."""
PIECE_BYTES = 32 * 2**20
OWN_DEVICE = "the worker's own device"


@dataclass(frozen=True)
class Payload:
    """Anything, packed: the buffers are views of its own memory and are not to be changed."""

    key: str
    """A hash of the content: a worker that has it already is sent nothing."""
    buffers: Sequence[memoryview]
    """The pickle first."""
    gpu: bool
    """Whether there are tensors of a GPU."""

    @property
    def sizes(self) -> list[int]:
        """Bytes of each buffer."""
        return [len(buffer) for buffer in self.buffers]

    def pieces(self, most: int = PIECE_BYTES) -> Iterator[tuple[int, bytes]]:
        """The stream in pieces of at most so many bytes: (offset, bytes)."""
        starts, total = layout(self.sizes)
        for begin in range(0, total, most):
            end = min(begin + most, total)
            yield begin, b"".join(self._between(starts, begin, end)).ljust(end - begin, b"\0")

    def _between(self, starts: Sequence[int], begin: int, end: int) -> Iterator[bytes | memoryview]:
        """What the stream holds between two offsets, but for trailing zeros."""
        at = begin
        for start, buffer in zip(starts, self.buffers, strict=True):
            first, last = max(begin, start), min(end, start + len(buffer))
            if first < last:
                yield bytes(first - at)
                yield buffer[first - start : last - start]
                at = last


def layout(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where each buffer begins in the stream, and the stream's length."""
    ends = list(itertools.accumulate(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes))
    return [0, *ends[:-1]], ends[-1]


def pack(content: object) -> Payload:
    """Pack anything that cloudpickle can pickle (functions of __main__ and lambdas among it)."""
    for module in usercode.loaded():
        cloudpickle.register_pickle_by_value(module)
    file = io.BytesIO()
    beside: list[memoryview] = []
    pickler = _Pickler(file, beside)
    pickler.dump(content)
    buffers = [memoryview(file.getvalue()), *beside]
    digest = hashlib.sha256()
    for buffer in buffers:
        digest.update(len(buffer).to_bytes(8))
        digest.update(buffer)
    return Payload(digest.hexdigest(), buffers, pickler.gpu)


def unpack(stream: Tensor, sizes: Sequence[int], device: torch.device | None) -> Any:
    """What was packed, from its stream (uint8), whose memory it goes on using; device: in place of any GPU."""
    memory: memoryview = stream.numpy().data
    starts, _ = layout(sizes)
    first, *others = [memory[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    return _Unpickler(first, others, device).load()


class _Pickler(cloudpickle.Pickler):
    def __init__(self, file: io.BytesIO, beside: list[memoryview]) -> None:
        super().__init__(file, protocol=5, buffer_callback=lambda buffer: beside.append(buffer.raw()))
        self.gpu = False
        self._storages: dict[tuple[str, int], _Storage] = {}

    def persistent_id(self, content: object) -> str | None:
        if not isinstance(content, torch.device) or content.type != "cuda":
            return None
        self.gpu = True
        return OWN_DEVICE

    def reducer_override(self, content: Any) -> Any:
        if type(content) is _Storage:
            return _arrived, (content.flat.cpu().numpy(), content.flat.device)
        if type(content) is Tensor and content.layout == torch.strided and not content.is_quantized:
            return self._reduce(content.detach().resolve_conj().resolve_neg())
        return super().reducer_override(content)

    def _reduce(self, tensor: Tensor) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        """Tensors of one storage stay so; of a view of a larger one, only the view travels."""
        if tensor.numel() * tensor.itemsize != tensor.untyped_storage().nbytes():
            tensor = tensor.clone()
        memory = (str(tensor.device), tensor.untyped_storage().data_ptr())
        storage = self._storages.setdefault(memory, _Storage(tensor))
        return _seen, (storage, tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.storage_offset())


class _Storage:
    """A tensor's bytes; it keeps their memory, so that no other tensor's come to lie there."""

    def __init__(self, tensor: Tensor) -> None:
        self.flat = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: memoryview, beside: Sequence[memoryview], device: torch.device | None) -> None:
        super().__init__(io.BytesIO(content), buffers=beside)
        self._device = device

    def persistent_load(self, name: str) -> torch.device | None:
        return self._device


def _arrived(array: np.ndarray, device: torch.device) -> Tensor:
    """A storage's bytes on the device; an empty array comes without writable memory."""
    flat = torch.from_numpy(array) if array.size else torch.empty(0, dtype=torch.uint8)
    return flat.to(device)


def _seen(flat: Tensor, dtype: torch.dtype, shape: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Tensor:
    return flat.view(dtype).as_strided(shape, stride, offset)
