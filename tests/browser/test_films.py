"""Films in a real browser: they stand still until they are asked to move, and are loaded then."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from lossscape.analyses.film.chart import frames_data
from lossscape.analyses.film.figure import scale_of
from lossscape.analyses.film.result import Film
from lossscape.figures.movies import gif
from lossscape.figures.section import Chart, Page, Picture, Section
from lossscape.report import write_report
from lossscape.report.single import single_path, write_single
from tests.report_runs import write_landscape, write_run

pytestmark = pytest.mark.browser
Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a film of three frames that is drawn from data, and of one that is a file alone."""
    home = tmp_path_factory.mktemp("films")
    run = write_run(home, "a")
    made = [write_landscape(run, lambda x, y, k=k: k + x * x, label=f"frame-{k}", grid=(5, 5)) for k in (3, 2, 1)]
    rows = [["plane", k, f"epoch-{k}", f"../../landscape/{folder.name}", k, k] for k, folder in enumerate(made)]
    columns = ["film", "frame", "checkpoint", "landscape", "epoch", "step"]
    film = Film(run.path / "film" / "a", {"split": "train"}, pd.DataFrame(rows, columns=columns))
    frames = [Image.new("RGB", (60, 40), colour).quantize(8) for colour in ("white", "gray", "black")]
    (home / "race.gif").write_bytes(gif(frames, 8))

    def front(page: Page) -> Section:
        file = page.copy(home / "race.gif")
        still = Picture("files/study/race.png", "the film", "A film from data.")
        drawn = Chart("plane", "surfaces", frames_data(film, scale_of(film, "plane")), still)
        return Section("Films", [drawn, Picture(file[1], "A race.", "A film that is a file.")], [file])

    page = write_report([run], home / "report", front=front, brief=True)
    write_single(page.parent)
    return page


def test_a_film_from_data_plays_and_pauses(films: Path, visit: Visit) -> None:
    page = visit(films, reduced_motion="reduce")
    frame = page.locator("figure.chart[data-state=drawn] .frame").first
    frame.wait_for()
    z = lambda: frame.evaluate("each => JSON.stringify(each.querySelector('.flat').data[0].z)")  # noqa: E731
    last, play = z(), frame.locator("[data-control=play]")
    assert (frame.get_attribute("data-playing"), frame.get_attribute("data-moment")) == ("false", "2")
    frame.evaluate(
        """each => {
          each.seen = [];
          const look = () => each.seen.push([each.dataset.when, JSON.stringify(each.querySelector('.flat').data[0].z)]);
          new MutationObserver(look).observe(each, {attributeFilter: ['data-when']});
        }"""
    )
    play.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "each => each.seen.length === 3 && each.dataset.playing === 'false'", arg=frame.element_handle(), polling=200
    )  # ms: frames are rare where views are drawn without a graphics card
    moments, levels = zip(*frame.evaluate("each => each.seen"), strict=True)
    assert moments == ("epoch 0", "epoch 1", "epoch 2")
    assert len({*levels, last}) == 3
    assert z() == last
    for words, playing in (("❚❚ Pause", "true"), ("▶ Play", "false")):
        states = play.evaluate(
            "each => { each.click(); return [each.textContent, each.closest('.frame').dataset.playing]; }"
        )
        assert states == [words, playing]


def test_a_film_that_is_a_file_plays_in_place_when_asked_to(films: Path, visit: Visit) -> None:
    page = visit(films)
    button, image = page.locator("button.play"), page.get_by_alt_text("A race.")
    sources = page.evaluate("[...document.images].map(each => each.currentSrc.split('/').at(-1))")
    assert "race.png" in sources
    assert "race.gif" not in sources  # which is fetched when it is asked for
    button.click()
    assert (button.get_attribute("aria-pressed"), image.get_attribute("src")) == ("true", "files/study/race.gif")
    page.wait_for_function("image => image.complete && image.naturalWidth === 60", arg=image.element_handle())
    button.click()
    assert (button.inner_text(), image.get_attribute("src")) == ("▶ Play", "files/study/race.png")
    mailed = visit(single_path(films.parent))
    image = mailed.get_by_alt_text("A race.")
    assert image.get_attribute("src").startswith("data:image/webp")
    mailed.locator("button.play").click()
    assert image.get_attribute("src").startswith("data:image/gif")
