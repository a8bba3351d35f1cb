"""The data set that comes with the package: small, real, and there without a network."""

import gzip
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from lossscape.data.labels import stratified
from lossscape.data.split import RawData, Split

TEST_SIZE = 360
SPLIT_SEED = 0


def digits(root: Path) -> RawData:
    """The 1,797 handwritten digits of UCI, 8×8 pixels of 0 to 16 (here 0 to 1): 1,437 to train, 360 to test.

    The split is stratified and fixed: it does not move with any seed of a config. `root` is not looked at.
    Source: see embedded/ATTRIBUTION.md.
    """
    packed = files("lossscape.data").joinpath("embedded", "digits.csv.gz").read_bytes()
    rows = np.array([line.split(b",") for line in gzip.decompress(packed).splitlines()]).astype(np.int64)
    inputs = torch.from_numpy(rows[:, :-1]).to(torch.float32).div(16).reshape(-1, 1, 8, 8)
    targets = torch.from_numpy(rows[:, -1].copy())
    test = torch.zeros(len(targets), dtype=torch.bool)
    test[stratified(targets, TEST_SIZE, SPLIT_SEED)] = True
    return RawData(
        train=Split(inputs[~test], targets[~test]),
        test=Split(inputs[test], targets[test]),
        classes=[str(digit) for digit in range(10)],
    )
