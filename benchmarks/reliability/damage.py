"""Damage to files that lossscape wrote, drawn by seed: by accident, by hand, and by malice."""

import io
import json
import os
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

STRANGE = (None, [], {}, "x", "", -1, 0, 1e308, True, [1], {"a": 1}, "1e400", 10**30, [[[[]]]], "../../x", "<b>")


class Trap:
    """Unpickling it makes a folder `sprung`."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("sprung",)


def damage(draw: random.Random, path: Path, others: Sequence[Path]) -> str:
    """Change a file; returns what was done to it."""
    content = path.read_bytes()
    kinds = [_flip, _flip, _cut, _digit, _digit, _swap, _zero, *_OF_KIND.get(path.suffix, [])]
    for _ in range(20):
        kind = draw.choice(kinds)
        changed = kind(draw, content, [each for each in others if each.suffix == path.suffix and each != path])
        if changed != content:
            path.unlink()  # it may share its room with files of the same bytes, which stay whole
            path.write_bytes(changed)
            return kind.__name__.strip("_")
    path.write_bytes(b"")
    return "emptied"


def same_meaning(name: str, found: bytes, wanted: bytes) -> bool:
    """Whether two contents of a file say the same, as with other blanks."""
    try:
        if name.endswith(".json"):
            return bool(json.loads(found) == json.loads(wanted))
        if name.endswith(".yaml"):
            return bool(yaml.safe_load(found) == yaml.safe_load(wanted))
        if name.endswith(".csv"):
            return _cells(found) == _cells(wanted)
        if name.endswith(".pt"):
            return repr(_load(found)) == repr(_load(wanted)) and _bits(found) == _bits(wanted)
    except Exception:  # what cannot be read says something else
        return False
    return found == wanted


def _cells(content: bytes) -> list[list[Any]]:
    def number(cell: str) -> Any:
        try:
            return float(cell)
        except ValueError:
            return cell

    return [[number(cell) for cell in line.split(",")] for line in content.decode().splitlines()]


def _load(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), weights_only=True)


def _bits(content: bytes) -> list[bytes]:
    found: list[bytes] = []

    def walk(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found.append(value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(value, dict | list | tuple):
            for each in value.values() if isinstance(value, dict) else value:
                walk(each)

    walk(_load(content))
    return found


# --- any file -----------------------------------------------------------------------------------------------


def _flip(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(draw.choice((1, 1, 1, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    return content[: draw.choice((0, draw.randrange(len(content) + 1), len(content) - 1))]


def _zero(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + bytes(min(512, len(content) - at)) + content[at + 512 :]


def _digit(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    found = [match.start() for match in re.finditer(rb"\d", content)]
    if not found:
        return content
    at = draw.choice(found)
    return content[:at] + str(draw.randrange(10)).encode() + content[at + 1 :]


def _swap(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    return draw.choice(others).read_bytes() if others else content


# --- by format ----------------------------------------------------------------------------------------------


def _json(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    return json.dumps(_changed(draw, json.loads(content))).encode()


def _json_text(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    deep = b"[" * 100_000 + b"]" * 100_000
    texts = [b"null", b"[]", b"1", b'"x"', b"{}", b"1e400", b"NaN", deep, b'{"a": 1e400}', b"\xff", content * 2]
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?", content))
    if numbers and draw.random() < 0.7:
        number = draw.choice(numbers)
        value = draw.choice((b"1e400", b"NaN", b"-Infinity", b"null", b'"1"', b"[]", b"9" * 400, b"true"))
        return content[: number.start()] + value + content[number.end() :]
    return draw.choice(texts)


def _yaml(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    return yaml.safe_dump(_changed(draw, yaml.safe_load(content)), sort_keys=False).encode()


def _yaml_text(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    values = list(re.finditer(rb"(?<=: )\S+", content))
    tags = (b"!!map [1]", b"!!python/object/apply:os.mkdir [sprung]", b"!!set {a}", b"*a", b"&a [*a]", b"!!binary x")
    if not values:
        return content
    value = draw.choice(values)
    return content[: value.start()] + draw.choice(tags) + content[value.end() :]


def _csv(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    rows = [line.split(",") for line in content.decode(errors="replace").splitlines()]
    if len(rows) < 2:
        return content
    at, column = draw.randrange(1, len(rows)), draw.randrange(len(rows[0]))
    kind = draw.randrange(8)
    if kind == 0:
        del rows[at]
    elif kind == 1:
        rows.insert(at, rows[draw.randrange(1, len(rows))])
    elif kind == 2:
        rows[at], rows[-1] = rows[-1], rows[at]
    elif kind == 3:
        for row in rows:
            del row[column : column + 1]
    elif kind == 4:
        rows[0][column] += "x"
    elif kind == 5 and len(rows[at]) > column:
        rows[at][column] = draw.choice(("", "nan", "inf", "-1", "x", "1e400", "١٢", "1_0", '"1"', "0x1", "1e-400"))
    elif kind == 6:
        for row in rows[1:]:
            if len(row) > column > 0:
                row[column - 1], row[column] = row[column], row[column - 1]
    else:
        return content.replace(b"\n", b"\r\n")
    return "".join(",".join(row) + "\n" for row in rows).encode()


def _tensors(draw: random.Random, content: bytes, others: Sequence[Path]) -> bytes:
    value = _load(content)
    holders = list(_holders(value))
    if not holders:
        return content
    holder, key = draw.choice(holders)
    tensor = holder[key]
    other_holder, other = draw.choice(holders)
    changes: list[Callable[[], Any]] = [
        lambda: tensor * (1 + 1e-6) if tensor.is_floating_point() else tensor + 1,
        lambda: tensor.new_full(tensor.shape, float("nan")) if tensor.is_floating_point() else tensor,
        lambda: tensor.new_full(tensor.shape, float("inf")) if tensor.is_floating_point() else tensor,
        lambda: tensor.flatten()[:-1] if tensor.numel() else tensor,
        lambda: tensor.double(),
        lambda: tensor.to(torch.complex64),
        lambda: tensor.long(),
        lambda: tensor.T if tensor.ndim == 2 else tensor,
        lambda: torch.stack([tensor, tensor])[1],
        lambda: tensor.flatten()[:1].expand(tensor.shape) if tensor.ndim else tensor,
        lambda: tensor.clone().requires_grad_() if tensor.is_floating_point() else tensor,
        lambda: torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor,
        lambda: other_holder[other],
        lambda: tensor.to_sparse(),
        lambda: 1.0,
        lambda: Trap(),
        lambda: [tensor],
        lambda: tensor.tolist(),
    ]
    holder[key] = draw.choice(changes)()
    if draw.random() < 0.15:
        holder.pop(key)
    if draw.random() < 0.05:
        value = draw.choice(([1, 2], Trap(), None, {"state_dict": value}, torch.zeros(3)))
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=draw.random() < 0.9)
    return buffer.getvalue()


def _changed(draw: random.Random, tree: Any) -> Any:
    """A tree with a value changed, taken away, or put elsewhere."""
    from benchmarks.reliability.inputs import places_of

    places = list(places_of(tree)) if isinstance(tree, dict | list) and tree else []
    if not places:
        return draw.choice(STRANGE)
    holder, key = draw.choice(places)
    kind = draw.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    elif kind == 2 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * 1.5 + 1
    else:
        holder[key] = draw.choice(STRANGE)
    return tree


def _holders(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        for key, each in value.items():
            found += [(value, key)] if isinstance(each, torch.Tensor) else _holders(each)
    return found


_OF_KIND: dict[str, list[Callable[[random.Random, bytes, Sequence[Path]], bytes]]] = {
    ".json": [_json, _json, _json, _json_text, _json_text],
    ".yaml": [_yaml, _yaml, _yaml, _yaml_text],
    ".csv": [_csv, _csv, _csv, _csv, _csv],
    ".pt": [_tensors, _tensors, _tensors, _tensors, _tensors],
}
