"""Landscapes as figures that move."""

from collections.abc import Mapping, Sequence
from typing import Any

from lossscape.figures import captions
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.charts.surfaces import surface_data, surfaces_data
from lossscape.figures.contours import build_contour, contour_caption
from lossscape.figures.paths import build_path, path_caption, spans_decades, when
from lossscape.figures.section import Chart, Page
from lossscape.figures.several import build_several, several_caption
from lossscape.figures.style import ALONE, RUNS, Looks, marker_of, symbol_of
from lossscape.figures.text import numbered
from lossscape.results import Curve, Surface, Trail
from lossscape.text import number, shortened


def plane_charts(surface: Surface, page: Page) -> list[Chart]:
    """A plane as linked contours and a view in three dimensions; its paths' losses and distances as lines."""
    split = surface.splits[0]
    alt = f"Contours of the {split} loss over two directions. {captions.extremes(surface, split)}"
    contour = build_contour(surface, split=split, log=page.log, captioned=False, looks=page.looks)
    still = page.draw(contour, "contour.png", alt, contour_caption(surface, split, page.log))
    charts = [Chart("surface", "surfaces", surface_data(surface, page.log, page.looks), still)]
    if surface.trails:
        alt = f"True {split} losses and distances off the plane of the paths, against the epoch."
        lines = build_path(surface, split=split, captioned=False, looks=page.looks)
        still = page.draw(lines, "path.png", alt, path_caption(surface, split))
        charts.append(Chart("path", "lines", path_data(surface, page.log, page.looks), still))
    return charts


def path_data(surface: Surface, log: bool = False, looks: Looks = ALONE) -> dict[str, Any]:
    """Losses of the checkpoints and of the plane below them, and how far they lie off it, by epoch."""
    trails = surface.trails
    by = "epoch" if all(trail.table["epoch"].notna().all() for trail in trails) else "step"
    labels = [captions.loss_label([captions.loss_name(surface.settings)], split) for split in surface.splits]
    panels = [panel(f"{split}_loss", label, log=True) for split, label in zip(surface.splits, labels, strict=True)]
    panels.append(panel("distance", "distance between parameters", name="distances"))
    lines = []
    names = numbered([shortened(trail.name) for trail in trails])
    for trail, name, place in zip(trails, names, looks.places([trail.name for trail in trails]), strict=True):
        look, symbol = (trail, name, RUNS[place % len(RUNS)], by), symbol_of(marker_of(place, RUNS))
        for key in (f"{split}_loss" for split in surface.splits):
            lines += [_line(*look, key, *each) | symbol for each in ((key, OWN), (f"plane_{key}", PLANE))]
        lines += [_line(*look, "distance", *each) | symbol for each in (("off_plane", OWN), ("in_plane", PLANE))]
    losses = [trail.table[f"{split}_loss"].to_numpy() for trail in trails for split in surface.splits]
    return {"x": by, "panels": panels, "lines": lines, "log": log or spans_decades(losses)}


SAME = ("targets", "batch_norm", "dropout", "precision")
"""Settings in which planes of several runs must not differ to be compared."""


def planes_of(results: Mapping[str, Sequence[Curve | Surface]]) -> list[dict[str, Surface]]:
    """Planes that several runs have alike by their names: random ones of the same kind and range; one of each run."""
    groups: dict[str, dict[str, Surface]] = {}
    for run, found in results.items():
        for plane in (each for each in found if isinstance(each, Surface) and each.regular):
            made = plane.settings["directions"]
            if made["kind"] == "random" and "of" not in made:
                known = [plane.settings.get(key) for key in ("x_range", "y_range", *SAME)]
                group = groups.setdefault(repr([made, *known, plane.splits]), {})
                group[run] = max(group.get(run, plane), plane, key=lambda each: len(each.table))
    return [group for group in groups.values() if len(group) > 1]


def compare_charts(results: Mapping[str, Sequence[Curve | Surface]], page: Page) -> list[Chart]:
    """One chart for each kind of plane that several runs have; results: by run."""
    charts = []
    for index, shown in enumerate(planes_of(results), 1):
        split = next(iter(shown.values())).splits[0]
        figure = build_several(shown, split, log=page.log)
        words = " ".join(f"{name}: {captions.extremes(surface, split)}" for name, surface in shown.items())
        alt = f"Contours of the {split} loss around {len(shown)} nets on one scale. {words}"
        still = page.draw(figure, f"planes-{index}.png", alt, several_caption(shown, split, page.log))
        charts.append(Chart(f"planes-{index}", "surfaces", surfaces_data(shown, page.log, page.looks), still))
    return charts


OWN, PLANE = "checkpoint", "plane"
SAID = {"off_plane": "off the plane", "in_plane": "from the centre within the plane"}


def _line(trail: Trail, name: str, colour: str, by: str, key: str, column: str, of: str) -> dict[str, Any]:
    """A column of a path by epoch, dashed where it is of the plane, with what stands at each checkpoint."""
    values = trail.table[column]
    what = SAID.get(column, "loss of the checkpoint" if of == OWN else "loss of the plane below it")
    rows = zip(trail.table.iterrows(), values, strict=True)
    words = [f"{name}, {when(row)}: {what} {number(value)}" for (_, row), value in rows]
    more = {"run": name, "split": of, "dash": "solid" if of == OWN else "dash", "text": words}
    return line(key, colour, trail.table[by], values, **more)
