"""How every figure looks: settings, colours, fonts, captions, and saving it whole or not at all."""

import functools
import io
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import rc_params_from_file
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from lossscape.errors import BadInput
from lossscape.figures.how import how
from lossscape.figures.text import DPI, beginning, drawable, fonts, text_width
from lossscape.files import write_bytes, write_text
from lossscape.text import columns_of, digits_of, number

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can tell apart, without its yellow (too pale on white)."""
RUNS = ("#D55E00", "#0072B2", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#009E73")
"""The same for runs, those first that stand out on the colours of a surface, with a white edge."""
MARKERS = ("", "s", "X", "D", "P")
"""Of lines beyond as many as there are colours, again and again as many: 35 looks. Dashes tell splits apart."""
SYMBOLS = {"s": "square", "X": "x", "D": "diamond", "P": "cross"}
"""The same as the page's script names them, in two dimensions and in three."""
WHITE_EDGE: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.5}
NOTHING = "no finite loss"
DASHES: dict[str, Any] = {"train": "-", "test": (0, (4, 1.6))}
CAPTION_POINTS, CAPTION_LEADING, MARGIN_INCHES = 8.0, 1.35, 0.12

TITLE_POINTS, LEAST_TITLE = 12.0, 9.0
CAPTION_LINES = 2
"""Of a caption that stand in the picture; the whole of it lies beside the file."""
STYLE_FILE = Path(__file__).with_name("lossscape.mplstyle")
NARROW, WIDE = 3.25, 6.75
"""Inches that a figure of one panel, and one of several, takes in print."""
ONE_PANEL = 7.5
"""Inches to which a figure on the screen counts as one panel."""
DRAWN_NARROW = 4.6
"""Inches that a figure of one panel is laid out in for print, so that its text is seven tenths as large there."""
LEAST_PRINTED = 5.5
"""Points of the smallest text in print."""
PRINT_DPI = 300


@functools.cache
def _settings() -> dict[str, Any]:
    found: Any = rc_params_from_file(STYLE_FILE, use_default_template=False)
    return dict(found) | {
        "font.family": fonts(),
        "svg.hashsalt": "lossscape",
    }  # or the same figure would have other bytes


