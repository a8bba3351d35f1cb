"""Many picture files into one array, on all cores."""

import math
import mmap
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lossscape.data.check import check_memory
from lossscape.errors import BadInput, RunFailed
from lossscape.progress import Progress

Pixels = NDArray[np.uint8]

GREY = ("1", "L", "LA")
DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
BLOCK = 250
"""Files that a worker is given at once."""
PROCESSES_FROM = 2000
"""Files from which processes pay: a small one costs more Python than decoding, which holds threads up."""


def decode(
    paths: list[str], what: str, *, room: Callable[[tuple[int, ...]], Pixels] | None = None,
    processes_from: int = PROCESSES_FROM, block: int = BLOCK,
) -> Pixels:  # fmt: skip
    """Pictures [N, C, H, W] in the order of `paths`: grey (C = 1) where all of them are, else RGB (C = 3).

    Transparency is dropped, palettes are resolved, the first frame is taken, rotation tags are not followed.
    what: the name that errors begin with; room: gives an array of a shape, say in a file, that forked processes write
    to, and at whose begin pictures come to lie that are all grey; by default one in memory; processes_from: files from
    which they are decoded in processes, else in threads; block: files that each of these is given at once. Raises
    BadInput that names the file which cannot be decoded, has more than 8 bits per channel, or has another size than the
    first.
    """
    height, width = _decode_one(paths[0], what)[0].shape[:2]
    shape = len(paths), 3, height, width
    if room is None:
        check_memory(math.prod(shape), f"{what}: {len(paths)} pictures of {width}×{height} pixels")
    pictures = (room or _in_memory)(shape)
    blocks = [range(start, min(start + block, len(paths))) for start in range(0, len(paths), block)]
    grey = True
    progress = Progress("decoding pictures", len(paths), "pictures", quiet=not sys.stderr.isatty())
    with progress, _pool(partial(_decode_block, paths, pictures, what), len(paths) >= processes_from) as run:
        for indices, all_grey in zip(blocks, run(blocks), strict=True):
            grey = grey and all_grey
            progress.advance(len(indices))
    if not grey:
        return pictures
    return np.ascontiguousarray(pictures[:, :1]) if room is None else _first_channels(pictures)


def _in_memory(shape: tuple[int, ...]) -> Pixels:
    """Shared with forked processes, and not held to the size of /dev/shm."""
    return np.frombuffer(mmap.mmap(-1, math.prod(shape)), np.uint8).reshape(shape)


def _first_channels(pictures: Pixels) -> Pixels:
    """The first channel of each picture, moved to the begin of the same memory."""
    count, _, height, width = pictures.shape
    flat, size = pictures.reshape(-1), height * width
    for index, picture in enumerate(pictures):
        flat[index * size : (index + 1) * size] = picture[0].ravel()
    return flat[: count * size].reshape(count, 1, height, width)


def _decode_block(paths: list[str], pictures: Pixels, what: str, block: range) -> bool:
    """Decode some of the files into the array, and say whether all of them were grey."""
    grey = True
    for index in block:
        picture, is_grey = _decode_one(paths[index], what)
        if picture.shape[:2] != pictures.shape[2:]:
            (height, width), (other_height, other_width) = pictures.shape[2:], picture.shape[:2]
            raise BadInput(
                f"{what}: pictures must be equal in size; {paths[0]} has {width}×{height} pixels, "
                f"{paths[index]} has {other_width}×{other_height}; resize them first"
            )
        pictures[index] = picture if is_grey else picture.transpose(2, 0, 1)
        grey = grey and is_grey
    return grey


def _decode_one(path: str, what: str) -> tuple[Pixels, bool]:
    """The pixels [H, W] of a grey picture or [H, W, 3] of another, and whether it is grey."""
    try:
        with Image.open(path) as image:
            if image.mode in DEEP:
                raise BadInput(f"{what}: {path} has more than 8 bits per channel; convert it to 8 bits")
            if image.mode in GREY:
                return np.asarray(image.convert("L")), True
            if image.mode == "P" and "transparency" in image.info:
                return np.asarray(image.convert("RGBA").convert("RGB")), False
            return np.asarray(image.convert("RGB")), False
    except BadInput:
        raise
    except Exception as error:  # decoders raise many kinds on broken bytes, and all mean the same here
        raise BadInput(f"{what}: {path} cannot be decoded ({error}); replace or remove it") from None


Job = Callable[[range], bool]
_inherited: list[Job] = []
"""The job of a forked process: handed over by the fork, as sending it would copy every path and picture."""


def _inherit(job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer, once
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _inherited.append(job)


def _run_inherited(block: range) -> bool:
    return _inherited[-1](block)


@contextmanager
def _pool(job: Job, processes: bool) -> Iterator[Callable[[Iterable[range]], Iterator[bool]]]:
    """Something that maps a job over blocks, in order, on all cores; processes: in place of threads, on Linux."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool: Executor
    if sys.platform == "linux" and workers > 1 and processes:
        # fork: a spawned process would import torch, and run the script of a caller without a main guard
        context = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(workers, context, initializer=_inherit, initargs=(job,))
        task: Job = _run_inherited
    else:
        pool, task = ThreadPoolExecutor(workers), job
    with pool, warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads; these processes use nothing but PIL and NumPy
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        try:
            yield lambda blocks: pool.map(task, blocks)
        except BrokenExecutor as error:
            raise RunFailed("a process that decoded pictures was ended from outside (out of memory?)") from error
        finally:
            pool.shutdown(cancel_futures=True)
