"""Landscapes as figures, and as sections of the page."""

from pathlib import Path

from lossscape.analyses.landscape.request import Drawing
from lossscape.certificate.summary import summary
from lossscape.figures import captions, certificates
from lossscape.figures.contours import build_contour, build_surface, contour_caption, surface_notes
from lossscape.figures.curves import build_curve, curve_picture
from lossscape.figures.export import export
from lossscape.figures.paths import build_path, path_caption
from lossscape.figures.section import Page, Picture, Section
from lossscape.figures.style import save
from lossscape.results import Curve, Surface


def draw(result: Curve | Surface, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figures of a landscape beside it, and what is exported; returns what lies where."""
    folder = result.folder
    last: dict[str, Path | str] = {"directions": folder / "directions.pt", "certificate": summary(folder)}
    if isinstance(result, Curve):
        save(build_curve([result], log=drawing.log), folder / "line.png")
        return {"line": folder / "line.csv", "figure": folder / "line.png", **last}
    save(build_contour(result, log=drawing.log), folder / "contour.png")
    save(build_surface(result, log=drawing.log), folder / "surface.png")
    drawn: dict[str, Path | str] = {
        "surface": folder / "surface.csv",
        "contour": folder / "contour.png",
        "figure": folder / "surface.png",
        "directions": folder / "directions.pt",
    }
    if result.trails:
        save(build_path(result), folder / "path.png")
        drawn |= {"path": folder / "path.csv", "distances": folder / "path.png"}
    if exported := export(result, folder, drawing.export):
        drawn["exported"] = "\n".join(map(str, exported))
    return drawn | last


def section(result: Curve | Surface, page: Page) -> Section:
    """Its part of the page: figures of every split, the certificate, and its files."""
    certificate = result.certificate
    if isinstance(result, Curve):
        parts = [curve_picture([result], page, "line.png", captions.curve_alt(result))]
    else:
        parts = _plane_pictures(result, page)
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


def _plane_pictures(surface: Surface, page: Page) -> list[Picture]:
    pictures = []
    for split in surface.splits:
        suffix = "" if split == surface.splits[0] else f"-{split}"
        contour = build_contour(surface, split=split, log=page.log, captioned=False, looks=page.looks)
        alt = f"Contours of the {split} loss over two directions. {captions.extremes(surface, split)}"
        caption = contour_caption(surface, split, page.log)
        pictures.append(page.draw(contour, f"contour{suffix}.png", alt, caption))
        solid = build_surface(surface, split=split, log=page.log, captioned=False, looks=page.looks)
        alt = f"The {split} loss over two directions as a surface in three dimensions."
        caption = " ".join([f"The same {split} losses as heights.", *surface_notes(surface, split, page.log)])
        pictures.append(page.draw(solid, f"surface{suffix}.png", alt, caption))
        if surface.trails:
            lines = build_path(surface, split=split, captioned=False, looks=page.looks)
            alt = f"True {split} losses and distances off the plane of the paths, against the epoch."
            pictures.append(page.draw(lines, f"path{suffix}.png", alt, path_caption(surface, split)))
    return pictures
