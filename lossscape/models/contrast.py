"""Local contrast normalisation, a layer of maps without parameters."""

import torch
from torch import Tensor, nn

WINDOW = 9
"""Jarrett et al. take windows of 9 × 9."""
SPREAD = WINDOW / 4
"""Standard deviation of the Gaussian, in pixels; the paper names none."""
LEAST = 1e-6
"""Least divisor, so that maps that are constant give 0 and have a gradient."""


class LocalContrast(nn.Module):
    """Subtractive, then divisive normalisation (Jarrett, Kavukcuoglu, Ranzato and LeCun, ICCV 2009, section 2.1).

    v_ijk = x_ijk − Σ_ipq w_pq x_i,j+p,k+q and y_ijk = v_ijk / max(c, σ_jk) with σ_jk = √(Σ_ipq w_pq v²_i,j+p,k+q), c
    the mean of σ over the sample, and w a Gaussian window whose sum over all maps i is 1. At the border the window
    holds the pixels that there are, and its weights are scaled to the same sum: constant maps give 0 everywhere.
    """

    window: Tensor

    def __init__(self, size: int = WINDOW, spread: float = SPREAD) -> None:
        """size: of the square window, odd; spread: standard deviation of the Gaussian in pixels."""
        super().__init__()
        places = torch.arange(size, dtype=torch.float64) - size // 2
        line = torch.exp(-(places**2) / (2 * spread**2))
        weights = torch.outer(line, line)
        self.register_buffer("window", (weights / weights.sum()).float()[None, None], persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] to the same."""
        weights = self.window.to(maps.dtype)
        whole = self._summed(torch.ones_like(maps[:1, :1]), weights)
        centred = maps - self._summed(maps.mean(1, keepdim=True), weights) / whole
        square = self._summed(centred.square().mean(1, keepdim=True), weights) / whole
        deviation = square.clamp_min(LEAST**2).sqrt()
        return centred / torch.maximum(deviation, deviation.mean((2, 3), keepdim=True))

    def _summed(self, maps: Tensor, weights: Tensor) -> Tensor:
        return nn.functional.conv2d(maps, weights, padding=weights.shape[-1] // 2)
