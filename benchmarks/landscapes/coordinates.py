"""The points that the peer visits, read off the source of loss-landscapes 3.0.6.

It copies no model for a point: it adds a direction divided by `steps` to the model's own weights, in place, again and
again. planar_interpolation moves along the second direction before its first point, and turns round after each
row: it visits y = 1/steps … 1 where x·steps is even and y = (steps − 1)/steps … 0 where it is odd, for x = 0 …
(steps − 1)/steps, and puts every row of its result in ascending order of y. linear_interpolation visits 1/steps … 1.
Neither visits the centre.
"""

from benchmarks.landscapes.rows import Kind

Coordinates = tuple[float, ...]


def visited(kind: Kind, steps: int) -> list[Coordinates]:
    """The coordinates of the peer's result, flattened."""
    if kind == "line":
        return [(i / steps,) for i in range(1, steps + 1)]
    return [(i / steps, (j + (i % 2 == 0)) / steps) for i in range(steps) for j in range(steps)]


def walked(kind: Kind, steps: int) -> list[Coordinates]:
    """The same coordinates in the order in which the peer comes through them."""
    points = visited(kind, steps)
    if kind == "line":
        return points
    rows = [points[start : start + steps] for start in range(0, len(points), steps)]
    return [point for number, row in enumerate(rows) for point in (row[::-1] if number % 2 else row)]
