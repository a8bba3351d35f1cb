"""Where more points tell most: the midpoints of edges across which a surface or curve bends.

Points are joined to triangles (Delaunay; a line's to intervals). An edge between two triangles scores by how far the
surface's slope jumps across it, times its length: an estimate of what linear interpolation misses there.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from lossscape.evaluate.subspace import Coordinates

ROUNDS = 8
"""Rounds that the budget is spread over: each sees what the one before it found."""
SHORTEST = 1e-3
"""Of the range: edges shorter than this are fine enough for any figure."""


def heights(losses: np.ndarray) -> np.ndarray:
    """Losses on the scale of which bends are looked for: linear near the lowest, logarithmic far above it.

    asinh((L − min) / median(L − min)); what is not finite stands above all that is.
    """
    finite = np.isfinite(losses)
    if not finite.any():
        return np.zeros_like(losses)
    above = losses - losses[finite].min()
    unit = np.median(above[finite]) or above[finite].max() or 1.0
    scaled = np.arcsinh(np.where(finite, above, 0.0) / unit)
    return np.where(finite, scaled, scaled.max() + 1.0)


def next_points(losses: Mapping[Coordinates, float], number: int) -> list[Coordinates]:
    """Up to `number` new points where the losses of those evaluated so far bend most, in one or two dimensions."""
    points = sorted(losses)
    where = np.array(points)
    low, high = where.min(0), where.max(0)
    scaled = (where - low) / np.where(high > low, high - low, 1.0)
    z = heights(np.array([losses[point] for point in points]))
    edges = _bends_of_plane(scaled, z) if where.shape[1] == 2 else _bends_of_line(scaled[:, 0], z)
    chosen: list[Coordinates] = []
    taken: set[int] = set()
    for a, b, score, corners in sorted(edges, key=lambda edge: (-edge[2], edge[0], edge[1])):
        if len(chosen) == number or score <= 0:
            break
        middle = tuple(float(value) for value in (where[a] + where[b]) / 2)
        if taken.isdisjoint(corners) and middle not in losses:  # neighbours wait for what this one shows
            chosen.append(middle)
            taken.update(corners)
    return chosen


def _bends_of_line(x: np.ndarray, z: np.ndarray) -> list[tuple[int, int, float, set[int]]]:
    steps = np.diff(x)
    jumps = np.zeros(len(x))
    jumps[1:-1] = np.abs(np.diff(np.diff(z) / steps))
    return [
        (i, i + 1, float(max(jumps[i], jumps[i + 1]) * step), {i, i + 1})
        for i, step in enumerate(steps)
        if step > SHORTEST
    ]


def _bends_of_plane(xy: np.ndarray, z: np.ndarray) -> list[tuple[int, int, float, set[int]]]:
    from scipy.spatial import Delaunay

    triangles = Delaunay(xy).simplices
    corners = xy[triangles]
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    du, dv = z[triangles[:, 1]] - z[triangles[:, 0]], z[triangles[:, 2]] - z[triangles[:, 0]]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    flat = np.abs(area) < 1e-14  # slivers along the border have no slope of their own
    area = np.where(flat, 1.0, area)
    slopes = np.stack([du * v[:, 1] - dv * u[:, 1], dv * u[:, 0] - du * v[:, 0]], axis=1) / area[:, None]
    beside: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, triangle in enumerate(triangles):
        if not flat[number]:
            for a, b in combinations(sorted(int(corner) for corner in triangle), 2):
                beside[a, b].append(number)
    edges = []
    for (a, b), sides in beside.items():
        length = float(np.linalg.norm(xy[a] - xy[b]))
        if len(sides) == 2 and length > SHORTEST:
            jump = float(np.linalg.norm(slopes[sides[0]] - slopes[sides[1]]))
            edges.append((a, b, jump * length, {int(corner) for side in sides for corner in triangles[side]}))
    return edges


def refined(grid: Sequence[Coordinates], budget: int) -> Callable[[Mapping[Coordinates, float]], Sequence[Coordinates]]:
    """A function from the losses of all rounds so far to the points of the next; [] when the budget is spent.

    The first round is the grid, in its order.
    """

    def more(losses: Mapping[Coordinates, float]) -> Sequence[Coordinates]:
        if not losses:
            return grid
        left = budget - (len(losses) - len(grid))
        return next_points(losses, min(left, -(-budget // ROUNDS))) if left > 0 else []

    return more
