"""Paired landscapes: labels, relabelled and difference as figures, the table of measures, and the page's section."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lossscape.analyses.pair.chart import pairs_data
from lossscape.analyses.pair.request import Drawing
from lossscape.analyses.pair.result import MARKS, ORIGINAL, Pairs, columns_of, measure_rows
from lossscape.directions import sentence
from lossscape.directions.random import NORMALIZATIONS
from lossscape.figures import captions, certificates
from lossscape.figures.export import export
from lossscape.figures.pairs import Shared, build_nets, build_pair, row_names, shared_scales
from lossscape.figures.section import Chart, Page, Section, Sentences, Table
from lossscape.figures.style import save
from lossscape.figures.tables import build_table
from lossscape.figures.text import finite
from lossscape.files import read_json
from lossscape.results import Pair
from lossscape.results.folder import CERTIFICATE
from lossscape.text import counted, number

CONTOURS, SOLIDS = "contours.png", "surfaces.png"
MEANINGS = (
    "Slope: ‖∇L‖ of every cell of the grid, x and y in units of the directions.",
    "Asymmetry: mean |L(p) − L(−p)| / mean |L(p) − L(0)|, 0 of an even surface.",
    "Convex: the Hessian of second differences is positive semidefinite.",
    "Diameter: of the circle as large as the region under a level; share: of the whole grid's area.",
)
RELABELLED = {"hard": "its classes", "soft": "its whole outputs"}


def build_pairs(pairs: Pairs, *, log: bool = False, captioned: bool = True) -> Iterator[tuple[str, list[str], Figure]]:
    """Every figure of a study, one after the other: its file's name, the nets that it shows, and itself."""
    shown = [pairs.pair(net) for net in pairs.nets]
    several = len(shown) > 1
    if several:
        scales = shared_scales(shown, log)
        caption = _caption(pairs, shown, scales) if captioned else None
        for name, solids in ((CONTOURS, False), (SOLIDS, True)):
            yield name, pairs.nets, build_nets(shown, scales, caption, solids=solids)
    for index, pair in enumerate(shown, start=1):
        scales = shared_scales([pair], log)
        caption = _caption(pairs, [pair], scales) if captioned else None
        yield f"pair-{index}.png" if several else "pair.png", [pair.net], build_pair(pair, scales, caption)


def _of_net(pair: Pair, *, errors: bool = True) -> list[str]:
    """What a net's two surfaces were made under, what holds of both once; errors: with their standard errors."""
    sentences: list[str] = []
    names = [captions.loss_name(surface.settings) for surface in (pair.original, pair.relabelled)]
    both = f"Loss: {names[0]} (labels), {names[1]}."
    for surface in (pair.original, pair.relabelled):
        found = [*captions.failure_words(surface), *captions.conditions(surface, ["train"], "the centre")]
        left_out = [] if errors else captions.standard_errors(surface, ["train"])
        own = f"Loss: {captions.loss_name(surface.settings)}."
        if surface is pair.original:
            sentences += [both if word == own else word for word in found if word not in left_out]
            continue
        targets = surface.settings["targets"]
        new = [word for word in found if word not in {own, *left_out, *sentences}]
        sentences += [f"With {targets} targets: {word[:1].lower()}{word[1:]}" for word in new]
    return sentences


def at_centre(pair: Pair) -> str:
    """The losses at the centre, where it is on the grid."""
    found = []
    for surface in (pair.original, pair.relabelled):
        table = surface.table
        here = table[(table["x"] == 0) & (table["y"] == 0)]["train_loss"]
        found.append(number(float(here.iloc[0]), 3) if len(here) else "not on the grid")
    targets = pair.relabelled.settings["targets"]
    return f"loss at the centre {found[0]} against labels, {found[1]} against {targets} targets."


def _marks(shown: Sequence[Pair], scales: Shared) -> list[str]:
    """What a reader has to know of the scales and of points that are missing or beyond them."""
    lost = points = below = 0
    for pair in shown:
        for surface in (pair.original, pair.relabelled):
            values = finite(surface.table["train_loss"].to_numpy())
            lost, points = lost + int(np.isnan(values).sum()), points + values.size
            centre = values[((surface.table["x"] == 0) & (surface.table["y"] == 0)).to_numpy()]
            below += int((centre < scales.losses.low).sum())
    words = ["★ marks the centre; all losses share one colour scale and its levels, all differences another."]
    if lost:
        words.append(f"Hatched or open: {lost:,} of {points:,} losses are infinite, undefined or above 1e30.")
    if below:
        of = "The loss at the centre" if below == 1 else f"{below} losses at centres"
        words.append(
            f"{of}, below {number(scales.losses.low, 3)}, {'is' if below == 1 else 'are'} drawn at that value."
        )
    return [*words, *scales.losses.notes, *scales.differences.notes]


def _caption(pairs: Pairs, shown: Sequence[Pair], scales: Shared) -> str:
    settings = shown[0].original.settings
    around = f"θ = {captions.point_name(settings['centre'])}" if len(shown) == 1 else "each net's θ"
    words = [
        f"Loss of the training data at θ + x·d₁ + y·d₂ around {around}, "
        f"{captions.grid_words(shown[0].original)}: against the data's labels, against what the net at θ itself "
        f"says ({RELABELLED[pairs.targets]}), and the second minus the first.",
        sentence(settings, 2),
    ]
    if (planes := int(pairs.settings["repeats"])) > 1:
        seed = settings["directions"]["seed"]
        words.append(f"This is the plane of seed {seed}, one of {planes} that the measures are taken over.")
    words += _marks(shown, scales)
    return _with_nets(words, shown, [_of_net(pair) for pair in shown], [[at_centre(pair)] for pair in shown])


