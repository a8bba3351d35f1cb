"""What can be seen of a figure: its words, its lines, its faces, its size, nothing cut off; and of a page."""

import re
import struct
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

INF, NAN = float("inf"), float("nan")
SURFACES: dict[str, tuple[Any, str]] = {
    "constant": (lambda x, y: 2.302585, "The loss is 2.303 at every point."),
    "zero": (lambda x, y: 0.0, "The loss is 0 at every point."),
    "zero centre": (lambda x, y: x**4 + y**4, "1 point with a loss below"),
    "infinite": (lambda x, y: INF if x > 0.6 else NAN if y < -0.9 else 1 + x * x, "21 of 63 points"),
    "nothing": (lambda x, y: NAN, "63 of 63 points"),
    "huge": (lambda x, y: np.exp(60 * (x * x + y * y)), " points with a loss above "),
    "negative": (lambda x, y: 1e8 if x * y > 0.9 else x + y, "2 points with a loss above"),
    "rounding": (lambda x, y: 2.302585 + 1e-7 * x * y, "greatest 2.303"),
    "tiny": (lambda x, y: 1e-14 * x * x + 1e-9 * y * y, "Logarithmic scale"),
}
"""Losses of every kind over a plane, and what a caption says of each."""


def png_size(path: Path) -> tuple[int, int]:
    """Width and height that a PNG's header gives."""
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", header[16:24])
    return width, height


def words_of(figure: Figure) -> str:
    """All that is written in a figure, and the whole caption in place of what the picture shows of it, in one line."""
    small = getattr(figure, "small_print", None)
    words = [each.get_text() for each in figure.findobj(Text) if each is not small]
    return " ".join([*words, getattr(figure, "caption", "")]).replace("\n", " ")


def assert_inside(figure: Figure) -> None:
    """Nothing sticks out of the picture."""
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= -0.02
    assert box.y0 >= -0.02
    assert box.x1 <= width + 0.02
    assert box.y1 <= height + 0.02


def lines_of(axes: Any, name: str) -> list[Any]:
    return [line for line in axes.lines if str(line.get_label()) == name]


def faces_of(figure: Figure) -> np.ndarray:
    """The corners [F, 3] of what a view in three dimensions shows: the triangles' x, y and heights [F, 3, 3]."""
    (found,) = figure.findobj(Poly3DCollection)[-1:]
    faces: np.ndarray = found._faces
    return faces


ONE_OF_MANY = (
    r"(?<![\w.,/@×-])1 (?:more |other )?"
    r"(?:runs|seeds|epochs|points|steps|groups|losses|checks|checkpoints|layers|nets|curves|frames|starts|planes)\b.{0,40}"
)
"""A plural of one."""
OUTSIDE = r"""://|["'(=]//\w"""
"""An address of another machine, in markup, styles or scripts."""


class Page(HTMLParser):
    """A page as a browser sees it: its elements with their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.inside = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        """What is read, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def local_files(self) -> list[Path]:
        """The files that the page shows, draws from or links to."""
        addresses = [a["src"] for a in self.all("img")] + [a["href"] for a in self.all("a")]
        keys = ("data-source", "data-plotly")
        addresses += [each[key] for _, each in self.elements for key in keys if key in each]
        return [self.path.parent / unquote(address) for address in addresses if not address.startswith("#")]


def assert_stands_alone(page: Page) -> None:
    """The page needs nothing but its folder, and says in words what its pictures show."""
    files = page.local_files()
    assert files
    for file in files:
        assert file.is_file()
        assert page.path.parent.resolve() in file.resolve().parents
    assert [each["lang"] for each in page.all("html")] == ["en"]
    assert {"link", "iframe", "object"}.isdisjoint(name for name, _ in page.elements)
    assert not any("src" in script for script in page.all("script"))
    assert all(len(image["alt"]) > 20 for image in page.all("img"))
    written = [page.source, *(file.read_text() for file in files if file.suffix == ".js" and "plotly" not in file.name)]
    assert not [text for text in written if re.search(OUTSIDE, text)]
    assert not re.findall(ONE_OF_MANY, page.source)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
