"""Training: one visible loop, checkpoints, and exact continuation."""

from lossscape.train.start import train

__all__ = ["train"]
