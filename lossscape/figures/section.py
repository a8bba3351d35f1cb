"""What the report shows of a result: one kind of section for all, and where its figures and files go."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from matplotlib.figure import Figure

from lossscape import manifest
from lossscape.errors import BadInput
from lossscape.figures.how import FORMATS, drawn, how
from lossscape.figures.movies import last_frame
from lossscape.figures.style import ALONE, Looks, Sheet, save
from lossscape.files import remove, write_bytes
from lossscape.results.folder import POINTS, SETTINGS
from lossscape.text import number

File = tuple[str, str]
"""Name and relative address of a copied file."""


@dataclass(frozen=True)
class Picture:
    """A figure."""

    source: str
    """Relative address, percent-encoded."""
    alt: str
    """What a reader who cannot see it should know."""
    caption: str
    panels: int = 1
    """Side by side, which need more room."""
    kind = "picture"


@dataclass(frozen=True)
class Chart:
    """A figure that moves: the page's script draws it from plain data, in place of the picture."""

    name: str
    """Short, unique within its section, safe in file names and ids."""
    type: str
    """Which function of the page's script draws it: a key of `charts` in report/charts.js."""
    data: Mapping[str, Any]
    """What that function reads: strings, numbers, lists, arrays and mappings of them; see chart_text."""
    picture: Picture
    """What stands there without scripts and in print."""
    kind = "chart"

    @property
    def source(self) -> str:
        """Relative address of its data, which lie beside its picture."""
        return f"{self.picture.source.rpartition('/')[0]}/{quote(self.name)}.js"


DIGITS = 7
"""Significant digits of a chart's numbers, as many as fp32 has."""


def plain(value: Any) -> Any:
    """A value as JSON has it: arrays as lists, numbers to DIGITS, NaN and infinities as null."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def chart_text(chart: Chart) -> str:
    """The script that hands a chart's data over to the page's: a page that was opened as a file may read no JSON.

    In ASCII, without a `<`, so that it can stand within a page too.
    """
    data = json.dumps([chart.source, plain(chart.data)], allow_nan=False, separators=(",", ":"))
    return f"lossscape.given({data.replace('<', chr(92) + 'u003c')});\n"


@dataclass(frozen=True)
class Table:
    """A table of cells in words; the first cell of a row is its name."""

    rows: Sequence[Sequence[str]]
    head: Sequence[str] = ()
    caption: str = ""
    title: str = ""
    groups: Sequence[tuple[str, int]] = ()
    """Names above the head behind its first cell, each over so many columns."""
    words: Sequence[int] = ()
    """Columns that hold words, not numbers."""
    bold: Sequence[int] = ()
    """Columns that stand out."""
    failed: Sequence[int] = ()
    """Rows that stand out."""
    kind = "table"


@dataclass(frozen=True)
class Sentences:
    """Sentences as a list, or a single one as a paragraph."""

    lines: Sequence[str]
    kind = "sentences"


Part = Picture | Chart | Table | Sentences


@dataclass(frozen=True)
class Certificate:
    """What a result's certificate and engine.json say."""

    verdict: str
    passed: bool
    """Nothing of it failed."""
    tables: Sequence[Table] = ()
    checked: bool = True


@dataclass(frozen=True)
class Section:
    """What the page shows of a result, in the order of `parts`."""

    title: str
    parts: Sequence[Part]
    files: Sequence[File]
    failures: Sequence[str] = ()
    """What failed of its certificate, or of those of its parts."""
    warning: str = "The certificate FAILED: do not rely on this result."
    certificate: Certificate | None = None
    """None where the result has none of its own."""
    anchor: str = ""
    heading: str = "What was published, and what holds here"
    """Above it where it stands before the runs, as that of a study does."""
    differs: Sequence[str] = ()
    """The parts of its title by which it differs from the others below the same heading; of an only one none."""
    note: str = ""
    """What a reader must know before all else."""

    @property
    def outcome(self) -> str:
        """passed, failed, or unchecked where it has no certificate of its own."""
        if self.failures:
            return "failed"
        return "passed" if self.certificate and self.certificate.checked else "unchecked"

    @property
    def pictures(self) -> list[Picture]:
        """Those among its parts, and those that stand in for its charts."""
        shown = [part.picture if isinstance(part, Chart) else part for part in self.parts]
        return [part for part in shown if isinstance(part, Picture)]


MOST_COPIED = 2**24
"""Bytes of a file that a page takes along."""


class Page:
    """A folder of the report for figures and files, which are addressed relative to the report's own."""

    def __init__(self, root: Path, folder: Path | None = None, log: bool = False, looks: Looks = ALONE) -> None:
        """root: where index.html will lie; folder: this part's, by default root/files; log: logarithmic losses.

        looks: those of the page's runs
        """
        self.root, self.folder, self.log, self.looks = root, folder or root / "files", log, looks

    def below(self, *names: str) -> "Page":
        """A folder within this one."""
        return Page(self.root, self.folder.joinpath(*names), self.log, self.looks)

    def draw(self, figure: Figure, name: str, alt: str, caption: str) -> Picture:
        """Save a figure as PNG, and in the other formats that are asked for."""
        path, others = self.folder / name, [each for each in how().formats or () if each != "png"]
        if isinstance(figure, Sheet):
            figure.caption = ""  # the page has it
        with drawn(replace(how(), formats=("png", *others))):
            save(figure, path)
        for each in {*FORMATS} - {"png", *others}:
            remove(path.with_suffix(f".{each}"))  # of an earlier page
        return Picture(self._address(path), alt, caption, 2 if figure.get_figwidth() > 8 else 1)

    def copy(self, source: Path) -> File:
        """Copy a file. Raises BadInput where it cannot be read."""
        path = self.folder / source.name
        write_bytes(path, read_bytes(source))
        if path.suffix == ".gif" and not source.with_suffix(".png").exists():
            write_bytes(path.with_suffix(".png"), last_frame(path))  # a film stands still until it is asked to move
        return path.name, self._address(path)

    def copy_result(self, folder: Path) -> list[File]:
        """Copy the tables, settings and other small files of a finished result; larger ones are named, and stay."""
        tables = [path for path in sorted(folder.glob("*.csv")) if path.name != POINTS]
        return [
            self.copy(path) if (size := path.stat().st_size) <= MOST_COPIED
            else (f"{path.name} ({size / 1e6:,.0f} MB, in {folder.name})", "")
            for path in (*tables, folder / SETTINGS, *sorted(folder.glob("*.json")))
        ]  # fmt: skip

    def _address(self, path: Path) -> str:
        return quote(path.relative_to(self.root).as_posix())


def read_bytes(path: Path) -> bytes:
    """A file's content. Raises BadInput where it cannot be read, or is a link, as to what is nobody else's business."""
    if path.is_symlink():
        raise BadInput(f"{path}: is a link, and a page shows only what lies in the run itself; put the file there")
    try:
        return manifest.read_bytes(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def value_text(value: Any, missing: str = "none") -> str:
    """A value of a JSON file in a table."""
    if value is None:
        return missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return number(value, 5) if isinstance(value, float) else str(value)


def flat_rows(value: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    """Nested facts as rows of a dotted key and a value."""
    rows: list[list[str]] = []
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            rows += flat_rows(inner, f"{prefix}{key}.")
        elif isinstance(inner, list):
            rows.append([f"{prefix}{key}", ", ".join(value_text(each) for each in inner)])
        else:
            rows.append([f"{prefix}{key}", str(inner) if isinstance(inner, int) else value_text(inner)])
    return rows
