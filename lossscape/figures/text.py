"""Text that can be drawn: any name in the fonts that are installed, numbers, lines that fit."""

import functools
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

from lossscape import text as text_of
from lossscape.text import UNDRAWN, counted

LIMIT = 1e30
"""Losses beyond this are treated like infinite ones: an axis up to them shows nothing else."""
DPI = 150
"""Of every picture; text is a little wider at lower ones."""
FONTS = (
    "DejaVu Sans",  # comes with matplotlib
    "Noto Sans CJK JP", "Noto Sans JP", "Source Han Sans JP", "IPAexGothic", "IPAGothic", "TakaoGothic", "VL Gothic",
    "Hiragino Sans", "Hiragino Kaku Gothic ProN", "Yu Gothic", "Meiryo", "MS Gothic",
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei",
    "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "PingFang TC", "Microsoft JhengHei",
    "Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic",
    "Noto Sans Thai", "Noto Sans Devanagari", "Arial Unicode MS", "Droid Sans Fallback", "Unifont",
)  # fmt: skip
"""Tried in this order for each character, as far as they are installed."""


@functools.cache
def fonts() -> list[str]:
    """The families of FONTS that are installed."""
    installed = {entry.name for entry in fontManager.ttflist}
    return [family for family in FONTS if family in installed]


@functools.cache
def _has_glyph(character: str, families: tuple[str, ...]) -> bool:
    return any(get_font(findfont(family)).get_char_index(ord(character)) for family in families)


def drawable(text: str) -> str:
    r"""`text` with every character that no installed font can draw as its Python escape, as in \u5b9f."""
    if text.isascii() and text.isprintable():
        return text
    families = tuple(fonts())
    shown = [c if c.isprintable() and _has_glyph(c, families) else ascii(c)[1:-1] for c in text]
    UNDRAWN.update(c for c, drawn in zip(text, shown, strict=True) if c != drawn and c.isprintable())
    return "".join(shown)


def shortened(text: str, columns: int = 44) -> str:
    """Drawable text of at most so many columns, see `text.shortened`."""
    return text_of.shortened(drawable(text), columns)


def distinct(names: Sequence[str]) -> list[str]:
    """The names shortened, with a number behind those that would read the same."""
    return numbered([shortened(name) for name in names])


def numbered(names: Sequence[str]) -> list[str]:
    """The names with a number behind those that read the same."""
    return [f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def finite(values: np.ndarray | list[float]) -> np.ndarray:
    """The values with NaN for those that cannot be drawn."""
    values = np.asarray(values, dtype=float)
    return np.where(np.isfinite(values) & (np.abs(values) <= LIMIT), values, np.nan)


def beyond_words(*values: Any) -> list[str]:
    """A sentence about the values [any shape] each of which `finite` leaves out for its size, where there are any.

    Undefined ones are none of them: they were not taken, or not evaluated.
    """
    every = [np.asarray(each, dtype=float) for each in values]
    count = sum(int((np.abs(each) > LIMIT).sum()) for each in every)
    return [f"Left out: {counted(count, 'value')} above 1e30."] if count else []


SENTENCE = re.compile(r"(?<=[.!?]) +(?=[^a-z ])")


def beginning(text: str, width: float, size: float, most: int, dpi: float = DPI) -> list[str]:
    """What of a text fits into so many lines, as `wrapped` makes them: whole sentences, then … for those left out."""
    if len(lines := wrapped(text, width, size, dpi)) <= most:
        return lines
    shown: list[str] = []
    for sentence in SENTENCE.split(" ".join(text.split())):
        if len(wrapped(" ".join([*shown, sentence, "…"]), width, size, dpi)) <= most:
            shown.append(sentence)
    if shown:
        return wrapped(" ".join([*shown, "…"]), width, size, dpi)
    last = wrapped(" ".join(lines[most - 1 :]), width - text_width(" …", size, dpi), size, dpi)[0]
    return [*lines[: most - 1], f"{last} …"]


def wrapped(text: str, width: float, size: float, dpi: float = DPI) -> list[str]:
    """The paragraphs of `text` in lines of at most `width` points at a font size in points, at so many pixels an inch.

    Words too long for a line are cut.
    """
    return [line for paragraph in text.split("\n") for line in _lines(drawable(paragraph), width, size, dpi)]


def _lines(text: str, width: float, size: float, dpi: float) -> list[str]:
    lines, taken, space = [""], 0.0, text_width(" ", size, dpi)
    for word in text.split():
        wide = text_width(word, size, dpi)
        if lines[-1] and taken + space + wide <= width:
            lines[-1] += f" {word}"
            taken += space + wide
            continue
        if lines[-1]:
            lines.append("")
        lines[-1], taken = word, wide
        while taken > width:
            word = lines[-1]
            sizes = range(1, len(word) + 1)
            fits = max(1, bisect_right(sizes, width, key=lambda n: text_width(word[:n], size, dpi)))
            lines[-1:] = [word[:fits], word[fits:]]
            taken = text_width(lines[-1], size, dpi)
    return lines


@functools.cache
def _renderer(dpi: float) -> RendererAgg:
    return RendererAgg(1, 1, dpi=dpi)


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float, dpi: float = DPI) -> float:
    """Points that a text takes at a font size in points where a picture is set in so many pixels an inch."""
    if not text:
        return 0.0
    dpi = min(dpi, DPI)  # finer ones are narrower by next to nothing, and vectors are not set in pixels
    font = FontProperties(family=fonts(), size=size)
    width, _, _ = _renderer(dpi).get_text_width_height_descent(text, font, False)
    return float(width) * 72 / dpi
