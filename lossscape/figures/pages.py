"""The report folder and its figures."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from matplotlib.figure import Figure

from lossscape.figures.reading import read_bytes
from lossscape.figures.style import save
from lossscape.files import write_bytes


@dataclass(frozen=True)
class Picture:
    """A figure of the page."""

    source: str
    """Relative address, percent-encoded."""
    alt: str
    caption: str
    panels: int = 1
    """Side by side, which need more room."""


class Pages:
    """The report folder: files are put below it under safe names, and addressed relative to it."""

    def __init__(self, folder: Path) -> None:
        """folder: where index.html will lie."""
        self.folder = folder
        self._taken: set[str] = set()

    def place(self, name: str) -> Path:
        """A folder of its own for a name of any characters, the same one for the same sequence of calls."""
        safe = re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "unnamed"
        count, unique = 1, safe
        while unique.casefold() in self._taken:
            count += 1
            unique = f"{safe}-{count}"
        self._taken.add(unique.casefold())
        return self.folder / "files" / unique

    def address(self, path: Path) -> str:
        """The relative address of a file."""
        return quote(path.relative_to(self.folder).as_posix())

    def draw(self, figure: Figure, path: Path, alt: str, caption: str) -> Picture:
        """Save a figure as PNG."""
        save(figure, path)
        panels = 2 if figure.get_figwidth() > 8 else 1
        return Picture(self.address(path), alt, caption, panels)

    def copy(self, source: Path, path: Path) -> tuple[str, str]:
        """Copy a file; returns its name and address. Raises BadInput where it cannot be read."""
        write_bytes(path, read_bytes(source))
        return path.name, self.address(path)
