"""Surfaces for NumPy and VTK, read back bit by bit."""

import base64
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossscape.analyses.drawing import exports_of
from lossscape.errors import BadInput
from lossscape.figures.export import export
from lossscape.results import Surface, read_surface
from tests.report_runs import write_landscape, write_run
from tests.seeing import INF

NUMPY = {"Float64": "<f8", "Int64": "<i8", "UInt8": "u1"}
ADDED = [(0.1, 0.05), (0.33, -0.4)]


def arrays_of(path: Path) -> tuple[ET.Element, dict[str, np.ndarray]]:
    """A VTK XML file's root and its arrays by name."""
    root = ET.fromstring(path.read_bytes())
    found = {}
    for element in root.iter("DataArray"):
        raw = base64.b64decode(element.text or "")
        assert int.from_bytes(raw[:8], "little") == len(raw) - 8
        values = np.frombuffer(raw[8:], NUMPY[element.attrib["type"]])
        components = int(element.attrib["NumberOfComponents"])
        found[element.attrib["Name"]] = values.reshape(-1, components) if components > 1 else values
    return root, found


def settings_of(path: Path) -> Any:
    root = ET.fromstring(path.read_bytes(), ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))
    (comment,) = [each.text for each in root if each.tag is ET.Comment]
    return json.loads((comment or "").strip().removeprefix("settings:"))


def a_surface(tmp_path: Path, **options: Any) -> Surface:
    return read_surface(write_landscape(write_run(tmp_path, "a--b"), lambda x, y: 1 + x + 10 * y * y, **options))


def test_npz_of_a_grid(tmp_path: Path) -> None:
    surface = a_surface(tmp_path, grid=(9, 7), splits=("train", "test"))
    (path,) = export(surface, tmp_path, ["npz"])
    with np.load(path, allow_pickle=False) as found:
        assert path.name == "surface.npz"
        np.testing.assert_array_equal(found["x"], np.linspace(-1, 1, 9))
        np.testing.assert_array_equal(found["y"], surface.y)
        np.testing.assert_array_equal(found["train_loss"], 1 + surface.x[None, :] + 10 * surface.y[:, None] ** 2)
        assert found["test_accuracy"].shape == (7, 9)
        assert json.loads(str(found["settings"])) == surface.settings


def test_vts_of_a_grid(tmp_path: Path) -> None:
    surface = a_surface(tmp_path, grid=(9, 7), splits=("train", "test"))
    (path,) = export(surface, tmp_path, ["vts"], name="other")
    root, arrays = arrays_of(path)
    assert path.name == "other.vts"
    assert root.attrib["type"] == "StructuredGrid"
    assert [each.attrib.get("WholeExtent") or each.attrib.get("Extent") for each in root.iter()
            if "Extent" in "".join(each.attrib)] == ["0 8 0 6 0 0"] * 2  # fmt: skip
    x, y, height = arrays["points"].T
    np.testing.assert_array_equal(x[:9], surface.x)  # x runs fastest
    np.testing.assert_array_equal(y[::9], surface.y)
    np.testing.assert_array_equal(height, surface.values("train_loss").ravel())
    np.testing.assert_array_equal(height, 1 + x + 10 * y**2)
    assert set(arrays) == {"points", "train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    assert settings_of(path) == surface.settings


def test_points_without_a_finite_loss_are_hidden_and_keep_their_value(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    surface = read_surface(write_landscape(run, lambda x, y: INF if x > 0.9 else -1 - x * x, grid=(5, 3)))
    (path,) = export(surface, tmp_path, ["vts"])
    _, arrays = arrays_of(path)
    lost = arrays["points"][:, 0] == 1
    assert lost.sum() == 3
    assert np.isinf(arrays["train_loss"][lost]).all()
    np.testing.assert_array_equal(arrays["vtkGhostType"], 2 * lost)
    np.testing.assert_array_equal(arrays["points"][lost, 2], -1)
    nothing = read_surface(write_landscape(run, lambda x, y: INF, grid=(5, 3), label="nothing"))
    _, arrays = arrays_of(export(nothing, tmp_path, ["vts"])[0])
    assert (arrays["points"][:, 2] == 0).all()
    assert (arrays["vtkGhostType"] == 2).all()


def test_a_refined_surface_is_triangles(tmp_path: Path) -> None:
    surface = a_surface(tmp_path, grid=(5, 5), added=ADDED)
    vtu, npz = export(surface, tmp_path)
    assert (vtu.name, npz.name) == ("surface.vtu", "surface.npz")
    root, arrays = arrays_of(vtu)
    piece = next(root.iter("Piece"))
    assert piece.attrib == {"NumberOfPoints": "27", "NumberOfCells": str(len(arrays["types"]))}
    assert (arrays["types"] == 5).all()
    np.testing.assert_array_equal(arrays["offsets"], 3 * np.arange(1, len(arrays["types"]) + 1))
    corners = arrays["connectivity"].reshape(-1, 3)
    a, b, c = (arrays["points"][corners[:, place], :2] for place in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    assert area.sum() == pytest.approx(4)  # they cover the square
    with np.load(npz, allow_pickle=False) as found:
        np.testing.assert_array_equal(found["triangles"], corners)
        np.testing.assert_array_equal(np.stack([found["x"], found["y"], found["train_loss"]], 1), arrays["points"])


def test_the_same_surface_gives_the_same_bytes(tmp_path: Path) -> None:
    surface = a_surface(tmp_path)
    first = [path.read_bytes() for path in export(surface, tmp_path)]
    assert [path.read_bytes() for path in export(surface, tmp_path)] == first


def test_formats_are_read_and_refused(tmp_path: Path) -> None:
    assert exports_of("npz, vts,npz") == ("npz", "vts")
    with pytest.raises(BadInput, match=r"--export 'vtk'.*vts"):
        exports_of("vtk")
    with pytest.raises(BadInput, match="--export 'vtu'"):
        export(a_surface(tmp_path), tmp_path, ["vtu"])
