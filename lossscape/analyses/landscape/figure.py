"""Landscapes as figures, and as sections of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lossscape.analyses.landscape.chart import compare_charts, plane_charts
from lossscape.analyses.landscape.request import Drawing
from lossscape.certificate.summary import summary
from lossscape.errors import BadInput
from lossscape.figures import captions, certificates
from lossscape.figures.charts.lines import curve_chart
from lossscape.figures.contours import build_contour, build_surface
from lossscape.figures.curves import build_curve
from lossscape.figures.export import export
from lossscape.figures.paths import build_path
from lossscape.figures.section import Chart, Page, Section
from lossscape.figures.style import save
from lossscape.results import Curve, Surface


def draw(result: Curve | Surface, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figures of a landscape beside it, and what is exported; returns what lies where."""
    folder = result.folder
    last: dict[str, Path | str] = {"directions": folder / "directions.pt", "certificate": summary(folder)}
    if isinstance(result, Curve):
        if drawing.how.levels is not None:
            raise BadInput("--levels: a line has none; leave it out")
        figure = save(build_curve([result], log=drawing.log), folder / "line.png")
        return {"line": folder / "line.csv", "figure": figure, **last}
    drawn: dict[str, Path | str] = {
        "surface": folder / "surface.csv",
        "contour": save(build_contour(result, log=drawing.log), folder / "contour.png"),
        "figure": save(build_surface(result, log=drawing.log), folder / "surface.png"),
        "directions": folder / "directions.pt",
    }
    if result.trails:
        drawn |= {"path": folder / "path.csv", "distances": save(build_path(result), folder / "path.png")}
    if exported := export(result, folder, drawing.export):
        drawn["exported"] = "\n".join(map(str, exported))
    return drawn | last


def section(result: Curve | Surface, page: Page) -> Section:
    """Its part of the page: figures of every split, the certificate, and its files."""
    certificate = result.certificate
    if isinstance(result, Curve):
        parts = [curve_chart([result], page, "line.png", captions.curve_alt(result))]
    else:
        parts = plane_charts(result, page)
    return Section(
        title=_title(result),
        parts=parts,
        files=page.copy_result(result.folder),
        failures=certificates.failures(certificate),
        certificate=certificates.certificate_of(certificate, result.engine),
    )


def _title(result: Curve | Surface) -> str:
    """What is drawn, and what tells it from others of the same centre."""
    settings, what = result.settings, "line" if isinstance(result, Curve) else "plane"
    made = settings["directions"]
    extras = [f"directions of {made['of']['run']}@{made['of']['checkpoint']}"] if "of" in made else []
    extras += [f"seed {made['seed']}"] if "seed" in made else []
    extras.append(captions.grid_words(result).partition(" where ")[0])
    extras += captions.targets_extra(settings)
    title = f"{made['kind']} {what} around {settings['centre']['checkpoint']}"
    return ", ".join([title, *extras, *captions.title_extras(settings)])


def compare(results: Mapping[str, Sequence[Curve | Surface]], page: Page) -> list[Chart]:
    """One figure for each kind of plane that several runs have, on one scale and camera; results: by run."""
    return compare_charts(results, page)
