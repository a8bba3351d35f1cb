"""The whole page in one HTML file, to mail: pictures, data, scripts and files within it."""

import base64
import io
import mimetypes
import re
from functools import partial
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

from lossscape.files import write_text
from lossscape.unchanged import keep

MOST_EMBEDDED = 2**21
"""Bytes of a file that is linked to; larger ones are named, and stay in the folder."""
MOST_PIXELS = 16383
"""To a side, that WebP can hold; a larger picture stays PNG."""
_SHOWN = re.compile(r' (src|poster|data-film)="(files/[^"]+)"')
FILMS = (".gif", ".mp4")
_DRAWN = re.compile(r' data-(?:source|plotly)="(files/[^"]+)"')
_LINK = re.compile(r'<a href="(files/[^"]+)"[^>]*>(.*?)</a>', re.DOTALL)


def single_path(folder: Path) -> Path:
    """Where the one file of a page's folder lies: by the name of what it shows, for the mail."""
    home = folder.resolve()
    name = (home.parent if home.name == "report" else home).name
    own = name.casefold() in ("", "index")  # index.html is the page itself
    return folder / f"{'report' if own else name}.html"


def write_single(folder: Path) -> Path:
    """Write the page in a folder as one file beside its index.html, where it does not lie there; returns its path."""
    if (path := single_path(folder)).exists():  # what writes a page anew deletes it
        return path
    page = (folder / "index.html").read_text(encoding="utf-8")
    shown = {match[2] for match in _SHOWN.finditer(page) if not _stays(_file(folder, match[2]))}
    scripts = "".join(_script(folder, address) for address in dict.fromkeys(_DRAWN.findall(page)))

    def link(match: re.Match[str]) -> str:
        address, words = match.groups()
        file = _file(folder, address)
        if address in shown or file.suffix == ".png":  # they are in the page, and can be saved from there
            return str(words) if "<" in words else ""
        if file.stat().st_size > MOST_EMBEDDED:
            return f"{words} (in the folder)"
        return f'<a href="{_embedded(file)}" download="{escape(file.name)}">{words}</a>'

    text = _LINK.sub(link, page)
    text = _SHOWN.sub(partial(_held, folder), text)
    head, last, tail = text.rpartition("<script>")
    write_text(path, f"{head}{scripts}{last}{tail}")
    keep(folder)
    return path


def _stays(file: Path) -> bool:
    """Whether a film is too large to be mailed, of which the page then has the frame that stands still."""
    return file.suffix in FILMS and file.stat().st_size > MOST_EMBEDDED


def _held(folder: Path, match: re.Match[str]) -> str:
    """What is shown, within the page; nothing of a film that stays in the folder."""
    file = _file(folder, match[2])
    return "" if _stays(file) else f' {match[1]}="{_embedded(file)}"'


def _file(folder: Path, address: str) -> Path:
    return folder / unquote(unescape(address))


def _embedded(file: Path) -> str:
    """A file as an address that holds it; pictures in less than half of their bytes, with every pixel as it was."""
    content, kind = file.read_bytes(), mimetypes.guess_type(file.name)[0] or "text/plain"
    if file.suffix == ".png" and max((picture := Image.open(io.BytesIO(content))).size) <= MOST_PIXELS:
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "WEBP", lossless=True, method=1)
        content, kind = buffer.getvalue(), "image/webp"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _script(folder: Path, address: str) -> str:
    """A script that runs when the page asks for it, with nothing in it that a page would take for its own markup."""
    text = _file(folder, address).read_text(encoding="utf-8")
    text = re.sub(r"<(?=/script|!--)", lambda _: r"\x3c", text, flags=re.IGNORECASE)
    return f'<script type="text/plain" data-file="{address}">{text}</script>\n'