@contextmanager
def style() -> Iterator[None]:
    """The project's matplotlib settings, whatever a matplotlibrc says; also a decorator."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = _settings()
        matplotlib.rcParams.update(settings)
        yield


def label_columns(screen: int) -> int:
    """Characters in a line of a label of axes of one panel; screen: on the screen."""
    return screen if how().style == "screen" else int(0.68 * screen)


class Sheet(Figure):
    """A figure that knows its whole caption and how large it is printed."""

    caption = ""
    """All of it; of a figure that is drawn without, too."""
    small_print: Text | None = None
    """The beginning of it that stands in the picture."""
    printed = 1.0
    """Times its size, in files."""
    fitted = False
    """Whether its text has the place that it needs and no more, so that none can be larger in print."""
    key_inches = 0.0
    """What its legend takes below its panels."""


def sheet(
    width: float, height: float, title: str, caption: str | None, key: Sequence[Artist] = (), *, inches: bool = False
) -> tuple[Sheet, SubFigure]:
    """A figure with a title on top, a legend below its panels and the beginning of a caption in small print.

    Returns it with the part that the panels go into; width, height: of that part without the legend, in inches; inches:
    whether the places of the panels are given in these. In paper style one of a single panel is laid out smaller, and
    all are printed at the width of one or of two columns.
    """
    given = how()
    if (paper := given.style == "paper") and width <= ONE_PANEL and not inches:
        height *= DRAWN_NARROW / width
        width = DRAWN_NARROW
    rows, columns = _legend_shape(key, width)
    height += 0.2 * rows
    room = 0.97 * 72 * (width - 2 * MARGIN_INCHES)  # text is a little wider at other resolutions
    printed = min((NARROW if width <= DRAWN_NARROW else WIDE) / width, 1.0) if paper else 1.0
    small = max(CAPTION_POINTS, LEAST_PRINTED / printed)
    dpi = _dpi(printed)
    lines = [] if given.no_caption or not caption else beginning(caption, room, small, CAPTION_LINES, dpi)
    below = len(lines) * small * CAPTION_LEADING / 72 + 1.5 * MARGIN_INCHES
    figure = Sheet(figsize=(width, height + below), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    figure.caption = caption or ""
    figure.key_inches = 0.2 * rows + 0.1 if rows else 0.0
    figure.printed = printed
    parts: Any = figure.subfigures(2, 1, height_ratios=[height, below], hspace=0)
    panel, foot = parts
    figure.small_print = foot.text(
        MARGIN_INCHES / width, 1 - MARGIN_INCHES / 2 / below, "\n".join(lines),
        size=small, color="0.3", va="top", linespacing=CAPTION_LEADING,
    )  # fmt: skip
    words, size = _fitting(title if given.title is None else given.title, room, dpi)
    panel.suptitle(words, x=MARGIN_INCHES / width, ha="left", size=size)
    if key:
        # matplotlib leaves labels out of a legend that begin with an underscore
        labels = [f" {label}" if label.startswith("_") else label for label in (str(each.get_label()) for each in key)]
        panel.legend(key, labels, loc="outside lower center", ncols=columns)
    return figure, panel


def _dpi(printed: float) -> float:
    """Pixels an inch of a PNG before it is printed so many times as large: what its text is set in."""
    asked = how()
    return (asked.dpi or (PRINT_DPI if asked.style == "paper" else DPI)) * printed


def _fitting(title: str, room: float, dpi: float) -> tuple[str, float]:
    """A title in one line of so many points with its size, smaller and then cut where it is long."""
    title = drawable(title.replace("\n", " "))
    if (wide := text_width(title, TITLE_POINTS, dpi)) <= room:
        return title, TITLE_POINTS
    size = max(LEAST_TITLE, TITLE_POINTS * room / wide)
    if text_width(title, size, dpi) > room:
        fits = bisect_right(range(1, len(title)), room, key=lambda count: text_width(f"{title[:count]}…", size, dpi))
        title = f"{title[:fits].rstrip()}…"
    return title, size


def new_axes(**kind: Any) -> Any:
    """Axes in a figure of their own, which needs no pyplot; kind: as for add_subplot."""
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot(**kind)


def _legend_shape(key: Sequence[Artist], width: float) -> tuple[int, int]:
    if not key:
        return 0, 1
    longest = max(columns_of(str(handle.get_label())) for handle in key)
    columns = max(1, min(len(key), int(12 * width / (longest + 8))))
    return -(-len(key) // columns), columns


@style()
def save(figure: Figure, path: Path) -> str:
    """Write a figure in the formats that are asked for, and its whole caption as text; the same bytes for the same.

    path: where a PNG of it on the usual scale lies; files of another scale or style have names of their own. Returns
    the files of the figure, one a line.
    """
    given = how()
    path = path.with_name(f"{path.stem}{given.suffix}")
    printed = figure.printed if isinstance(figure, Sheet) else 1.0
    if printed < 1 and not (isinstance(figure, Sheet) and figure.fitted):
        _readable(figure, LEAST_PRINTED / printed)
    written = []
    for kind in given.files:
        written.append(path.with_name(f"{path.name}.{kind}"))
        write_bytes(written[-1], WRITERS[kind](figure, printed))
    if isinstance(figure, Sheet) and figure.caption:
        write_text(path.with_name(f"{path.name}.txt"), figure.caption + "\n")
    return "\n".join(map(str, written))


def _readable(figure: Figure, least: float) -> None:
    """No text below so many points."""
    for text in figure.findobj(Text):
        if isinstance(text, Text) and float(text.get_fontsize()) < least:
            text.set_fontsize(least)


def png(figure: Figure, printed: float) -> bytes:
    """A figure as PNG, so many times its size."""
    figure.set_dpi(_dpi(printed))
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # savefig draws twice
    return buffer.getvalue()


def svg(figure: Figure, printed: float) -> bytes:
    """The same as SVG, its text as outlines."""
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    width, height = figure.get_size_inches()

    def size(side: re.Match[str]) -> str:
        inches = width if side[1] == "width" else height
        return f'{side[1]}="{72 * inches * printed:.6g}pt"'

    head, start, rest = text.getvalue().partition("<svg ")
    return (head + start + re.sub(r'\b(width|height)="[^"]*"', size, rest, count=2)).encode()


def pdf(figure: Figure, printed: float) -> bytes:
    """The same as PDF, the fonts in it."""
    # which loads fontTools, a third of a second that figures in other formats do without
    from matplotlib.backends.backend_pdf import Op, PdfFile, RendererPdf

    buffer = io.BytesIO()
    width, height = (float(side) for side in figure.get_size_inches())
    file = PdfFile(buffer, metadata={"Creator": None, "Producer": None, "CreationDate": None})
    try:
        file.newPage(width * printed, height * printed)
        file.width, file.height = width, height  # to which it cuts lines, before they are scaled
        file.output(printed, 0, 0, printed, 0, 0, Op.concat_matrix)
        figure.set_dpi(72)
        renderer: Any = MixedModeRenderer(figure, width, height, PRINT_DPI, RendererPdf(file, PRINT_DPI, height, width))
        figure.draw(renderer)
        renderer.finalize()
        file.finalize()
    finally:
        file.close()
    return buffer.getvalue()


WRITERS: dict[str, Callable[[Figure, float], bytes]] = {"png": png, "svg": svg, "pdf": pdf}


@dataclass(frozen=True)
class Looks:
    """Which of RUNS each run has in all figures of a page, and beyond as many runs which of MARKERS."""

    runs: tuple[tuple[str, Path], ...] = ()
    """Names and folders of the page's runs; none of a figure that is drawn alone."""

    def places(self, runs: Sequence[str | Path]) -> list[int]:
        """Where each of the runs of a figure stands, given by their folders or names.

        By their names, whatever order they are given in, so that figures of the same runs have the same colours; those
        of the page have their place there, others those behind it.
        """
        found: dict[str | Path, int] = {}
        page = sorted(self.runs)
        for run in sorted(dict.fromkeys(runs), key=lambda each: (Path(each).name, str(each))):
            known = [i for i, each in enumerate(page) if run in each or Path(run).resolve() in each]
            behind = range(len(self.runs), len(self.runs) + len(runs))
            found[run] = next(place for place in (*known, *behind) if place not in found.values())
        return [found[run] for run in runs]

    def lines(self, runs: Sequence[str | Path], points: Sequence[int]) -> list[dict[str, Any]]:
        """How the line of each run of a figure is drawn, each with so many points; as places otherwise.

        One without others, in the figure and on the page, has no colour: its splits have.
        """
        found = [line_style(place, many, RUNS) for place, many in zip(self.places(runs), points, strict=True)]
        return found if len({*runs}) > 1 or len(self.runs) > 1 else [look | {"color": None} for look in found]


