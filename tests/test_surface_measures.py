"""Measures of surfaces whose values follow from their formulas."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lossscape.analyses.pair.measures import SurfaceMeasures, measure_surface, parse_level
from lossscape.errors import BadInput


def measured(
    loss: Callable[[Any, Any], Any],
    n: int = 81,
    x_range: tuple[float, float] = (-1, 1),
    y_range: tuple[float, float] = (-1, 1),
    levels: tuple[str, ...] = ("+0.25",),
    precision: str = "fp64",
) -> SurfaceMeasures:
    x, y = np.linspace(*x_range, n), np.linspace(*y_range, n)
    return measure_surface(x, y, loss(*np.meshgrid(x, y)), levels, precision=precision)


def test_a_round_bowl() -> None:
    found = measured(lambda x, y: 3 + x**2 + y**2)
    (width,) = found.widths
    assert found.centre_loss == 3
    assert width.diameter == pytest.approx(2 * 0.5, rel=1e-3)  # x² + y² ≤ 1/4
    assert width.share == pytest.approx(np.pi / 16, rel=2e-3)
    assert not width.touches_edge
    assert found.asymmetry == pytest.approx(0, abs=1e-12)
    assert found.convex_fraction == 1
    # ∫∫ 2r over the square [−1, 1]² / 4 = 2/3·(√2 + asinh 1)
    assert found.mean_slope == pytest.approx(2 / 3 * (np.sqrt(2) + np.arcsinh(1)), rel=1e-3)
    assert found.max_slope == pytest.approx(2 * np.sqrt(2) * (1 - 1 / 80), rel=1e-12)  # middle of a corner cell


def test_unequal_axes_measure_area_and_slope_in_their_units() -> None:
    found = measured(lambda x, y: x**2 + 4 * y**2, x_range=(-4, 4), y_range=(-1, 1), levels=("1",))
    assert found.widths[0].diameter == pytest.approx(2 * np.sqrt(1 * 0.5), rel=1e-3)  # an ellipse of axes 1 and 1/2
    assert found.widths[0].share == pytest.approx(np.pi / 2 / 16, rel=2e-3)
    assert found.max_slope == pytest.approx(np.hypot(8 - 0.1, 8 - 0.1), rel=1e-9)


def test_a_kink_has_the_same_slope_everywhere() -> None:
    found = measured(lambda x, y: np.abs(x), levels=("+0.5",))
    assert found.mean_slope == pytest.approx(1, rel=1e-12)
    assert found.max_slope == pytest.approx(1, rel=1e-12)
    assert found.convex_fraction == 1
    assert found.asymmetry == pytest.approx(0, abs=1e-12)
    assert found.widths[0].share == pytest.approx(0.5, rel=1e-12)
    assert found.widths[0].touches_edge


def test_a_saddle_is_convex_nowhere() -> None:
    assert measured(lambda x, y: x**2 - y**2).convex_fraction == 0
    assert measured(lambda x, y: x * y).convex_fraction == 0
    assert measured(lambda x, y: x**2 - y**2).asymmetry == pytest.approx(0, abs=1e-12)


def test_half_of_a_cubic_is_convex() -> None:
    found = measured(lambda x, y: x**3, n=41)
    assert found.convex_fraction == pytest.approx(20 / 39)  # x ≥ 0, to rounding, of 39 inner columns
    assert found.asymmetry == pytest.approx(2)  # odd


def test_a_slope_is_odd_and_convex() -> None:
    found = measured(lambda x, y: 5 + 3 * x - 4 * y)
    assert found.mean_slope == pytest.approx(5)
    assert found.asymmetry == pytest.approx(2)
    assert found.convex_fraction == 1  # a plane, to rounding


def test_a_shifted_bowl_is_lopsided() -> None:
    # L(p) − L(−p) = −4sx, L(p) − L(0) = x² + y² − 2sx
    shift = 0.1
    found = measured(lambda x, y: (x - shift) ** 2 + y**2, n=201)
    grid = np.linspace(-1, 1, 2001)
    x, y = np.meshgrid(grid, grid)
    expected = np.abs(4 * shift * x).mean() / np.abs(x**2 + y**2 - 2 * shift * x).mean()
    assert found.asymmetry == pytest.approx(expected, rel=0.02)
    assert found.convex_fraction == 1


def test_a_constant_surface() -> None:
    found = measured(lambda x, y: 0 * x + 2.3, levels=("+0.1", "x2", "x1"))
    assert (found.mean_slope, found.max_slope, found.asymmetry, found.convex_fraction) == (0, 0, 0, 1)
    assert [width.share for width in found.widths[:2]] == [1, 1]
    assert found.widths[0].diameter == pytest.approx(2 * np.sqrt(4 / np.pi))
    assert np.isnan(found.widths[2].share)  # not above the centre's loss


def test_no_width_where_the_level_is_not_above_the_centre() -> None:
    (twice, half) = measured(lambda x, y: x**2 + y**2, levels=("x2", "+0.5")).widths
    assert twice.loss == 0
    assert np.isnan([twice.share, twice.diameter]).all()
    assert half.share > 0


def test_losses_that_are_not_finite_are_counted_and_left_out() -> None:
    def bowl(x: Any, y: Any) -> Any:
        return np.where(x > 0.51, np.inf, np.where(y < -0.51, np.nan, x**2 + y**2))

    whole, broken = (measured(loss, n=41, levels=("+0.1",)) for loss in (lambda x, y: x**2 + y**2, bowl))
    assert (whole.missing, broken.missing) == (0, 41 * 41 - 31 * 31)
    assert broken.widths == whole.widths  # the region has none of them
    assert broken.convex_fraction == 1
    assert broken.max_slope < whole.max_slope
    assert broken.asymmetry == pytest.approx(0, abs=1e-12)
    nothing = measured(lambda x, y: x + np.nan)
    assert np.isnan([nothing.mean_slope, nothing.max_slope, nothing.asymmetry, nothing.convex_fraction]).all()
    assert nothing.missing == nothing.points
    wall = measured(lambda x, y: np.where(np.abs(x) + np.abs(y) > 0.2, np.inf, 1.0), n=41, levels=("+1",))
    assert not wall.widths[0].touches_edge


def test_a_grid_without_opposite_sides_or_centre() -> None:
    printed = measured(lambda x, y: x**2 + y**2, n=5, x_range=(0, 4), y_range=(0, 4))
    assert printed.centre_loss == 0
    assert np.isnan(printed.asymmetry)
    even = measured(lambda x, y: x**2 + y**2, n=4, levels=("+1", "0.5"))
    assert np.isnan([even.centre_loss, even.asymmetry, even.widths[0].share]).all()
    assert even.widths[1].share > 0
    assert np.isnan(measured(lambda x, y: x, n=2).convex_fraction)


def test_opposite_sides_of_a_lopsided_range() -> None:
    found = measured(lambda x, y: x**2 + y**2, n=7, x_range=(-1, 2), y_range=(-1, 2))
    assert found.asymmetry == pytest.approx(0, abs=1e-12)  # of the pairs within −1 … 1


def test_rounding_of_single_precision_on_a_fine_grid_is_seen_as_such() -> None:
    generator = np.random.default_rng(0)
    losses = 1e6 + 0.05 * generator.uniform(-1, 1, (21, 21))
    assert measured(lambda x, y: losses, n=21, precision="fp32").convex_fraction == 1
    assert measured(lambda x, y: losses, n=21).convex_fraction < 0.5


@pytest.mark.parametrize("n", [11, 101, pytest.param(1001, marks=pytest.mark.slow)])
@pytest.mark.parametrize("curvature", [1e-6, 1e-3, 1.0])
def test_the_least_curvature_counts_on_every_grid(n: int, curvature: float) -> None:
    assert measured(lambda x, y: 2 + curvature * (x**2 + y**2), n=n).convex_fraction == 1
    assert measured(lambda x, y: 2 - curvature * (x**2 + y**2), n=n).convex_fraction == 0
    assert measured(lambda x, y: 2 + curvature * (x**2 - y**2), n=n).convex_fraction == 0
    inner = np.linspace(-1, 1, n)[1:-1]  # L_xx = 6·curvature·x
    found = measured(lambda x, y: 2 + curvature * (x**3 + y**2), n=n).convex_fraction
    assert found == pytest.approx(np.mean(inner > -1e-9), abs=2 / n)


BOWL_AREA = np.pi / 4
"""Share of [−1, 1]² under a level of 1 of steepness·(x² + y²), times the steepness."""


@pytest.mark.parametrize(("steepness", "n"), [(1.5, 17), (40.0, 61), (400.0, 161), (400.0, 160)])
def test_what_is_resolved_is_within_a_tenth(steepness: float, n: int) -> None:
    found = measured(lambda x, y: steepness * (x**2 + y**2), n=n, levels=("1",))
    assert "share_1" not in found.unresolved
    assert "mean_slope" not in found.unresolved
    assert found.widths[0].share == pytest.approx(BOWL_AREA / steepness, rel=0.1)


@pytest.mark.parametrize(("steepness", "n"), [(40.0, 11), (400.0, 11), (400.0, 21), (400.0, 20), (40.0, 5), (40.0, 3)])
def test_an_area_that_the_grid_cannot_tell_is_named(steepness: float, n: int) -> None:
    found = measured(lambda x, y: steepness * (x**2 + y**2), n=n, levels=("1",))
    assert "share_1" in found.unresolved
    assert abs(found.widths[0].share - BOWL_AREA / steepness) > 0.1 * BOWL_AREA / steepness
    assert "mean_slope" in found.unresolved or n > 3


def test_every_measure_is_held_against_that_of_every_second_point() -> None:
    smooth = measured(lambda x, y: 3 + x + x**2 + y**2, n=41)
    assert smooth.unresolved == ()
    # a wave that every second point misses
    wave = measured(lambda x, y: x**2 + np.cos(20 * np.pi * (x + 1)) / 8, n=41)
    assert {"mean_slope", "max_slope", "convex_fraction"} <= set(wave.unresolved)
    valley = measured(lambda x, y: 200 * (x - y) ** 2 + 0.1 * x**2, n=21, levels=("+0.1", "+500"))
    assert "share_+0.1" in valley.unresolved  # as long as the grid, and narrower than its step
    assert "share_+500" not in valley.unresolved
    assert set(measured(lambda x, y: x**2, n=2, levels=("1",)).unresolved) == {
        "mean_slope", "max_slope", "share_1", "diameter_1"
    }  # fmt: skip
    assert measured(lambda x, y: x + np.nan).unresolved == ()


def test_a_constant_and_an_odd_surface_are_resolved() -> None:
    assert measured(lambda x, y: 0 * x + 2.3).unresolved == ()
    assert measured(lambda x, y: x**2 + y**2 + 1e-9 * x * y**2).unresolved == ()  # an asymmetry near 0


def test_levels_are_read_and_refused() -> None:
    assert [parse_level(text).loss(2.0) for text in ("+0.1", "x2", "0.5", "X1e1")] == [2.1, 4.0, 0.5, 20.0]
    for text in ("", "-1", "+", "x0", "2x", "nan", "0", "inf"):
        with pytest.raises(BadInput, match="level"):
            parse_level(text)
    with pytest.raises(BadInput, match="no full grid"):
        measure_surface(np.arange(3.0), np.arange(3.0), np.zeros(9))


def test_one_row_of_numbers() -> None:
    row = measured(lambda x, y: x**2 + y**2, levels=("+0.5", "x2")).row()
    assert list(row)[-3:] == ["share_x2", "diameter_x2", "touches_edge_x2"]
    assert all(isinstance(value, float) for value in row.values())
