"""JSON files of another structure than lossscape writes are refused: file, field, and what helps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer
from report_runs import write_curve, write_landscape, write_run

from lossscape.errors import BadInput
from lossscape.files import read_json

PLAN = {"chunk": 512, "channels_last": False}
CHECK = {"name": "train loss at a@last", "value": 1.0, "reference": 1.0, "tolerance": 1e-5, "passed": True}
CURVE = {"monotone": True, "bump_height": 0.0, "barrier_chord": 0.25, "barrier_mean": 0.5}
WRITTEN: dict[str, dict[str, Any]] = {
    "range.json": {"factor": 2.0, "level": 0.5, "reach": [1.5], "probes": 12},
    "path.json": {"runs": [{"run": "a", "share_of_length": None, "extent": 0.5}], "inner_products": [[1.0]]},
    "measures.json": {"distance": 7.5, "gauss_length": None, "train": CURVE},
    "engine.json": {"plan": PLAN, "seconds_per_point": 0.5, "threads": 1},
    "certificate.json": {"passed": True, "checks": [CHECK], "cosine": 0.0},
    "state.json": {"state": "finished", "epoch": 3, "step": 9, "message": ""},
    "environment.json": {"data": {"shape": [2], "classes": 3}, "adopted": [{"epoch": 0}], "versions": {}},
    "runs.json": {"a": "a"},
}
STRANGE = [
    ("range.json", ("factor",), None, "factor: input should be a valid number, not None"),
    ("range.json", ("factor",), float("inf"), "factor: input should be a finite number, not inf"),
    ("range.json", ("reach",), [1.0, -2.0], "reach.1: input should be greater than 0, not -2.0"),
    ("range.json", ("reach",), [], "reach: list should have at least 1 item"),
    ("range.json", ("reach",), {"x": 1.0}, "reach: input should be a valid list"),
    ("range.json", ("level",), "0.5", "level: input should be a valid number, not '0.5'"),
    ("path.json", ("runs",), {}, "runs: input should be a valid list, not {}"),
    ("path.json", ("runs", 0), "a", "runs.0: input should be a valid dictionary"),
    ("path.json", ("runs", 0, "extent"), [1], "runs.0.extent: input should be a valid number, not [1]"),
    ("path.json", ("runs", 0, "run"), 7, "runs.0.run: input should be a valid string, not 7"),
    ("measures.json", ("train",), [], "train: input should be a valid dictionary"),
    ("measures.json", ("train", "bump_height"), None, "train.bump_height: input should be a valid number, not None"),
    ("measures.json", ("distance",), "far", "distance: input should be a valid number, not 'far'"),
    ("engine.json", ("plan",), "dense", "plan: input should be a valid dictionary"),
    ("engine.json", ("plan", "chunk"), 0, "plan.chunk: input should be greater than or equal to 1, not 0"),
    ("engine.json", ("plan", "chunk"), 1e308, "plan.chunk: input should be a valid integer"),
    ("engine.json", ("plan", "name"), "densd", "plan.name: input should be 'dense', 'folded', 'factored' or 'stacked'"),
    ("engine.json", ("plan", "chink"), 1, "plan.chink: extra inputs are not permitted, not 1"),
    ("engine.json", ("seconds_per_point",), [0.5], "seconds_per_point: input should be a valid number"),
    ("certificate.json", ("passed",), "yes", "passed: input should be a valid boolean, not 'yes'"),
    ("certificate.json", ("checks",), None, "checks: input should be a valid list, not None"),
    ("certificate.json", ("checks", 0, "value"), None, "checks.0.value: input should be a valid number, not None"),
    ("certificate.json", ("checks", 0), {"name": "a"}, "checks.0.value: field required"),
    ("certificate.json", ("cosine",), True, "cosine: input should be a valid number, not True"),
    ("state.json", ("state",), ["finished"], "state: input should be a valid string, not ['finished']"),
    ("state.json", ("epoch",), -1, "epoch: input should be greater than or equal to 0, not -1"),
    ("environment.json", ("data",), [], "data: input should be a valid dictionary"),
    ("environment.json", ("data", "shape"), None, "data.shape: input should be a valid list, not None"),
    ("environment.json", ("data", "classes"), 2.5, "data.classes: input should be a valid integer"),
    ("environment.json", ("adopted", 0), {}, "adopted.0.epoch: field required"),
    ("runs.json", ("a",), None, "a: input should be a valid string, not None"),
]


def changed(content: Any, where: tuple[Any, ...], value: Any) -> Any:
    """Content with another value in one place."""
    content = json.loads(json.dumps(content))
    inner = content
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    return content


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    for content in (WRITTEN[name], {}, WRITTEN[name] | ({"more": "a"} if name != "runs.json" else {})):
        (tmp_path / name).write_text(json.dumps(content))
        assert read_json(tmp_path / name) == content


@pytest.mark.parametrize(("name", "where", "value", "says"), STRANGE, ids=lambda value: str(value)[:40])
def test_another_structure_is_refused(tmp_path: Path, name: str, where: tuple[Any, ...], value: Any, says: str) -> None:
    (tmp_path / name).write_text(json.dumps(changed(WRITTEN[name], where, value)))
    with pytest.raises(BadInput) as error:
        read_json(tmp_path / name)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / name}: ")
    assert says in message
    assert message.endswith(": not as lossscape writes it; restore it, or make it again with --overwrite")


def test_numbers_beyond_all_and_depths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "range.json").write_text('{"factor": 1e400, "level": 1.0, "reach": [1.0]}')
    with pytest.raises(BadInput, match="factor: input should be a finite number, not inf"):
        read_json(tmp_path / "range.json")
    for text in ("[" * 100_000 + "]" * 100_000, '{"a": ' * 100_000 + "1" + "}" * 100_000):
        (tmp_path / "state.json").write_text(text)
        with pytest.raises(BadInput, match=r"state\.json: lists and mappings lie too deep in one another"):
            read_json(tmp_path / "state.json")


def test_commands_refuse_them_without_a_word_of_python(tmp_path: Path, cli: Callable[..., Answer]) -> None:
    run = write_run(tmp_path)
    for folder, name in ((write_curve(run), "measures.json"), (write_landscape(run), "certificate.json")):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(changed(content, (next(iter(content)),), "x")))
    run.state_file.write_text('{"state": {"a": 1}}')
    answer = cli("report", run.path)
    assert answer.code == 0
    assert "state: input should be a valid string, not {'a': 1}" in answer.err
    assert "distance: input should be a valid number, not 'x'" in answer.err
    assert "passed: input should be a valid boolean, not 'x'" in answer.err
    assert "unexpected" not in answer.err
    answer = cli("runs", "--runs", tmp_path)
    assert answer.code == 0
    assert "state.json cannot be read" in answer.out
