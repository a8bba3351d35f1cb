"""Requests of every command give what they always gave: folder names, settings.yaml, bytes of CSV, certificates.

And results made before are found, and completed to the same bytes. What is frozen lies in golden/expected; see
golden/freeze.py for when it may change.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from golden.asking import REPOSITORY, REQUESTS, RUNS, asked, lines_of
from golden.comparing import EXPECTED, differences, expected_of

from lossscape import yamlfile
from lossscape.config import read_experiment

CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))
WAIT = 900
"""Seconds: all requests are asked for in the first test, which takes a slow machine minutes."""


def cases() -> list[Any]:
    """All requests: the first of each command, and the others, which are slow together."""
    begun: set[str] = set()
    found = []
    for name, request in REQUESTS.items():
        command = lines_of(request)[0].split()[0]
        quick = command not in begun and command != "study"
        begun.add(command)
        found.append(pytest.param(name, marks=() if quick else pytest.mark.slow))
    return found


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The answers to the requests of this session, of one process, whichever of pytest's workers needs them first."""
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_the_answer_is_the_frozen_one.__name__
    ]
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent  # what the workers of a session share
    folder = base / "golden"
    with alone(base / "golden.lock"):
        if not (folder / "answers.json").exists():
            folder.mkdir()  # fails in the second worker where the requests failed in the first
            asked(folder, names)
    return dict(json.loads((folder / "answers.json").read_text(encoding="utf-8")))


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time; goes with the process, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.timeout(WAIT)
@pytest.mark.parametrize("name", cases())
def test_the_answer_is_the_frozen_one(name: str, answers: dict[str, Any]) -> None:
    said = differences(expected_of(name), answers[name])
    assert not said, "\n".join(["", *(f"lossscape {line}" for line in lines_of(REQUESTS[name])), *said])


def test_every_request_is_frozen_and_nothing_else() -> None:
    assert sorted(path.stem for path in EXPECTED.glob("*.json")) == sorted(REQUESTS)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_is_filled_in_as_it_always_was(path: Path) -> None:
    resolved = yamlfile.dump(read_experiment(path).resolved())
    assert resolved == (EXPECTED / "configs" / path.name).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(RUNS.glob("*/config.yaml")), ids=lambda path: path.parent.name)
def test_the_config_of_a_run_is_filled_in_to_its_own_bytes(path: Path) -> None:
    assert yamlfile.dump(read_experiment(path).resolved()) == path.read_text(encoding="utf-8")


def test_a_difference_is_told_with_its_size() -> None:
    expected = expected_of("interpolate-alone")
    found = expected_of("interpolate-alone")
    (folder, result), *_ = found["results"].items()
    table = result["csv"]["curve.csv"]
    cells = table["lines"][1].split(",")
    table["lines"][1] = ",".join([cells[0], repr(float(cells[1]) * (1 + 1e-9)), *cells[2:]])
    table["sha256"] = "other"
    result["settings"][0] = "analysis: line"
    result["certificate"]["passed"] = False
    said = "\n".join(differences(expected, found))
    assert "curve.csv: bytes differ; the largest relative difference of a number is 1e-09" in said
    assert "+analysis: line" in said
    assert "+passed: False" in said
    found["results"] = {f"{folder}0": result}
    assert f"result {folder}: not made" in differences(expected, found)
