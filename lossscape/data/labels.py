"""Choices that look at the labels alone: a stratified subset, and label noise.

Both draw from `numpy.random.RandomState`, whose streams NumPy keeps frozen (NEP 19), so that a seed means
the same samples with every version of numpy and torch.
"""

import numpy as np
import torch
from torch import Tensor


def random_state(*seed: int) -> np.random.RandomState:
    """A frozen random stream for one or more seeds of any size."""
    return np.random.RandomState(np.random.MT19937(list(seed)))


def proportional(counts: list[int], size: int) -> list[int]:
    """How many of `size` samples each class gets: in proportion to `counts`, summing to `size` exactly.

    Largest remainders get what rounding down leaves over (the first classes among equals), so no class is
    more than one away from its share size · count / total. Needs size ≤ sum(counts).
    """
    total = sum(counts)
    shares = [size * count // total for count in counts]
    remainders = [size * count % total for count in counts]
    for index in sorted(range(len(counts)), key=lambda i: -remainders[i])[: size - sum(shares)]:
        shares[index] += 1
    return shares


def stratified(targets: Tensor, size: int, *seed: int) -> Tensor:
    """Indices [size], ascending, of a random subset with the classes in proportion.

    targets: integer classes [N], N ≥ size; seed: one or more integers that choose the subset.
    """
    labels, state = targets.numpy(), random_state(*seed)
    present, counts = np.unique(labels, return_counts=True)
    chosen = [
        state.permutation(np.flatnonzero(labels == label))[:share]
        for label, share in zip(present, proportional(counts.tolist(), size), strict=True)
    ]
    return torch.from_numpy(np.sort(np.concatenate(chosen)).astype(np.int64))


def noisy(targets: Tensor, fraction: float, classes: int, *seed: int) -> tuple[Tensor, int]:
    """A copy of targets [N] in which round(fraction · N) are drawn anew, uniformly over all classes.

    Returns it with the number drawn anew (about 1/classes of them keep their label by chance).
    """
    count, state = round(fraction * len(targets)), random_state(*seed)
    where = state.permutation(len(targets))[:count]
    drawn = state.randint(0, classes, size=count, dtype=np.int64)
    result = targets.clone()
    result[torch.from_numpy(where)] = torch.from_numpy(drawn)
    return result, count
