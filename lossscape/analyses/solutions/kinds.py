"""Kinds of solution by epoch: local, global and true minima, by the definitions of Wang and Thawonmas (IPSJ).

T_i is the training loss after epoch i and V_i the test loss. Epoch i is a local minimum (LM) where T_{i+1} ≈ T_i, a
global minimum (GM) where T_{i+1} ≈ T_i ≈ 0, and a true minimum (TM) where T_{i+1} ≈ T_i ≈ V_i ≈ 0. What ≈ means is
said by a Rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lossscape.analyses.solutions.request import Rule

KINDS = ("none", "LM", "GM", "TM")
"""From the weakest to the strongest; each includes those before it, so a TM is a GM and a GM is an LM."""
OPEN = -1
"""The kind of an epoch after which too few epochs follow."""
LOSSES = ("train_loss", "test_loss")


def relative_changes(train: np.ndarray) -> np.ndarray:
    """|T_{i+1} − T_i| / max(|T_i|, |T_{i+1}|) [N − 1] of T [N]: 0 from 0 to 0, NaN where one is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        greater = np.maximum(np.abs(train[1:]), np.abs(train[:-1]))
        return np.where(greater == 0, 0.0, np.abs(np.diff(train)) / np.where(greater == 0, 1.0, greater))


def kinds(train: np.ndarray, test: np.ndarray, rule: Rule) -> np.ndarray:
    """The kind of each epoch [N] as an index into KINDS, OPEN for the last `window` epochs.

    train, test: T and V of epochs in succession [N].
    """
    still = relative_changes(train) <= rule.tolerance
    low, test_low = np.abs(train) <= rule.zero, np.abs(test) <= rule.zero
    still |= low[1:] & low[:-1]
    held = (still * (1 + low[:-1] * (1 + test_low[:-1]))).astype(int)
    found = np.full(len(train), OPEN)
    if len(train) > rule.window:
        found[: -rule.window] = sliding_window_view(held, rule.window).min(axis=1)
    return found


@dataclass(frozen=True)
class Solved:
    """What was found in one run."""

    run: str
    config: str
    """Shared by the runs that differ in nothing but their seed."""
    seed: int
    epochs: np.ndarray
    """[N], one after the other."""
    losses: Mapping[str, np.ndarray]
    """train_loss and test_loss [N]."""
    kinds: np.ndarray
    """[N], see `kinds`."""

    def first(self, kind: str) -> int | None:
        """The first epoch of a kind or a stronger one; None where no epoch known so far is."""
        reached = np.nonzero(self.kinds >= KINDS.index(kind))[0]
        return int(self.epochs[reached[0]]) if len(reached) else None

    @property
    def open_from(self) -> int:
        """The first epoch whose kind is not known: one that was not reached before comes no earlier."""
        return int(self.epochs[np.argmax(self.kinds == OPEN)])
