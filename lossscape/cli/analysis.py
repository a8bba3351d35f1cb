"""The command of an analysis, made of the fields of its request: options, help and defaults stand there once."""

import dataclasses
import inspect
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

from lossscape.analyses import Analysis
from lossscape.cli.common import say, tell
from lossscape.cli.complete import points
from lossscape.errors import short
from lossscape.execution import Execution
from lossscape.numerals import real, whole, why_not
from lossscape.options import Field, fields_of, made_of


def command_of(analysis: Analysis) -> Callable[..., None]:
    """A function for Typer that computes, reads back, draws, and says where it all lies."""
    requests = analysis.requests
    kinds = (requests.Request, requests.Drawing, Execution)
    executed = getattr(requests, "EXECUTION", [each.name for each in dataclasses.fields(Execution)])
    options = [each for kind in kinds for each in fields_of(kind) if kind is not Execution or each.name in executed]

    def command(**words: Any) -> None:
        given = {each.key: _value(each, words[each.key]) for each in options if words[each.key] is not None}
        request, drawing, execution = (made_of(kind, given) for kind in kinds)
        lines, found = shown(analysis, analysis.compute(request, execution), drawing, execution.quiet)
        if not execution.quiet:
            for line in lines:
                say(line)
        tell(**found)

    parameters = [
        inspect.Parameter(each.key, inspect.Parameter.KEYWORD_ONLY, default=_typer_option(each), annotation=_type(each))
        for each in options
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__doc__ = requests.Request.__doc__
    return command


def shown(analysis: Analysis, folder: Path, drawing: Any, quiet: bool) -> tuple[list[str], dict[str, str]]:
    """What is said of a result, and what lies where, drawn.

    One that was drawn so before, and of which nothing has changed since, is neither read nor drawn again.
    """
    from lossscape import manifest
    from lossscape.files import sweep
    from lossscape.unchanged import facts_of, keep, stamp_of, unchanged

    sweep(folder)  # which nobody holds any more, so that a kill's leavings would stay
    stamp = stamp_of([], [analysis.name, str(folder), repr(drawing), shutil.which("ffmpeg") is not None])
    if kept := unchanged(folder, stamp):
        lines, found = json.loads(kept[0])
        return lines, found
    read: dict[str, str] = {}  # as it was at first: a run may train on while a film of it is drawn
    with manifest.told(lambda path: read.update(facts_of([] if str(path.absolute()) in read else [path]))):
        result = analysis.read(folder)
        lines = [*map(str, result.lines())]
        found = {name: str(where) for name, where in analysis.draw(result, drawing, quiet).items()}
    keep(folder, stamp, [json.dumps([lines, found])], beside=read)
    return lines, found


def examples_of(analysis: Analysis) -> str:
    """What stands below the options."""
    return "\b\nExamples:\n" + "\n".join(f"    {line}" for line in analysis.requests.EXAMPLES)


def _value(each: Field, given: Any) -> Any:
    if isinstance(given, list):
        return tuple(given)
    return each.option.parse(given) if each.option.parse else given


def _typer_option(each: Field) -> Any:
    option = each.option
    limits: dict[str, Any] = {"min": option.least, "max": option.most, "metavar": option.metavar}
    if option.metavar and (option.metavar in ("A", "B", "B C") or "RUN" in option.metavar):
        limits["autocompletion"] = points
    if (kind := _number(each.type)) and option.given is None:
        limits["parser"] = _reader(each, kind)
    needed = each.default is dataclasses.MISSING
    if option.argument:
        default = ... if needed else None
        return typer.Argument(default, help=option.help, show_default=False, **limits)
    flags = _flags(each)
    if option.given is not None:
        shown = each.default if isinstance(each.default, str) else False
        return typer.Option(None, *flags, help=option.help, show_default=shown, **limits)
    return typer.Option(... if needed else each.default, *flags, help=option.help, **limits)


def _number(hint: Any) -> type | None:
    """int or float where an option has such values, one or several."""
    if hint in (int, float):
        return hint
    return next(filter(None, map(_number, get_args(hint))), None) if get_args(hint) else None


def _reader(each: Field, kind: type) -> Callable[[Any], Any]:
    """What reads a number of an option from text; typer's own reading takes 1_0, digits of any script and 1.0 for 1."""
    option = each.option
    least = -math.inf if option.least is None else option.least
    most = math.inf if option.most is None else option.most

    def read(given: Any) -> Any:
        if not isinstance(given, str):  # a default
            return given
        try:
            value = whole(given) if kind is int else real(given)
            why = why_not(value) if kind is float else None
        except ValueError as error:
            why = str(error)
        if not why and not least <= value <= most:
            why = f"a number from {least:g} to {most:.15g} is needed".replace(" to inf", " on")
        if why:
            raise typer.BadParameter(f"{short(given)}: {why}", param_hint=_flags(each)[0])
        return value

    return read


def _flags(each: Field) -> list[str]:
    return (each.option.flag or f"--{each.name.replace('_', '-')}").split(",")


def _type(each: Field) -> Any:
    if each.option.given is not None:
        return each.option.given | None
    if get_origin(each.type) is tuple and each.type.__args__[-1] is ...:
        return list[str] if each.default is dataclasses.MISSING else list[str] | None
    return each.type
