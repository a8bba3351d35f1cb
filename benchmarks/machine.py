"""What a process holds and what the machine can do."""

import ctypes
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from lossscape.onednn import has_onednn, linear

SIZE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices whose product tells what the machine can do."""


def peak_memory() -> int:
    """The most memory that this process has held at a time, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak() -> None:
    """Let `peak_memory` start anew from what is held now, on Linux; elsewhere it goes on as it was.

    What was freed and kept for later is given back first.
    """
    with suppress(OSError, AttributeError):  # not every C library has it
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def product_rate(precision: str, seconds: float, device: str = "cpu") -> float:
    """Floating-point operations a second in the fastest of some products of square matrices of random numbers.

    In fp32 on the CPU by torch's own product and oneDNN's in turns: MKL does without AVX-512 on some processors.
    """
    place = torch.device(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    size = SIZE[place.type]
    generator = torch.Generator(place).manual_seed(0)
    a, b = (torch.randn(size, size, generator=generator, device=place).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    ways: list[Callable[[], object]] = [lambda: torch.mm(a, b, out=out)]
    if place.type == "cpu" and precision == "fp32" and has_onednn():
        ways.append(lambda: linear(a, b, None))
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        for way in ways:
            begin = time.perf_counter()
            way()
            if place.type == "cuda":
                torch.cuda.synchronize(place)
            best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best