ALONE = Looks()
"""Of a figure that is drawn alone."""


def line_style(index: int, points: int, colours: Sequence[str] = COLOURS) -> dict[str, Any]:
    """Colour and marker of the line with this index among several, each with so many points.

    The first as many as there are colours have no marker, but of few points, which a dot each shows.
    """
    marker = marker_of(index, colours)
    return {
        "color": colours[index % len(colours)],
        "marker": marker or ("o" if points <= 12 else ""),
        "markersize": 5.5 if marker else 4 if points > 1 else 6,
        "markevery": max(points // 12, 1),
        **(WHITE_EDGE if marker else {}),
    }


def marker_of(index: int, colours: Sequence[str] = COLOURS) -> str:
    """The marker that tells what has this index among several from the others of its colour; "" for the first ones."""
    return MARKERS[index // len(colours) % len(MARKERS)]


def symbol_of(marker: str) -> dict[str, str]:
    """What a line or path of the page's charts that has this marker gains: its `symbol`, where it has one."""
    return {"symbol": SYMBOLS[marker]} if marker in SYMBOLS else {}


def line_key(lines: Mapping[str, dict[str, Any]], splits: Sequence[str], own: str | None = None) -> list[Line2D]:
    """Legend entries: a look for each of several lines and a dash for each split; else a colour for each split.

    lines: the look of each, by name; none of a single line, which needs no entry for a single split; own: the colour
    of that line, where it has one for both splits
    """
    if not lines and len(splits) == 1:
        return []
    colours = ["0.35"] * len(splits) if lines else [own] * len(splits) if own else COLOURS
    return [
        *(Line2D([], [], label=name, **look) for name, look in lines.items()),
        *(Line2D([], [], color=colours[i], linestyle=DASHES[s], label=s) for i, s in enumerate(splits)),
    ]


Ends = tuple[float | None, float | None]


def asked_ends() -> Ends:
    """Of a scale of losses, by the drawing options."""
    return how().vmin, how().vmax


def loss_axis(axes: Axes, values: Sequence[np.ndarray], log: bool, ends: Ends = (None, None)) -> None:
    """Scale and tick labels of an axis of losses; values: all that is drawn on it, NaN for gaps.

    ends: where the axis begins and ends, where that is asked for. Raises BadInput where nothing lies between them,
    and for one that a logarithmic scale does not have.
    """
    every = np.concatenate([*values, np.empty(0)])
    every = every[np.isfinite(every)]
    if not every.size:
        axes.text(0.5, 0.5, NOTHING, transform=axes.transAxes, ha="center")
        axes.set_yticks([])
        return
    log = log and bool((every > 0).any())
    every = every[every > 0] if log else every
    low, high = ends
    for flag, end in (("--vmin", low), ("--vmax", high)):
        if log and end is not None and end <= 0:
            raise BadInput(f"{flag} {number(end)}: these losses are drawn on a logarithmic scale: give one above 0")
    shown = every[(every >= (-np.inf if low is None else low)) & (every <= (np.inf if high is None else high))]
    if ends != (None, None) and not shown.size:
        raise BadInput(
            f"--vmin, --vmax: what is drawn lies between {number(float(every.min()))} and {number(float(every.max()))}"
        )
    every = np.concatenate([shown, [end for end in ends if end is not None]])
    if log:
        axes.set_yscale("log", nonpositive="mask")
    _steady(axes, every)
    if ends != (None, None):
        axes.set_ylim(*ends)
    numbers(axes.yaxis, digits=digits_of(axes.get_ylim()))
    if log:
        decades(axes.yaxis, float(every.min()), float(every.max()))


def decades(axis: Axis, low: float, high: float) -> None:
    """Ticks of an axis on a logarithmic scale, where its values (above 0) reach far enough for that."""
    axis.set_minor_formatter(NullFormatter())
    if (reach := np.log10(high / low)) >= 0.5:
        axis.set_major_locator(LogLocator(subs=(1.0,) if reach > 3 else (1.0, 2.0, 5.0), numticks=8))


def numbers(axis: Axis, most: int = 6, digits: int = 4, integer: bool = False) -> None:
    """At most so many round numbers on an axis, whatever its length is, so that a layout need not be done twice."""
    axis.set_major_locator(MaxNLocator(most, integer=integer, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, digits)))


def value_axis(axes: Axes, values: Sequence[np.ndarray]) -> None:
    """Tick labels of an axis of other values, NaN for gaps."""
    every = np.concatenate([*values, np.empty(0)])
    numbers(axes.yaxis)
    _steady(axes, every[np.isfinite(every)])


def _steady(axes: Axes, values: np.ndarray) -> None:
    """Limits that do not blow rounding up, around values [N] (finite) that are all but equal."""
    if values.size and np.ptp(values) <= 1e-6 * np.abs(values).max():
        middle = float(values.mean())
        spread = abs(middle) * 0.1 or 1.0
        axes.set_ylim(middle - spread, middle + spread)
