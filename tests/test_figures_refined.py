"""Figures of irregular sets of points: a grid and the points that were added where the losses bend."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from lossscape.errors import BadInput
from lossscape.figures import captions, meshes
from lossscape.figures.contours import build_contour, build_surface
from lossscape.figures.export import export
from lossscape.figures.levels import choose_scale
from lossscape.results import Surface, read_surface
from tests.report_runs import write_landscape, write_run
from tests.seeing import INF, NAN, SURFACES, assert_inside, faces_of, lines_of, words_of

HALVES = [(x / 8, y / 8) for x in range(-3, 4) for y in range(-3, 4) if (x % 2 or y % 2)]
"""Points between those of a 9 x 9 grid, around its centre."""


def refined(folder: Path, loss: Any, *, log: bool = False, **options: Any) -> tuple[Surface, Figure, Figure]:
    """A refined result of a run of its own, and both of its figures."""
    options = {"grid": (9, 9), "added": HALVES} | options
    surface = read_surface(write_landscape(write_run(folder, "net"), loss, **options))
    return surface, build_contour(surface, log=log), build_surface(surface, log=log)


def test_a_surface_knows_whether_its_points_make_a_grid(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    grid = read_surface(write_landscape(run, lambda x, y: x + 10 * y, grid=(3, 5)))
    assert grid.regular
    assert not grid.refined.any()
    np.testing.assert_allclose(grid.values("train_loss"), grid.x[None, :] + 10 * grid.y[:, None])
    loose = read_surface(write_landscape(run, lambda x, y: x + 10 * y, grid=(3, 5), added=[(0.25, 0.1)], label="a"))
    assert not loose.regular
    assert loose.table[loose.refined].to_numpy()[:, :2].tolist() == [[0.25, 0.1]]
    np.testing.assert_allclose(loose.values("train_loss"), loose.table["x"] + 10 * loose.table["y"])
    middle = [(0.0, y) for y in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    full = read_surface(write_landscape(run, grid=(2, 5), added=middle, label="full"))
    assert full.regular  # the added points complete a finer grid
    assert full.refined.sum() == 5
    assert "10 grid points and 5 refined" in captions.surface_caption(full, "train")


def test_a_refined_plane_is_drawn_through_all_its_points(tmp_path: Path) -> None:
    surface, flat, solid = refined(tmp_path, lambda x, y: 2 + x + 10 * y, x_range=(-1, 1), y_range=(-2, 2))
    axes = flat.axes[0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((-1, 1), (-2, 2))
    (lines,) = (c for c in axes.collections if isinstance(c, ContourSet) and not c.filled)
    corners = [np.asarray(path.vertices) for path in lines.get_paths()]
    for level, (x, y) in zip(lines.levels, (path.T for path in corners), strict=True):
        np.testing.assert_allclose(2 + x + 10 * y, level, atol=1e-9)
    assert sum(map(len, corners)) > 20
    assert lines_of(axes, "centre")
    (dots,) = lines_of(axes, "refined")
    assert {*zip(dots.get_xdata(), dots.get_ydata(), strict=True)} == {*HALVES}
    for figure in (flat, solid):
        assert "81 grid points and 40 refined where the surface bends" in words_of(figure)
    assert "Dots: the refined points." in words_of(flat)
    assert_inside(flat)
    faces = faces_of(solid)
    np.testing.assert_allclose(faces[..., 2], 2 + faces[..., 0] + 10 * faces[..., 1], atol=1e-12)
    (a, b), (c, d) = ((faces[:, k, :2] - faces[:, 0, :2]).T for k in (1, 2))
    assert np.abs(a * d - b * c).sum() / 2 == pytest.approx(2 * 4)  # the whole range, each place once
    assert {*map(tuple, faces.reshape(-1, 3)[:, :2])} == {*map(tuple, surface.table[["x", "y"]].to_numpy())}


def test_where_a_refined_surface_has_no_loss_it_is_left_open(tmp_path: Path) -> None:
    surface, flat, solid = refined(tmp_path, lambda x, y: INF if x > 0.6 else NAN if y < -0.9 else 1 + x * x)
    assert "Hatched: 25 of 121 points" in words_of(flat)
    assert "Left open: 25 of 121 points" in words_of(solid)
    faces = faces_of(solid)
    assert faces[..., 0].max() == 0.5
    assert faces[..., 1].min() == -0.75
    (filled,) = (c for c in flat.axes[0].collections if isinstance(c, ContourSet) and c.filled)
    corners = np.concatenate([np.asarray(path.vertices) for path in filled.get_paths()])
    assert corners[:, 0].max() == 0.5
    assert len(surface.table) == 121


def test_a_hole_takes_no_more_of_a_square_than_its_corner(tmp_path: Path) -> None:
    _, _, solid = refined(tmp_path, lambda x, y: NAN if (x, y) == (0.5, 0.5) else 1.0, added=[(-0.9, -0.9)])
    faces = faces_of(solid)
    (a, b), (c, d) = ((faces[:, k, :2] - faces[:, 0, :2]).T for k in (1, 2))
    assert np.abs(a * d - b * c).sum() / 2 == pytest.approx(4 - 4 * 0.25**2 / 2)


def test_contours_of_a_refined_surface_do_not_zigzag(tmp_path: Path) -> None:
    for sign in (1, -1):
        surface, _, _ = refined(tmp_path / str(sign), lambda x, y, sign=sign: (x + sign * y) ** 2, added=[(0.9, 0.9)])
        triangles = meshes.triangulation(surface, surface.values("train_loss"))
        x, y = (surface.table[axis].to_numpy()[triangles.edges] for axis in ("x", "y"))
        diagonal = np.isclose(np.abs(np.diff(x)), 0.25) & np.isclose(np.abs(np.diff(y)), 0.25)
        slopes = (np.diff(y) / np.where(diagonal, np.diff(x), 1))[diagonal]
        np.testing.assert_allclose(slopes, -sign)
        assert slopes.size == 63  # one square is cut by the added point


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", ["constant", "zero", "zero centre", "nothing", "huge", "negative", "tiny"])
def test_a_refined_surface_of_any_losses_can_be_drawn(tmp_path: Path, name: str, log: bool) -> None:
    loss, said = SURFACES[name]
    _, flat, solid = refined(tmp_path, loss, log=log)
    if name not in ("nothing", "negative", "tiny") and not log:
        assert said in words_of(flat)
        assert said in words_of(solid)
    if name == "nothing":
        assert "no finite loss" in words_of(flat)
        assert "121 of 121 points" in words_of(solid)


def test_finite_losses_without_neighbours_are_told_not_drawn(tmp_path: Path) -> None:
    surface, flat, solid = refined(tmp_path, lambda x, y: 1.0 if (x, y) in ((0, 0), (-1, 1)) else NAN)
    for figure in (flat, solid):
        assert "no neighbouring points with a finite loss" in words_of(figure)
        assert "119 of 121 points" in words_of(figure)
    line = surface.table[surface.table["y"] == 0].reset_index(drop=True)
    with pytest.raises(BadInput, match="lie on one line"):
        meshes.triangulation(Surface(surface.folder, surface.settings, line), np.ones(len(line)))


def test_a_refined_result_of_many_points_is_no_black_mass(tmp_path: Path) -> None:
    for side, edges in ((9, True), (79, False)):
        _, _, solid = refined(tmp_path / str(side), lambda x, y: x * x, grid=(side, side), added=[(0.001, 0.001)])
        assert (len(faces_of(solid)) < meshes.MANY_FACES) == edges
        assert (solid.findobj(Poly3DCollection)[-1].get_linewidth()[0] > 0) == edges


def test_a_point_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    folder = write_landscape(write_run(tmp_path), added=HALVES)
    file = folder / "surface.csv"
    lines = file.read_text().splitlines(keepends=True)
    for wrong in (lines[-1], ",".join(["", *lines[-1].split(",")[1:]])):
        file.write_text("".join([*lines, wrong]))
        with pytest.raises(BadInput, match="twice or without coordinates"):
            read_surface(folder)


@pytest.mark.parametrize("extra", [0, 3])
def test_a_large_grid_is_drawn_from_some_of_its_points(tmp_path: Path, extra: int) -> None:
    def loss(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 1.0 + x**2 + 2 * y**2

    x, y = np.linspace(-1, 1, 404), np.linspace(-2, 3, 601)  # of x no value is 0
    points = np.array([(a, b) for a in x for b in y] + [(0.00123, 0.1 * i + 0.00057) for i in range(extra)])
    table = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "train_loss": loss(*points.T)})
    settings: dict[str, Any] = {"grid": [404, 601], "x_range": [-1.0, 1.0], "y_range": [-2.0, 3.0]}
    surface = Surface(tmp_path, settings | ({"refine": extra} if extra else {}), table)
    drawn = surface.drawn
    assert surface.regular == drawn.regular == (not extra)
    assert len(drawn.table) == 201 * 201 + extra
    assert drawn.x[[0, -1]].tolist() == [-1.0, 1.0]
    assert 0.0 in drawn.y
    expected = loss(*np.meshgrid(drawn.x, drawn.y)) if drawn.regular else loss(*drawn.table[["x", "y"]].to_numpy().T)
    np.testing.assert_array_equal(surface.drawn_values(surface.values("train_loss")), expected)
    (words,) = captions.drawn_words(surface)
    assert "201 × 201 points of these" in words if not extra else "40,401 grid points and 3 refined" in words
    if not extra:
        vts, npz = export(surface, tmp_path, ("vts", "npz"))
        assert 'WholeExtent="0 200 0 200 0 0"' in vts.read_text()
        assert np.load(npz)["train_loss"].shape == (601, 404)
        figure, axes = plt.subplots()
        losses = surface.values("train_loss")
        scale = choose_scale(losses, log=False)
        contours = meshes.draw_contours(axes, surface, scale.heights(losses), scale)
        assert contours is not None
        assert sum(np.size(path.vertices) for path in contours[0].get_paths()) < 60_000
        plt.close(figure)


def test_a_grid_that_can_be_seen_is_drawn_whole(tmp_path: Path) -> None:
    x = np.linspace(-1, 1, 201)
    table = pd.DataFrame([(a, b, a * b) for a in x for b in x[:5]], columns=["x", "y", "train_loss"])
    surface = Surface(tmp_path, {}, table)
    assert surface.drawn is surface
    assert captions.drawn_words(surface) == []
