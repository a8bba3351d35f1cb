"""Which device computes, and what it can do."""

import contextlib
import functools
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lossscape.errors import BadInput


def pick(device: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` names. Raises BadInput where it is absent."""
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", device):
        raise BadInput(f"device {device!r} is not known; allowed: auto, cpu, cuda, cuda:N")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
            raise BadInput(
                f"device {device}: no CUDA device is available (torch {torch.__version__} is {built}); "
                "use --device cpu or auto, or install a CUDA build and driver"
            )
        number = int(device.partition(":")[2] or 0)
        if number >= torch.cuda.device_count():
            raise BadInput(f"device {device}: this machine has cuda:0 to cuda:{torch.cuda.device_count() - 1}")
    return torch.device(device)


@functools.cache
def fast_bf16(kind: str) -> bool:
    """Whether a kind of device (cpu, cuda) multiplies bf16 in hardware; elsewhere it is emulated and slow."""
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = _processor("flags") or _processor("Features")
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags.split()))


def _processor(key: str) -> str:
    """What Linux says of the first processor; empty where it does not."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.partition(":")[0].strip() == key:
                return line.partition(":")[2].strip()
    return ""


def memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def name_of(device: torch.device) -> str:
    """The device's name for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor("model name") or platform.processor() or platform.machine()


def facts(device: torch.device) -> dict[str, Any]:
    """Device, threads and versions: what the bits of a result depend on."""
    packages = ("lossscape", "torch", "torchvision", "numpy")
    return {
        "device": {"type": device.type, "name": name_of(device), "fast_bf16": fast_bf16(device.type)},
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in packages},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
