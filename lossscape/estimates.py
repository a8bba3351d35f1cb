"""Means of a whole split, estimated from a stratified subset of it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """A stratified subset of a split."""

    indices: Tensor
    """[n] indices in the split, ascending."""
    strata: Tensor
    """[n] number of each sample's stratum."""
    sizes: Tensor
    """[H] samples of each stratum in the whole split."""


def stratified(values: Tensor, sample: Sample) -> tuple[float, float]:
    """Stratified estimate of the mean of a whole split from values [n] of a subset, and its standard error.

    The mean is Σ W_h m_h with W_h the stratum's share of the whole, and its error √(Σ W_h² (1 − f_h) s_h²/n_h) with f_h
    the share of the stratum that is in the subset (Cochran, Sampling Techniques, 3rd ed., §5.3 and §5.4). Strata with
    one sample of several take their variance from the whole subset.
    """
    strata, sizes = sample.strata.to(values.device), sample.sizes.to(values.device).double()
    zeros = torch.zeros_like(sizes)
    count = zeros.index_add(0, strata, torch.ones_like(values))
    mean = zeros.index_add(0, strata, values) / count
    spread = zeros.index_add(0, strata, (values - mean[strata]) ** 2) / (count - 1).clamp(min=1)
    pooled = values.var() if len(values) > 1 else values.new_tensor(float("nan"))
    spread = torch.where((count > 1) | (sizes == count), spread, pooled)
    weights = sizes / sizes.sum()
    variance = (weights**2 * (1 - count / sizes) * spread / count).sum()
    return float((weights * mean).sum()), float(variance.sqrt())
