"""Folders compared byte by byte, apart from what belongs to the machine or to one call of a command."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Tree = dict[str, bytes | None]
"""Content by path; None of a folder, and of a lock, which says who tried last."""
DURATION = re.compile(r"\d[\d.,e+−-]*\s?(?:µs|ms|s|min|h)\b(?: \d\d (?:min|s)\b)?")


def tree(folder: Path) -> Tree:
    """Every file and folder below one."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and path.name != ".lock" else None
        for path in sorted(folder.rglob("*"))
    }


def differences(found: Tree, wanted: Tree) -> list[str]:
    """What differs between two trees of the same work, in words."""
    said = [f"{name} is missing" for name in wanted if name not in found]
    said += [f"{name} is left over" for name in found if name not in wanted]
    for name, content in wanted.items():
        if name in found and normal(name, found[name]) != normal(name, content):
            said.append(f"{name} differs{_where(normal(name, found[name]), normal(name, content))}")
    return said


def normal(name: str, content: bytes | None) -> Any:
    """A file without what belongs to the machine or the call: times, who was called, how points were timed."""
    read = OWN_TO_A_CALL.get(name.rpartition("/")[2])
    return content if content is None or read is None else read(content)


def _without(*keys: str) -> Callable[[bytes], Any]:
    def read(content: bytes) -> Any:
        try:
            return {key: value for key, value in json.loads(content).items() if key not in keys}
        except (ValueError, AttributeError, RecursionError):
            return content

    return read


def _untimed(content: bytes) -> Any:
    """A table without its columns of seconds."""
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode(errors="replace"))))
    except csv.Error:  # damaged, it is compared as it is
        return content
    return [{key: value for key, value in row.items() if "seconds" not in str(key)} for row in rows]


def _untimed_lines(content: bytes) -> Any:
    """A text whose tables have no last column of seconds."""
    lines, timed = [], False
    for line in content.decode(errors="replace").splitlines():
        timed = line.startswith("|") and (timed or line.endswith("| seconds |"))
        lines.append(line.rpartition(" | ")[0] if timed else line)
    return lines


def _untimed_table(found: re.Match[str]) -> str:
    """A table of a page, without its columns of seconds."""
    rows = [re.findall(r"<t[dh]\b.*?</t[dh]>", row, re.DOTALL) for row in found[0].split("</tr>")]
    heads = [row for row in rows if row and all(cell.startswith("<th") for cell in row)]
    last = heads[-1] if heads else []
    timed = {number - len(last) for number, cell in enumerate(last) if "seconds" in cell}
    if not timed:
        return found[0]
    # told from the right: the head of the first column may stand in another row
    return "".join(cell for row in rows for number, cell in enumerate(row) if number - len(row) not in timed)


def _resume(content: bytes) -> Any:
    import torch

    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
        state.pop("seconds")
    except Exception:  # damaged, it is compared as it is
        return content
    return _plain(state)


def _plain(value: Any) -> Any:
    """What is equal where it has the same bits: the repr of a large tensor leaves most of it out, and rounds."""
    import torch

    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.reshape(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else repr(value)


def _page(content: bytes) -> bytes:
    text = re.sub(r'<details class="machine">.*?</details>', "", content.decode(errors="replace"), flags=re.DOTALL)
    text = re.sub(r"<table.*?</table>", _untimed_table, text, flags=re.DOTALL)
    return DURATION.sub("", text).encode()


def _digests(content: bytes) -> Any:
    """What is said in the end of the files that are there, and are the same for every call."""
    lines = [json.loads(line) for line in content.decode(errors="replace").splitlines()]
    last = {line["file"]: line for line in lines if "file" in line}  # the others settle those before them
    there = {name: line for name, line in last.items() if not line.get("gone")}
    return {name: None if name.rpartition("/")[2] in OWN_TO_A_CALL else line for name, line in there.items()}


OWN_TO_A_CALL: dict[str, Callable[[bytes], Any]] = {
    "environment.json": _without("started", "command", "resumed", "git_commit"),
    "engine.json": _without("seconds_per_point", "predicted_seconds", "tried", "chosen"),
    **dict.fromkeys(("metrics.csv", "seconds.csv", "runs.csv", "groups.csv"), _untimed),
    "table.md": _untimed_lines,
    "resume.pt": _resume,
    "index.html": _page,
    "digests.jsonl": _digests,
    ".made": lambda content: None,  # times of files
}
"""By a file's name."""


def _where(found: Any, wanted: Any) -> str:
    """Where the texts of two files begin to differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
        return f" in {', '.join(map(str, keys[:4]))}"
    if not isinstance(found, bytes) or not isinstance(wanted, bytes) or b"\0" in found[:4096]:
        return ""
    at = next((i for i, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), 0)
    return f" at byte {at}: {found[at : at + 40]!r}, not {wanted[at : at + 40]!r}"
