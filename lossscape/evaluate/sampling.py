"""One seeded stratified subset of a split, the same at every point of a result."""

import torch
from torch import Tensor

from lossscape.data.labels import stratified
from lossscape.errors import BadInput
from lossscape.estimates import Sample
from lossscape.metrics import are_distributions

PURPOSE = 4
"""Second seed, so that the choice shares no random stream with those of a data set."""


def stratified_sample(targets: Tensor, number: int, seed: int = 0) -> Sample:
    """`number` samples of a split, each class in its share of the whole, drawn without replacement.

    targets: class numbers [N], or distributions [N, C], which count by their largest entry; of others all samples make
    one stratum. Classes of which fewer than two samples are drawn make one together, so that each has a variance.
    Raises BadInput where number is below 2 or above N.
    """
    if not 2 <= number <= len(targets):
        raise BadInput(f"--samples {number}: give 2 to {len(targets):,}, all samples of the split")
    labels = _labels(targets).cpu()
    indices = stratified(labels, number, seed, PURPOSE)
    _, strata, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    drawn = torch.bincount(strata[indices], minlength=len(sizes))
    order = torch.argsort(drawn, stable=True)
    few = int((drawn < 2).sum())
    if few and int(drawn[order[:few]].sum()) < 2:
        few += 1
    merged = torch.arange(len(sizes))
    merged[order[:few]] = order[0]
    _, renumbered = torch.unique(merged, return_inverse=True)
    whole = torch.bincount(renumbered[strata], minlength=int(renumbered.max()) + 1)
    return Sample(indices, renumbered[strata][indices], whole)


def _labels(targets: Tensor) -> Tensor:
    """The classes by which a split is divided; one for all where samples have no class."""
    if targets.ndim == 1 and not targets.is_floating_point():
        return targets
    shares = targets.ndim == 2 and targets.is_floating_point() and are_distributions(targets)
    return targets.argmax(1) if shares else torch.zeros(len(targets), dtype=torch.int64)
