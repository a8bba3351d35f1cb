"""A line between two checkpoints, as read back from its folder."""

from pathlib import Path

from lossscape.results import Curve, check_begun, check_whole, read_curve, read_settings


def read(folder: Path) -> Curve:
    """A finished interpolation. Raises BadInput where it is unfinished or torn."""
    check_begun(folder, "curve.csv", int(read_settings(folder)["points"]))
    curve = read_curve(folder)
    check_whole(curve)
    return curve
