"""A field of a request says once what it is: an option of the command, a key of settings.yaml, a word of a name.

Fields are annotated `Annotated[type, Option(help, …)]`; their defaults are those of the command line and of Python.
A field that is a dataclass itself is embedded: its fields are options too.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Option:
    """What a field is beside its type and default."""

    help: str
    metavar: str | None = None
    flag: str | None = None
    """Where it is not the field's name with hyphens."""
    argument: bool = False
    """Given by its position, not by a flag."""
    least: float | None = None
    most: float | None = None
    given: Any = None
    """The type that the command line gives, where `parse` makes the field's value of it."""
    parse: Callable[[Any], Any] | None = None
    word: str | Callable[[Any], str] | None = None
    """How a value stands in the name of a result's folder: a format, or a function; nothing: not at all."""
    always: bool = False
    """Whether the word stands there for the default too."""
    sparse: bool = False
    """Left out of settings.yaml where it is the default: so must be every field that a request gains later, or
    results from before would no longer be found."""


@dataclass(frozen=True)
class Embedded:
    """How a dataclass is embedded: fields to leave out, and what differs from its own annotations."""

    leave: tuple[str, ...] = ()
    types: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    help: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True)
class Field:
    """A field with its option."""

    name: str
    type: Any
    default: Any
    """dataclasses.MISSING where it has to be given."""
    option: Option
    path: tuple[str, ...] = ()
    """The embedded fields that lead to it."""

    @property
    def key(self) -> str:
        """What callers name it: the flag with underscores."""
        flag = (self.option.flag or self.name).partition(",")[0]
        return flag.lstrip("-").replace("-", "_")

    def of(self, request: Any) -> Any:
        """Its value in a request."""
        for step in self.path:
            request = getattr(request, step)
        return getattr(request, self.name)


def fields_of(kind: Any) -> list[Field]:
    """The fields of a dataclass that are options, those of embedded ones in their place."""
    return list(_fields(kind, None, Embedded(), ()))


def _fields(kind: Any, default: Any, how: Embedded, path: tuple[str, ...]) -> Iterator[Field]:
    hints = get_type_hints(kind, include_extras=True)
    for each in dataclasses.fields(kind):
        if each.name in how.leave:
            continue
        hint = hints[each.name]
        inner, *extras = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
        value = getattr(default, each.name) if default is not None else _default_of(each)
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            nested = next((extra for extra in extras if isinstance(extra, Embedded)), Embedded())
            yield from _fields(inner, value, nested, (*path, each.name))
        for option in extras:
            if isinstance(option, Option):
                if each.name in how.help:
                    option = dataclasses.replace(option, help=how.help[each.name])
                yield Field(each.name, how.types.get(each.name, inner), value, option, path)


def _default_of(each: "dataclasses.Field[Any]") -> Any:
    return each.default if each.default_factory is dataclasses.MISSING else each.default_factory()


def made_of(kind: Any, given: Mapping[str, Any]) -> Any:
    """A dataclass from values by the keys of its fields, those of embedded ones among them; others are ignored."""
    changes: dict[tuple[str, ...], dict[str, Any]] = {}
    for each in fields_of(kind):
        if each.key in given:
            changes.setdefault(each.path, {})[each.name] = given[each.key]
    own = changes.pop((), {})
    defaults = {each.name: _default_of(each) for each in dataclasses.fields(kind)}
    for (step,), inner in changes.items():
        own[step] = dataclasses.replace(defaults[step], **inner)
    return kind(**own)


def words_of(request: Any, **known: list[str]) -> list[str]:
    """The words of a request in the name of its folder: of what differs from the defaults, in the fields' order.

    known: words that stand for an embedded field, by its name.
    """
    found: list[str] = []
    for each in fields_of(type(request)):
        if each.path and each.path[0] in known:
            found += known.pop(each.path[0])
        value, word = each.of(request), each.option.word
        if word is not None and (each.option.always or value != each.default):
            values = value if isinstance(value, tuple) else (value,)
            found.append(word.format(*values) if isinstance(word, str) else word(value))
    return [word for word in found if word]


def settings_of(request: Any, **known: Any) -> dict[str, Any]:
    """A request's own fields as settings.yaml has them; known: what they turned out to be, by name.

    Embedded fields have settings of their own.
    """
    found = {}
    for each in fields_of(type(request)):
        value = each.of(request)
        if not each.path and not (each.option.sparse and value == each.default):
            found[each.name] = known[each.name] if each.name in known else _plain(value)
    return found


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
