"""What differs between the answer to a request and the one that is frozen, in words."""

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

EXPECTED = Path(__file__).resolve().parent / "expected"
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|nan)(?![\w.])")


def expected_of(name: str) -> dict[str, Any]:
    """The frozen answer to a request."""
    return dict(json.loads((EXPECTED / f"{name}.json").read_text(encoding="utf-8")))


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Every difference of two answers; files of a result that are new are none."""
    said = []
    for key, what in (("codes", "exit codes"), ("changed", "files that changed"), ("rewritten", "written again")):
        if expected.get(key) != found.get(key):
            said.append(f"{what}: {found.get(key)}, not {expected.get(key)}")
            said += [found["said"]] if key == "codes" and "said" in found else []
    if expected.get("told") != found.get("told"):
        said.append("stdout:\n" + _diff(expected.get("told", []), found.get("told", [])))
    said += _folders("run", expected.get("runs", {}), found.get("runs", {}))
    for name, config in expected.get("runs", {}).items():
        if found.get("runs", {}).get(name, config) != config:
            said.append(f"{name}/config.yaml:\n{_diff(config, found['runs'][name])}")
    said += _folders("result", expected["results"], found["results"])
    for name, result in expected["results"].items():
        if name in found["results"]:
            said += [f"{name}: {words}" for words in _of_results(result, found["results"][name])]
    return said


def _folders(what: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    lost, new = ([name for name in expected if name not in found], [name for name in found if name not in expected])
    said = []
    for name in lost:
        said.append(f"{what} {name}: not made")
    for name in new:
        said.append(f"{what} {name}: made, and none was expected")
    if what == "result" and len(lost) == len(new) == 1:  # of another name: what of it is named
        settings = [expected[lost[0]]["settings"], found[new[0]]["settings"]]
        said.append("settings.yaml: " + ("\n" + _diff(*settings) if settings[0] != settings[1] else "the same"))
    return said


def _of_results(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    said = [f"{name}: missing" for name in expected["files"] if name not in found["files"]]
    if expected["settings"] != found["settings"]:
        said.append("settings.yaml:\n" + _diff(expected["settings"], found["settings"]))
    for name, table in expected["csv"].items():
        other = found["csv"].get(name)
        if other is None or table == other:
            continue
        if "lines" in table and "lines" in other:
            said.append(f"{name}: bytes differ; {_far(table['lines'], other['lines'])}")
        else:
            said.append(f"{name}: is {other}, not {table}")
    for name, lines in expected.get("json", {}).items():
        other = found.get("json", {}).get(name, lines)
        if other != lines:
            said.append(f"{name}: bytes differ; {_far(lines, other)}")
    for name, forms in expected.get("tensors", {}).items():
        other = found.get("tensors", {}).get(name, forms)
        if other != forms:
            said.append(f"{name}:\n{_diff(forms, other)}")
    if expected.get("certificate") != found.get("certificate"):
        texts = [_certificate(result.get("certificate")) for result in (expected, found)]
        said.append("certificate.json:\n" + _diff(*texts))
    return said


def _certificate(certificate: Mapping[str, Any] | None) -> list[str]:
    if certificate is None:
        return ["none"]
    return [f"passed: {certificate['passed']}", *map(str, certificate["checks"])]


def _diff(expected: Sequence[str], found: Sequence[str]) -> str:
    lines = difflib.unified_diff(expected, found, "expected", "found", n=1, lineterm="")
    return "\n".join(f"    {line}" for line in lines)


def _far(expected: Sequence[str], found: Sequence[str]) -> str:
    """How far the numbers of two texts are apart, or how the texts differ beside their numbers."""
    apart = [[NUMBER.sub("#", line) for line in lines] for lines in (expected, found)]
    if apart[0] != apart[1]:
        return "not in numbers alone:\n" + _diff(expected, found)
    pairs = zip(NUMBER.findall("\n".join(expected)), NUMBER.findall("\n".join(found)), strict=True)
    largest = max((_relative(float(a), float(b)) for a, b in pairs), default=0.0)
    return f"the largest relative difference of a number is {largest:.2g}:\n{_diff(expected, found)}"


def _relative(expected: float, found: float) -> float:
    if expected == found or (math.isnan(expected) and math.isnan(found)):
        return 0.0
    if not (math.isfinite(expected) and math.isfinite(found)):
        return math.inf
    return abs(expected - found) / max(abs(expected), abs(found))
