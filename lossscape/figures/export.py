"""Surfaces for other programs: NumPy's npz, and VTK's XML files for ParaView, written here.

VTK's format: docs.vtk.org, "VTK XML file formats"; arrays as base64 in place, so that every bit survives.
"""

import base64
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lossscape.errors import BadInput, one_of
from lossscape.figures import meshes
from lossscape.files import write_bytes
from lossscape.results import Surface

TYPES = {"float64": "Float64", "int64": "Int64", "uint8": "UInt8"}
TRIANGLE, HIDDEN_POINT = 5, 2
"""VTK's numbers for a kind of cell, and for a point that is not shown."""
SETTINGS = "settings:"
"""What the comment of a VTK file begins with, before JSON."""
GHOSTS = "vtkGhostType"
"""The array by which VTK and ParaView hide points."""


def export(
    surface: Surface, folder: Path, formats: Sequence[str] = ("vts", "npz"), name: str = "surface"
) -> list[Path]:
    """Write a surface as name.npz and name.vts (name.vtu where its points make no full grid); returns the files.

    npz: x [len(x)], y [len(y)], each column of the table [len(y), len(x)], and settings as JSON text; without a full
    grid x, y and columns [N], and triangles [T, 3]. vts, vtu: points (x, y, height), height the first column of
    losses; each column as point data; the settings as JSON in a comment. A point whose height is not finite stands at
    the greatest finite one and is hidden; its data say what it is. These are for drawing, of the points that figures
    are drawn from; npz has all. Raises BadInput for an unknown format.
    """
    vtk = _vts if surface.regular else _vtu
    writers = {"npz": _npz, "vts": lambda every: vtk(every.drawn)}
    written = []
    for kind in formats:
        if kind not in writers:
            raise BadInput(one_of("--export", kind, writers))
        ending = "vtu" if kind == "vts" and not surface.regular else kind
        path = folder / f"{name}.{ending}"
        write_bytes(path, writers[kind](surface))
        written.append(path)
    return written


def _columns(surface: Surface) -> dict[str, np.ndarray]:
    """The values at the points, by name; of a full grid [len(y), len(x)], else [N]."""
    return {name: surface.values(name) for name in map(str, surface.table) if name not in surface.axes}


def _settings(surface: Surface) -> str:
    return json.dumps(surface.settings, ensure_ascii=False)


def _heights(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    name = next((name for name in columns if name.endswith("_loss")), None)
    if name is None:
        raise BadInput("a surface without losses has no heights to export")
    return columns[name]


def _npz(surface: Surface) -> bytes:
    columns = _columns(surface)
    arrays = {"x": surface.x, "y": surface.y}
    if not surface.regular:
        arrays = {axis: surface.table[axis].to_numpy() for axis in ("x", "y")}
        arrays["triangles"] = _triangles(surface, _heights(columns))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays, **columns, settings=np.array(_settings(surface)))
    return buffer.getvalue()


def _triangles(surface: Surface, heights: np.ndarray) -> np.ndarray:
    found: np.ndarray = meshes.triangulation(surface, heights).get_masked_triangles()
    return found.astype(np.int64)


def _vts(surface: Surface) -> bytes:
    """A structured grid: x runs fastest, as VTK has it."""
    columns = _columns(surface)
    x, y = np.meshgrid(surface.x, surface.y)
    extent = f"0 {len(surface.x) - 1} 0 {len(surface.y) - 1} 0 0"
    root, grid = _root("StructuredGrid", surface, WholeExtent=extent)
    piece = ET.SubElement(grid, "Piece", Extent=extent)
    _points_and_data(piece, x.ravel(), y.ravel(), {name: each.ravel() for name, each in columns.items()})
    return _text(root)


def _vtu(surface: Surface) -> bytes:
    columns = _columns(surface)
    x, y = (surface.table[axis].to_numpy() for axis in ("x", "y"))
    triangles = _triangles(surface, _heights(columns))
    root, grid = _root("UnstructuredGrid", surface)
    counts = {"NumberOfPoints": str(len(x)), "NumberOfCells": str(len(triangles))}
    piece = ET.SubElement(grid, "Piece", counts)
    _points_and_data(piece, x, y, columns)
    cells = ET.SubElement(piece, "Cells")
    _array(cells, "connectivity", triangles.ravel())
    _array(cells, "offsets", 3 * np.arange(1, len(triangles) + 1, dtype=np.int64))
    _array(cells, "types", np.full(len(triangles), TRIANGLE, dtype=np.uint8))
    return _text(root)


def _root(kind: str, surface: Surface, **attributes: str) -> tuple[ET.Element, ET.Element]:
    version = {"version": "1.0", "byte_order": "LittleEndian", "header_type": "UInt64"}
    root = ET.Element("VTKFile", {"type": kind, **version})
    settings = _settings(surface).replace("--", "-\\u002d")  # which ends a comment, and is the same in JSON
    root.append(ET.Comment(f" {SETTINGS} {settings} "))  # not VTK's String array, which other readers refuse
    return root, ET.SubElement(root, kind, attributes)


def _points_and_data(piece: ET.Element, x: np.ndarray, y: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
    losses = _heights(columns)
    finite = np.isfinite(losses)
    heights = np.where(finite, losses, losses[finite].max() if finite.any() else 0.0)
    name = next(name for name in columns if name.endswith("_loss"))
    data = ET.SubElement(piece, "PointData", Scalars=name)
    for column, values in columns.items():
        _array(data, column, values.astype(np.float64))
    if not finite.all():
        _array(data, GHOSTS, np.where(finite, 0, HIDDEN_POINT).astype(np.uint8))
    _array(ET.SubElement(piece, "Points"), "points", np.stack([x, y, heights], axis=1), components=3)


def _array(parent: ET.Element, name: str, values: np.ndarray, components: int = 1) -> None:
    """A DataArray: the count of bytes as 64 bits, then the numbers, little-endian, together as base64."""
    raw = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
    element = ET.SubElement(parent, "DataArray", type=TYPES[values.dtype.name], Name=name, format="binary",
                            NumberOfComponents=str(components))  # fmt: skip
    element.text = base64.b64encode(len(raw).to_bytes(8, "little") + raw).decode()


def _text(root: ET.Element) -> bytes:
    ET.indent(root)
    found: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return found + b"\n"