def _with_nets(
    words: Sequence[str], shown: Sequence[Pair], conditions: Sequence[Sequence[str]], first: Sequence[Sequence[str]]
) -> str:
    """A paragraph of words and the conditions that all nets share, then one of what is each net's own."""
    shared, *rest = captions.with_shared_first(conditions)
    lines = [" ".join([*words, *shared])]
    for pair, *own in zip(shown, first, rest, strict=True):
        if any(own):
            name = captions.point_name(pair.original.settings["centre"])
            lines.append(" ".join([f"{name}:", *own[0], *own[1]]))
    return "\n".join(lines)


def _table_caption(pairs: Pairs, rows: Sequence[Sequence[str]]) -> str:
    shown = [pairs.pair(net) for net in pairs.nets]
    settings = shown[0].original.settings
    words = ["Of one plane: --repeats takes several, since one random plane proves nothing."]
    if pairs.planes > 1:
        words = [f"Mean ± standard deviation over {pairs.planes} planes, of the seeds 0 to {pairs.planes - 1}."]
    words += MEANINGS
    words += [note for mark, note in MARKS.items() if any(mark in cell for _, *cells in rows for cell in cells)]
    spans = [
        f"{axis} from {number(low)} to {number(high)}"
        for axis, (low, high) in ((axis, pairs.settings[f"{axis}_range"]) for axis in ("x", "y"))
    ]
    words.append(f"Grid: {captions.grid_words(shown[0].original)}, {' and '.join(spans)}.")
    words.append(sentence(settings, 2).replace(f", seed {settings['directions']['seed']}", ""))
    return _with_nets(words, shown, [_of_net(pair, errors=False) for pair in shown], [[] for _ in shown])


def measure_table(pairs: Pairs) -> Table:
    """A row for each measure, a column for each net against labels and relabelled: mean ± std over the planes."""
    rows = measure_rows(pairs)
    head = ["measure", *(targets for _, targets in columns_of(pairs))]
    groups = [(net, 2) for net in pairs.nets]
    return Table(rows, head, _table_caption(pairs, rows), groups=groups)


def build_measures(pairs: Pairs, *, captioned: bool = True) -> Figure:
    """The table of measures as a picture."""
    title = f"Measures of the surfaces against labels and {pairs.targets} targets"
    return build_table(measure_table(pairs), title, captioned=captioned)


def draw(result: Pairs, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figures of a study and the picture of its measures beside it, and what is exported.

    One net: pair.png. Several: contours.png and surfaces.png with all of them, and a pair-….png of each.
    """
    folder = result.folder
    figures = []
    for name, _, figure in build_pairs(result, log=drawing.log):
        figures.append(save(figure, folder / name))
    table = save(build_measures(result), folder / "measures.png")
    exported = [
        str(path)
        for index, net in enumerate(result.nets, start=1)
        for path in export(result.pair(net).together(), folder, drawing.export, name=f"pair-{index}")
    ]
    return {
        "measures": folder / "measures.csv", "summary": folder / "summary.csv", "table": table,
        "figures": "\n".join(figures), **({"exported": "\n".join(exported)} if exported else {}),
    }  # fmt: skip


def section(result: Pairs, page: Page) -> Section:
    """Its part of the page: the surfaces of all nets on one scale, and the table of measures."""
    shown = [result.pair(net) for net in result.nets]
    table = measure_table(result)
    name, _, figure = next(build_pairs(result, log=page.log, captioned=False))
    still = page.draw(figure, name, _alt(shown, result), _caption(result, shown, shared_scales(shown, page.log)))
    chart = Chart("pair", "surfaces", pairs_data(shown, page.log), still)
    failed = _failures(result)
    count = (
        f"{len(result.table)} surfaces, {len(failed) or 'none'} of them with a certificate that failed; each is a "
        "landscape of its run with files and certificate of its own, and is not shown once more."
    )
    return Section(
        title=_title(result, shown[0].original.settings, captions.grid_words(shown[0].original)),
        parts=[chart, table, Sentences([count])],
        files=page.copy_result(result.folder),
        failures=failed,
        warning="The certificates of these surfaces FAILED: do not rely on what is made of them.",
    )


def _title(pairs: Pairs, settings: captions.Settings, size: str) -> str:
    """The nets, and what tells the study from others of the same nets; settings, size: of a surface."""
    made = pairs.settings["directions"]
    nets = pairs.nets if len(pairs.nets) > 1 else [str(pairs.settings["nets"][0]["checkpoint"])]
    extras = [f"{pairs.targets} targets", size]
    for axis in ("x", "y"):
        low, high = pairs.settings[f"{axis}_range"]
        extras += [] if [low, high] == [-1, 1] else [f"{axis} from {number(low)} to {number(high)}"]
    if made["normalize"] != "filter":
        how = NORMALIZATIONS[made["normalize"]][0]
        extras.append(f"directions {how}")
    extras.append(counted(pairs.planes, "plane"))
    return ", ".join([" and ".join(nets), *extras, *captions.title_extras(settings)])


def _alt(shown: Sequence[Pair], pairs: Pairs) -> str:
    nets = " ".join(f"{pair.net}: {at_centre(pair)}" for pair in shown)
    return f"Losses against labels, against {pairs.targets} targets, and their difference over a plane. {nets}"


def _failures(pairs: Pairs) -> list[str]:
    held = dict(zip((ORIGINAL, pairs.targets), row_names(pairs.targets), strict=False))
    return [
        f"{row['net']} against {held[row['targets']]}, seed {row['seed']:.0f}"
        for row in pairs.table.to_dict("records")
        if certificates.failures(read_json(pairs.folder / row["surface"] / CERTIFICATE))
    ]
