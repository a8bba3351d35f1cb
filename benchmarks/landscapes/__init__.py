"""Seconds per point of a landscape: loss-landscapes 3.0.6, a hand-written loop, and lossscape, on the same points."""
