"""What runs in a worker process: it takes the work once, then evaluates blocks of its rows."""

import asyncio
import functools
import hashlib
import json
import os
import pickle
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import lossscape
from lossscape import devices
from lossscape.evaluate.cluster.payload import layout, unpack

Numbers = Mapping[str, int]
ROOT = Path(lossscape.__file__).parent
_one_block = threading.Lock()
_arriving: dict[tuple[str, str], Tensor] = {}
_works: dict[str, tuple[Any, torch.device | None]] = {}


@functools.cache
def versions() -> dict[str, str]:
    """What must be the same wherever points of one result are evaluated."""
    code = hashlib.sha256()
    for pattern in ("*.py", "evaluate/**/*.py", "models/*.py", "train/*.py", "data/*.py", "optimizers/*.py"):
        for file in sorted(ROOT.glob(pattern)):
            code.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    known = devices.facts(torch.device("cpu"))["versions"]
    return {
        "dask": metadata.version("distributed"),
        "python": known["python"].rpartition(".")[0],
        "torch": known["torch"].partition("+")[0],  # CPU and CUDA builds of a version work together
        "lossscape": f"{known['lossscape']} (code {code.hexdigest()[:8]})",
    }


def handshake(key: str) -> tuple[dict[str, str], bool]:
    """The versions here, and whether the work `key` is here already."""
    return versions(), key in _works


def begin(key: str, delivery: str, sizes: Sequence[int]) -> None:
    """A payload is about to arrive; an earlier one that broke off is dropped."""
    _drop_arriving(key)
    _arriving[key, delivery] = torch.empty(layout(sizes)[1], dtype=torch.uint8)


def take(key: str, delivery: str, offset: int, piece: bytes) -> None:
    """A piece of it."""
    _arriving[key, delivery].numpy()[offset : offset + len(piece)] = np.frombuffer(piece, np.uint8)


async def finish(key: str, delivery: str, sizes: Sequence[int], numbers: Numbers | None, dask_worker: Any) -> None:
    """All of it has arrived: unpack it. numbers: workers' numbers among those of their machine, where GPUs are used."""
    await _keep(key, _arriving.pop((key, delivery)), sizes, numbers, dask_worker.address)


async def fetch(key: str, file: str, sizes: Sequence[int], numbers: Numbers | None, dask_worker: Any) -> None:
    """The payload lies in a file of this machine, whose pages all of its workers share: unpack it from there."""
    stream = torch.from_file(file, shared=False, size=layout(sizes)[1], dtype=torch.uint8)
    await _keep(key, stream, sizes, numbers, dask_worker.address)


async def _keep(key: str, stream: Tensor, sizes: Sequence[int], numbers: Numbers | None, address: str) -> None:
    device = None if numbers is None else own_device(numbers[address])
    _works[key] = await asyncio.to_thread(unpack, stream, sizes, device), device


def gpus() -> list[torch.device]:
    """The GPUs that this process sees; CUDA_VISIBLE_DEVICES, which Slurm sets, may show it some or one of them."""
    return [torch.device("cuda", number) for number in range(torch.cuda.device_count())]


def own_device(number: int) -> torch.device:
    """The GPU of the worker of this number among those of its machine. Raises RuntimeError where there is none."""
    seen = gpus()
    if not seen:
        raise RuntimeError("the work is for a GPU and there is none here; start with --device cpu")
    return seen[number % len(seen)]


def forget(key: str) -> None:
    """Drop a work, and what has arrived of it."""
    _drop_arriving(key)
    _works.pop(key, None)


def _drop_arriving(key: str) -> None:
    for arrival in [arrival for arrival in _arriving if arrival[0] == key]:
        del _arriving[arrival]


def evaluate(key: str, packed: bytes) -> bytes | None:
    """Seconds and the rows of blocks, None where the work is not here; packed: the plan, the blocks and the threads.

    One bundle at a time, however many threads the worker has for tasks: all cores belong to it.
    """
    with _one_block:
        if key not in _works:
            return None
        work, device = _works[key]
        plan, blocks, threads = pickle.loads(packed)
        torch.set_num_threads(threads)  # OpenMP counts them for each thread that asks
        if device is not None and device.type == "cuda":
            torch.cuda.set_device(device)
        begin = time.perf_counter()
        found = [work.rows(keys, plan) for keys in blocks]
        return pickle.dumps((time.perf_counter() - begin, found))


def serve() -> None:
    """Be a worker process of this machine: ADDRESS NAME FOLDER, and on stdin a line with the key."""
    address, name, folder = sys.argv[1:]
    secret = json.loads(sys.stdin.buffer.readline())  # before the thread, which reads on
    threading.Thread(target=_leave_with_driver, args=(folder,), daemon=True).start()
    asyncio.run(_serve(address, name, folder, secret))


async def _serve(address: str, name: str, folder: str, secret: dict[str, str]) -> None:
    import dask.config
    from distributed import Security, Worker

    dask.config.set({"distributed.worker.profile.enabled": False, "distributed.worker.http.routes": []})
    worker = Worker(
        address, name=name, nthreads=1, host="127.0.0.1", local_directory=folder, memory_limit=0,
        security=Security(require_encryption=True, **secret), death_timeout=60,
    )  # fmt: skip
    async with worker:
        Path(folder, f"{os.getpid()}.up").touch()
        await worker.finished()


def _leave_with_driver(folder: str) -> None:
    """End at once where the driver ends, however it ends: it alone holds the other end of stdin."""
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
