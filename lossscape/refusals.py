"""What a config is refused with: every error at once, each with its location and the remedy."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lossscape import data, losses, models, optimizers, schedules
from lossscape.errors import LONGEST, BadInput, one_of, short
from lossscape.families import Family, Section
from lossscape.text import counted, shortened
from lossscape.yamlfile import Location

FAMILIES: dict[str, Family] = {
    "dataset": data.FAMILY,
    "model": models.FAMILY,
    "loss": losses.FAMILY,
    "optimizer": optimizers.FAMILY,
    "schedule": schedules.FAMILY,
    "model.init": models.INITIAL_VALUES,
}
"""By every key of a config that names a member of one."""


class FileKind(NamedTuple):
    """A kind of YAML file, and what tells it from the others."""

    what: str
    command: str
    """That takes such a file."""
    signs: tuple[set[str], ...]
    """Keys of which only such a file has these together."""


KindName = Literal["config", "sweep", "study"]
KINDS: dict[KindName, FileKind] = {
    "config": FileKind("the config of a run", "train", ({"dataset"}, {"model"})),
    "sweep": FileKind("a sweep", "sweep", ({"base"}, {"product"}, {"zip"}, {"cases"})),
    "study": FileKind("a study", "study", ({"study"}, {"nets", "scales"})),
}
SHOWN = 20
"""Errors that are said at once, the first ones of a file: of a file that is no config there are thousands."""


def check_kind(data: dict[str, Any], path: Path, wanted: KindName) -> None:
    """Raise BadInput that names the right command where a file plainly is of another kind than the wanted one."""
    found = [kind for kind, (_, _, signs) in KINDS.items() if any(keys <= data.keys() for keys in signs)]
    if not found or wanted in found:
        return
    what, command, _ = KINDS[found[0]]
    raise BadInput(
        f"{path}:1:1: this is {what}, and {KINDS[wanted].what} is needed here: "
        f"lossscape {command} {shlex.quote(str(path))} takes it"
    )


def refusal_of(error: ValidationError, root: type[Section], where: Callable[[Location], str]) -> BadInput:
    """A line `where: key: what is wrong` for each of the first SHOWN errors; the branches of a union share a line.

    root: of the config that was refused; where: where a key stands.
    """
    reasons: dict[str, list[str]] = {}
    details = error.errors(include_url=False)
    for detail in details:
        if _says_less(detail, details):
            continue
        location, section = _location_and_section(detail, root)
        key = ".".join(str(step) for step in location)
        if detail["type"].startswith("union_tag") and key in FAMILIES and isinstance(detail["input"], dict):
            location += ("name",)
        elif detail["type"] == "missing":
            location = location[:-1]  # the section where it should stand
        if len(reasons) > SHOWN:
            break
        start = f"{where(location)}: {shortened(key, LONGEST)}: "
        reasons.setdefault(start, []).append(_reason(detail, key, section))
    lines = [start + ", or ".join(dict.fromkeys(found)) for start, found in reasons.items()]
    return all_errors(lines)


def all_errors(lines: Sequence[str]) -> BadInput:
    """The errors of a file, the first SHOWN of them at once."""
    if len(lines) > SHOWN:
        return BadInput(f"more than {SHOWN} errors in the config, the first of them", *lines[:SHOWN])
    return BadInput(f"{counted(len(lines), 'error')} in the config", *lines)


def _says_less(detail: ErrorDetails, others: list[ErrorDetails]) -> bool:
    """Whether a mapping is only refused for not being a word, where another branch says what is wrong in it."""
    if detail["type"] != "literal_error" or not isinstance(detail["input"], dict):
        return False
    parent = detail["loc"][:-1]
    return any(other is not detail and other["loc"][: len(parent)] == parent for other in others)


def _reason(detail: ErrorDetails, key: str, section: type[Section] | None) -> str:
    given, shown = detail["input"], short(detail["input"])
    last = key.rpartition(".")[2]
    match detail["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            if section is None:  # a user's own function
                return f"key {short(last)} is not a parameter of the function"
            return one_of("key", last, section.model_fields)
        case "union_tag_invalid":
            return one_of(last, given.get("name"), [*FAMILIES[key].members, "package.module:function"])
        case "union_tag_not_found":
            return f"needs a name; allowed: {', '.join(FAMILIES[key].members)}"
        case "model_attributes_type" | "model_type" | "dict_type":
            return f"needs a mapping, got {shown}"
        case "literal_error":
            allowed = detail.get("ctx", {}).get("expected", "").replace("'", "").replace(" or ", ", ")
            return one_of("value", given, allowed.split(", "))
        case "string_pattern_mismatch" if last == "device":
            return f"{shown} is not a device; allowed: auto, cpu, cuda, cuda:N"
        case "none_required":
            return f"{shown} is not possible in this version; allowed: null"
        case "whole_message":
            return detail["msg"]
        case _:
            message = detail["msg"].removeprefix("Value error, ")
            return f"{message[0].lower()}{message[1:]}, got {shown}"


def _location_and_section(detail: ErrorDetails, root: type[Section]) -> tuple[Location, type[Section] | None]:
    """Where an error is, without the tags of unions, and the section that holds its last key."""
    raw, is_key = detail["loc"], detail["type"] in ("missing", "extra_forbidden", "invalid_key")
    location: list[str | int] = []
    section: type[Section] | None = root
    family: Family | None = None
    for index, step in enumerate(raw):
        last = index == len(raw) - 1
        if family is not None and isinstance(step, str) and (step in family.models or step == "custom"):
            section, family = family.models.get(step), None
            continue
        if isinstance(step, str) and not (last and is_key) and _is_union_branch(step, section):
            continue
        location.append(step)
        if last:
            break
        family = FAMILIES.get(".".join(map(str, location)))
        if family is None:
            section = _subsection(section, step)
    return tuple(location), section


def _is_union_branch(step: str, section: type[Section] | None) -> bool:
    """Whether a step names a branch of a union (`float`, `literal['polyak']`, `Augment`) and not a key."""
    if section is not None and step in section.model_fields:
        return False
    kinds = ("int", "float", "str", "none", "bool", "constrained-int", "constrained-float", "constrained-str")
    return "[" in step or step in kinds or step[:1].isupper()


def _subsection(section: type[Section] | None, step: str | int) -> type[Section] | None:
    if section is None or not isinstance(step, str) or step not in section.model_fields:
        return None
    annotation = section.model_fields[step].annotation
    for option in getattr(annotation, "__args__", (annotation,)):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    return None
