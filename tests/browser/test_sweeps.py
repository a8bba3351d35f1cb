"""Sweeps on the page in a real browser: values switch, the table sorts whole and scrolls, the rest unfolds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossscape.report import write_report
from tests.report_runs import varied, write_run, write_sweep

pytestmark = pytest.mark.browser


def test_a_sweep_among_runs(tmp_path: Path, visit: Callable[..., Any], pictures: Path) -> None:
    home = write_sweep(tmp_path / "rates", varied(9, 3))
    page = visit(write_report([write_run(tmp_path, "net")], tmp_path / "report", beside=[home]), 500)
    section = page.locator("#sweep-1")
    chart = section.locator("figure.chart").first
    chart.scroll_into_view_if_needed()
    chart.and_(page.locator("[data-state=drawn]")).wait_for()
    lines = int(chart.locator(".frame").get_attribute("data-traces"))
    chart.locator("[data-control=run][data-value='the 3 other values']").click()
    assert int(chart.locator(".frame").get_attribute("data-traces")) == lines - 6  # dots and a stroke of each
    section.screenshot(path=pictures / "sweep.png")
    table = section.locator("table.sortable")
    names = lambda: table.locator("tbody th").all_inner_texts()  # noqa: E731
    assert len(names()) == 27
    table.get_by_role("columnheader", name="optimizer.lr").locator("button").click()
    assert names()[:3] == ["r8-s0", "r8-s1", "r8-s2"]
    box = section.locator(".long")
    assert box.get_attribute("tabindex") == "0"
    assert box.bounding_box()["height"] < 700
    more = section.locator("details.more-of-it")
    assert more.get_attribute("open") is None
    more.locator("summary").click()
    more.locator("figure.chart").first.scroll_into_view_if_needed()
    more.locator("figure.chart[data-state=drawn]").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 500
