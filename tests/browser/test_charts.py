"""The charts of results in a real browser: what each control did is read back, values are those of the result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossscape.report import write_report
from tests.report_runs import write_landscape, write_paths, write_run

pytestmark = pytest.mark.browser
Visit = Callable[..., Any]


def shown(page: Any, source: str) -> tuple[Any, Any]:
    """The chart whose data lie at an address with these words, drawn and in sight, and its frame."""
    chart = page.locator(f"figure.chart[data-source*='{source}']").first
    page.evaluate("for (const each of document.querySelectorAll('article details')) each.open = true")
    chart.scroll_into_view_if_needed()
    chart.and_(page.locator("[data-state=drawn]")).wait_for()
    chart.scroll_into_view_if_needed()
    return chart, chart.locator(".frame")


def told(frame: Any, key: str) -> str:
    return str(frame.get_attribute(f"data-{key}"))


def control(frame: Any, name: str, value: str | None = None) -> Any:
    return frame.locator(f"[data-control={name}]" + (f"[data-value={value}]" if value else ""))


def turn(page: Any, solid: Any) -> None:
    """Drag a view in three dimensions."""
    solid.scroll_into_view_if_needed()
    box = solid.bounding_box()
    page.mouse.move(box["x"] + 150, box["y"] + 120)
    page.mouse.down()
    for step in (1, 2, 3):
        page.mouse.move(box["x"] + 150 + 17 * step, box["y"] + 120 + 7 * step)
        page.wait_for_timeout(200)  # ms: a hand waits for what it sees, which without a graphics card comes late
    page.mouse.up()


def test_a_surface_shows_layers_scales_and_values(report: Path, visit: Visit, pictures: Path) -> None:
    page = visit(report)
    chart, frame = shown(page, "plane-15x13/surface")
    solid = frame.locator(".solid.js-plotly-plot")
    solid.wait_for()
    assert told(frame, "solid") == "webgl"
    for layer in ("test_accuracy", "train_loss"):
        control(frame, "layer", layer).click()
        assert told(frame, "layer") == layer
    for scale in ("log", "linear"):
        control(frame, "scale", scale).click()
        assert told(frame, "scale") == scale
        assert control(frame, "scale", scale).get_attribute("aria-pressed") == "true"
    flat = frame.locator(".flat")
    flat.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert [float(each) for each in told(frame, "point").split(",")] == pytest.approx([2 / 7, -1 / 6])
    words = frame.locator(".said").inner_text()
    assert words.startswith("x 0.2857, y −0.1667: train loss ")
    assert " ± " in words
    assert "train accuracy 50 ± " in words
    assert frame.locator(".cross:not([hidden])").count() == 1
    page.keyboard.press("Escape")
    assert told(frame, "point") == ""
    box = flat.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("frame => frame.dataset.point", arg=frame.element_handle())
    chart.screenshot(path=pictures / "surface.png")
    control(frame, "reset").click()
    assert told(frame, "point") == ""
    solid.evaluate("each => each.on('plotly_afterplot', () => { each.drawings = (each.drawings || 0) + 1; })")
    box = solid.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("frame => frame.dataset.point", arg=frame.element_handle())
    page.wait_for_timeout(1500)
    assert solid.evaluate("each => each.drawings") <= 3  # not again and again: each drawing is told of as a hover


def test_paths_follow_the_slider_and_play(report: Path, visit: Visit, pictures: Path) -> None:
    page = visit(report)
    chart, frame = shown(page, "with-paths/surface")
    reached = lambda: frame.evaluate(  # noqa: E731
        "frame => frame.querySelector('.flat').data.filter(each => each.mode === 'lines').map(each => each.x.length)"
    )
    assert (told(frame, "when"), reached()) == ("epoch 2", [3, 3])
    slider = control(frame, "moment")
    slider.focus()
    page.keyboard.press("Home")
    assert (told(frame, "when"), reached()) == ("epoch 0", [1, 1])
    page.keyboard.press("ArrowRight")
    assert (told(frame, "moment"), reached()) == ("1", [2, 2])
    assert slider.get_attribute("aria-valuetext") == "epoch 1"
    control(frame, "play").click()
    page.wait_for_function("frame => frame.dataset.moment === '2'", arg=frame.element_handle())
    page.wait_for_function("frame => frame.dataset.playing === 'false'", arg=frame.element_handle())
    names = frame.locator(".flat .annotation-text").all_text_contents()
    assert {"sgd, epoch 2", "momentum, epoch 2", "epoch 0"} <= {*names}
    chart.screenshot(path=pictures / "path.png")
    places = frame.evaluate(
        """frame => {
          const plot = frame.querySelector('.flat'), {xaxis, yaxis} = plot._fullLayout;
          const box = plot.getBoundingClientRect();
          return [box.left + xaxis._offset + xaxis.l2p(0.2), box.top + yaxis._offset + yaxis.l2p(0)];
        }"""
    )
    page.mouse.move(*places)
    said = frame.locator(".said").inner_text()
    assert said == "sgd, epoch 2: train loss 0.3333 (plane below it 0.3333); 0.02 off the plane"


def test_runs_beyond_the_colours_have_symbols_that_their_buttons_show(tmp_path: Path, visit: Visit) -> None:
    runs = [write_run(tmp_path, f"run-{number}") for number in range(9)]
    write_paths(write_landscape(runs[0]), [run.name for run in runs])
    page = visit(write_report(runs, tmp_path / "report"))
    symbols = (
        """(frame, names) => names.map(name => frame.querySelector(`[data-value=${name}] .swatch`).dataset.symbol)"""
    )
    drawn = """frame => [...new Set([...frame.querySelectorAll('.plot, .flat, .solid')].flatMap(plot => plot.data || [])
                 .map(each => each.marker?.symbol))]"""
    for source in ("training", "plane/surface", "plane/path"):
        _, frame = shown(page, source)
        assert frame.evaluate(symbols, ["run-0", "run-6", "run-7"]) == ["circle", "circle", "square"]
        assert "square" in frame.evaluate(drawn)
    _, frame = shown(page, "plane/surface")
    named = frame.locator(".flat .annotation-text")
    assert set(named.all_text_contents()) == {"epoch 0"}  # nine names would lie on one another
    for name in ("run-0", "run-2", "run-3"):
        control(frame, "run", name).click()
    assert "run-1, epoch 2" in named.all_text_contents()


@pytest.mark.parametrize(("source", "panels"), [("pairs/", 6), ("planes-1", 3)])
def test_surfaces_side_by_side_share_cross_scale_and_camera(
    report: Path, visit: Visit, pictures: Path, source: str, panels: int
) -> None:
    page = visit(report)
    chart, frame = shown(page, source)
    assert frame.locator(".panel").count() == panels
    frame.locator(".flat").first.focus()
    page.keyboard.press("ArrowLeft")
    assert frame.locator(".said span").count() == panels
    assert frame.locator(".cross:not([hidden])").count() == panels
    frame.locator(".solid.js-plotly-plot").nth(1).wait_for()
    if panels > 3:  # drawn without a graphics card, six are slow to turn
        chart.screenshot(path=pictures / f"{source.strip('/')}.png")
        return
    turn(page, frame.locator(".solid").first)
    page.wait_for_function(
        """frame => {
          const eyes = [...frame.querySelectorAll('.solid')].filter(each => each.data)
            .map(each => each._fullLayout.scene.camera.eye.x.toFixed(2));
          return new Set(eyes).size === 1 && eyes[0] === frame.dataset.camera.split(',')[0] && eyes[0] !== '-0.95';
        }""",
        arg=frame.element_handle(),
        polling=250,  # ms: frames are rare where views are drawn without a graphics card
    )
    chart.screenshot(path=pictures / f"{source.strip('/')}.png")


def test_without_webgl_the_contours_stay_and_say_so(report: Path, visit: Visit) -> None:
    page = visit(report).context.new_page()
    page.add_init_script(
        """const given = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
          return kind.includes('webgl') ? null : given.call(this, kind, ...rest);
        };"""
    )
    page.goto(report.as_uri())
    _, frame = shown(page, "plane-15x13/surface")
    assert told(frame, "solid") == "none"
    assert "no WebGL" in frame.locator(".solid").inner_text()
    frame.locator(".flat").focus()
    page.keyboard.press("ArrowRight")
    assert told(frame, "point") != ""


def test_a_surface_without_a_finite_value_says_so(report: Path, visit: Visit) -> None:
    page = visit(report)
    _, frame = shown(page, "nothing-finite/surface")
    frame.get_by_text("No value here is finite.").wait_for()
    control(frame, "layer", "train_accuracy").click()
    frame.locator(".solid.js-plotly-plot canvas").first.wait_for()
    control(frame, "layer", "train_loss").click()
    frame.get_by_text("No value here is finite.").wait_for()


def test_barriers_are_marked_on_the_lines(report: Path, visit: Visit) -> None:
    page = visit(report)
    _, frame = shown(page, "comparison/curve-1")
    marks = frame.locator(".annotation", has_text="barrier 0.")
    boxes = [marks.nth(index).bounding_box() for index in range(marks.count())]
    assert len(boxes) == 6  # of three runs, each on two splits
    for index, a in enumerate(boxes):
        for b in boxes[:index]:  # no words lie on others
            assert abs(a["x"] - b["x"]) > a["width"] - 4 or abs(a["y"] - b["y"]) > 10
    control(frame, "split", "test").click()
    assert int(told(frame, "traces")) * 2 == 12


def traces(frame: Any) -> list[Any]:
    """Name and number of values of each trace of lines."""
    return list(frame.evaluate("frame => frame.querySelector('.plot').data.map(each => [each.name, each.y.length])"))


def test_what_is_measured_of_a_run_has_controls_too(measured: Path, visit: Visit, pictures: Path) -> None:
    page = visit(measured)
    chart, fit = shown(page, "/fit/")
    residuals = "frame => JSON.stringify(frame.querySelector('.plot').data.find(each => each.yaxis === 'y2').y)"
    last = fit.evaluate(residuals)
    assert (told(fit, "when"), ["net", 9] in traces(fit)) == ("epoch 3", True)
    control(fit, "moment").focus()
    page.keyboard.press("Home")
    assert told(fit, "when") == "epoch 0"
    assert fit.evaluate(residuals) != last
    control(fit, "play").click()
    page.wait_for_function("frame => frame.dataset.playing === 'false'", arg=fit.element_handle())
    assert (told(fit, "when"), fit.evaluate(residuals)) == ("epoch 3", last)
    chart.screenshot(path=pictures / "fit.png")
    _, race = shown(page, "/paths")
    drawn = "frame => frame.querySelector('.flat').data.filter(each => each.mode === 'lines').length"
    assert race.evaluate(drawn) == 8  # two methods from two starts, each with its white edge
    control(race, "run").first.click()
    assert race.evaluate(drawn) == 4
    control(race, "moment").focus()
    page.keyboard.press("Home")
    assert told(race, "when") == "step 0"
    _, losses = shown(page, "/losses")
    assert len(traces(losses)) == 8
    control(losses, "run").first.click()
    assert len(traces(losses)) == 4
    _, saddles = shown(page, "/saddles/")
    assert sum(count for _, count in traces(saddles)) == 2 * 8  # eight starts in two panels
    control(saddles, "panel", "largest").click()
    assert sum(count for _, count in traces(saddles)) == 3 * 8
    _, gradients = shown(page, "/gradients/")
    assert len(traces(gradients)) == 2 * 4
    assert told(gradients, "scale") == "log"
    control(gradients, "log").click()
    control(gradients, "run").first.click()
    assert (told(gradients, "scale"), len(traces(gradients))) == ("linear", 4)
    _, starts = shown(page, "/activations")
    names = [name for name, _ in traces(starts)]
    assert {*names} - {None} == {"he", "xavier"}
    control(starts, "run", "he").click()
    assert {name for name, _ in traces(starts)} - {None} == {"xavier"}
    _, trainings = shown(page, "/trainings")
    control(trainings, "split", "test").click()
    assert {name for name, _ in traces(trainings)} - {None} == {"he, train", "xavier, train"}
