"""A real browser on a real page: headless Chromium, driven over its own protocol, which may reach no network."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossscape.config import read_experiment
from lossscape.report import write_report
from lossscape.report.single import write_single
from lossscape.runs import Run
from lossscape.train import train
from tests import computing
from tests.report_runs import BOWL, STEEP, write_curve, write_landscape, write_pairs, write_paths, write_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LONG = "実験_größe_" + "a_long_name_" * 6
"""Of a run: not in ASCII, and with nothing to break it at."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "no Chromium here: apt-get install chromium"
    flags = ["--enable-unsafe-swiftshader", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go."""
    folder = Path(os.environ.get("LOSSSCAPE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three runs and eleven results, one with a certificate that failed, one without a finite value."""
    home = tmp_path_factory.mktemp("runs")
    write_pairs(home, {"sgd": BOWL, "momentum": STEEP})
    write_run(home, LONG)
    runs = [Run(home / name) for name in ("sgd", "momentum", LONG)]
    rng = np.random.default_rng(0)
    for run, depth in zip(runs, (1.5, 1.9, 1.0), strict=True):
        write_curve(run, lambda a, d=depth: 2 - d * a + 0.3 * np.sin(3 * np.pi * a) ** 2)
        write_landscape(
            run, lambda x, y, d=depth: d * (x * x + 2 * y * y) + 0.05 * rng.normal(), grid=(15, 13),
            splits=("train", "test"), error=0.02, label="plane-15x13",
        )  # fmt: skip
    write_paths(write_landscape(runs[0], grid=(9, 9), label="with-paths"), ["sgd", "momentum"])
    write_landscape(runs[1], grid=[21], label="line")
    write_landscape(runs[1], lambda x, y: np.nan, grid=(5, 5), label="nothing-finite")
    failed = write_curve(runs[2], label="failed", points=21, ends=("epoch-0000", "epoch-0003"))
    (failed / "certificate.json").write_text('{"passed": false, "model_unchanged": false}')
    page = write_report(runs, home / "report")
    write_single(page.parent)
    return page


LINE = """\
name: line
dataset: {name: regression_1d, train: 30, test: 20}
model: {name: mlp, hidden: [4], activation: tanh}
loss: {name: mse}
optimizer: {name: adam, lr: 0.05}
training: {epochs: 3, batch_size: 10}
"""


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a run of four checkpoints with its fit, race, critical points, gradients and initial values."""
    home = tmp_path_factory.mktemp("measured")
    (home / "line.yaml").write_text(LINE)
    run = train(read_experiment(home / "line.yaml"), home)
    computing.fit(str(run.path), grid=9)
    computing.saddles(str(run.path), displacements=1, sizes=(0.1,), newton_steps=5)
    computing.gradients(str(run.path), all=True)
    beside = [
        computing.race(
            surface="valley", runs=str(home), starts=2, steps=20, methods=({"name": "sgd"}, {"name": "adam"})
        ),
        computing.initial_values(str(home / "line.yaml"), runs=str(home), schemes=("he", "xavier"), seeds=1, epochs=1),
    ]
    return write_report([run], home / "report", beside=beside)


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page in a window of a size; at the end nothing may have gone wrong in it, or asked for the network."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def asked(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            wrong.append(f"asked for {request.url}")

    def visit(path: Path, width: int = 1400, height: int = 900, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # ms: without a graphics card, beside other work, a view takes many seconds
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda asked: wrong.append(f"failed: {asked.url}"))
        page.on("request", asked)
        page.goto(path.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not wrong
