"""Seconds and memory of what is large: points, runs, checkpoints, epochs. `make load` tells.

Each command is a process of its own, whose peak memory is nobody else's.
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from lossscape.manifest import NAME
from tests.processes import REPOSITORY

CONFIG = """\
name: {name}
dataset: {{name: digits, train_size: {train}, test_size: 20}}
model: {{name: mlp, hidden: [64, 32]}}
optimizer: {{name: momentum, lr: 0.01}}
training: {{epochs: {epochs}, batch_size: {batch}, checkpoint_every: {every}{more}}}
"""
PICTURES = """\
name: pictures
dataset: {name: tensors, file: pictures.pt}
model: {name: cnn, channels: [4]}
optimizer: {name: momentum, lr: 0.01}
training: {epochs: 1, batch_size: 100}
"""
BEYOND = """\
name: beyond
dataset: {name: synthetic, shape: [3, 64, 64], train: 400000, test: 1000, mmap: true}
model: {name: mlp, hidden: [8]}
optimizer: {name: momentum, lr: 0.01}
training: {epochs: 1, batch_size: 1000}
"""
RUNS, PAGES = 1000, 50
DATA_BYTES = 8 * 10**9
"""That a process may hold of its own where the data are beyond the memory (ulimit -d); the pages of files that it maps
are the system's, which takes them back where memory is short."""
ROWS = {
    "points": "1,001 x 1,001 points of the digits net on 100 samples",
    "runs": f"{RUNS:,} runs in `lossscape runs`, and a page of {PAGES}",
    "checkpoints": "10,000 checkpoints in a run",
    "epochs": "metrics.csv of 5,000 epochs",
    "pictures": "10,000 pictures of 224 x 224 pixels, 1,505 MB as bytes",
    "beyond": "20 GB of synthetic pictures in a file, 8 GB of memory (ulimit -d)",
}


def timed(folder: Path, *words: str, most: int = resource.RLIM_INFINITY) -> tuple[float, float]:
    """Seconds and MB of a command, which has to succeed; most: bytes of data that it may hold."""
    begin = time.perf_counter()
    child = os.fork()
    if not child:
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.environ |= {"PYTHONPATH": str(REPOSITORY), "LOSSSCAPE_CACHE": str(folder / "cache")}
        os.execv(sys.executable, [sys.executable, "-m", "lossscape", *words])
    _, status, used = os.wait4(child, 0)
    if status:
        sys.exit(f"lossscape {' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begin, used.ru_maxrss / 1000


def trained(folder: Path, name: str, train: int, epochs: int, batch: int, every: int, more: str = "") -> list[str]:
    """The words that train a run, whose config is written."""
    text = CONFIG.format(name=name, train=train, epochs=epochs, batch=batch, every=every, more=more)
    (folder / f"{name}.yaml").write_text(text)
    return ["train", f"{name}.yaml", "--quiet"]


def points(folder: Path) -> Iterator[list[str]]:
    """A surface of a million points."""
    yield trained(folder, "small", 100, 3, 50, 1)
    yield ["landscape", "runs/small", "--grid", "1001", "--quiet"]
    yield ["landscape", "runs/small", "--grid", "1001", "--quiet"]  # again, as it lies there
    (result,) = (folder / "runs" / "small" / "landscape").iterdir()
    lines = (result / "surface.csv").read_text().splitlines(keepends=True)
    (result / "points.csv").write_text("".join(lines[:-1000]))  # as a kill leaves it near its end
    for name in ("surface.csv", "certificate.json", NAME):
        (result / name).unlink()
    yield ["landscape", "runs/small", "--grid", "1001", "--quiet"]
    yield ["report", "runs/small"]


def runs(folder: Path) -> Iterator[list[str]]:
    """Many runs, which are copies of one."""
    yield trained(folder, "small", 100, 3, 50, 1)
    yield ["landscape", "runs/small", "--grid", "5", "--quiet"]
    for number in range(RUNS):
        shutil.copytree(folder / "runs" / "small", folder / "runs" / f"run-{number:04}", copy_function=os.link)
    yield ["runs"]
    yield ["report", *(f"runs/run-{number:04}" for number in range(PAGES))]


def checkpoints(folder: Path) -> Iterator[list[str]]:
    """A checkpoint for every step."""
    yield trained(folder, "steps", 100, 1000, 10, 1, ", checkpoint_every_steps: 1")
    yield ["interpolate", "runs/steps", "--points", "11", "--quiet"]
    yield ["landscape", "runs/steps", "--grid", "5", "--directions", "pca", "--path", "--quiet"]
    yield ["report", "runs/steps"]
    yield ["runs"]


def epochs(folder: Path) -> Iterator[list[str]]:
    """Many rows of metrics.csv."""
    yield trained(folder, "long", 20, 5000, 20, 0)
    yield ["solutions", "runs/long", "--quiet"]
    yield ["report", "runs/long"]
    yield ["runs"]


def pictures(folder: Path) -> Iterator[list[str]]:
    """Pictures of the size that nets for ImageNet take."""
    inputs, targets = torch.randint(0, 256, (10_000, 3, 224, 224), dtype=torch.uint8), torch.arange(10_000) % 10
    content = {"train_inputs": inputs[:9900], "train_targets": targets[:9900]}
    torch.save(content | {"test_inputs": inputs[9900:], "test_targets": targets[9900:]}, folder / "pictures.pt")
    (folder / "pictures.yaml").write_text(PICTURES)
    yield ["train", "pictures.yaml", "--quiet"]
    yield ["landscape", "runs/pictures", "--grid", "3", "--quiet"]


def beyond(folder: Path) -> Iterator[list[str]]:
    """Data that do not fit into the memory."""
    (folder / "beyond.yaml").write_text(BEYOND)
    yield ["train", "beyond.yaml", "--quiet"]
    yield ["landscape", "runs/beyond", "--grid", "11", "--quiet"]


LIMITS = {"beyond": DATA_BYTES}
MADE = {
    "points": points,
    "runs": runs,
    "checkpoints": checkpoints,
    "epochs": epochs,
    "pictures": pictures,
    "beyond": beyond,
}


def main(words: list[str] | None = None) -> int:
    """Make what is large, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make load", description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="which (all)")
    given = parser.parse_args(words)
    print(f"{'seconds':>8}  {'peak MB':>8}  command")
    for row in given.rows:
        print(f"{'':8}  {'':8}  {ROWS[row]}:")
        with tempfile.TemporaryDirectory(prefix="load-") as name:
            for command in MADE[row](Path(name)):
                seconds, memory = timed(Path(name), *command, most=LIMITS.get(row, resource.RLIM_INFINITY))
                shown = " ".join(command)
                print(f"{seconds:8.1f}  {memory:8,.0f}  lossscape {shown[:80]}{'…' * (len(shown) > 80)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
