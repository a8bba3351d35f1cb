"""YAML with positions, so that an error can say file, line and column.

Scalars follow YAML 1.2's core schema: `1e-3` is a number, only true and false are booleans (a run may be
called `no` or `on`), dates stay text. What is dumped reads back as it was.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from lossscape.errors import BadInput, short
from lossscape.files import read_plain
from lossscape.numerals import REAL, WHOLE
from lossscape.text import shortened

Location = tuple[str | int, ...]
DEEP = 100
"""Lists and mappings in one another, of which the reader in Python, which counts, takes some hundreds."""
_APART = re.compile("[\t\ufeff\x85\u2028\u2029!?%]|[|>][-+0-9]*#")
"""What C takes otherwise than Python: tabs, breaks of lines that are none in YAML 1.2, tags, explicit keys."""
_INDENTS = re.compile(r"^[ ?-]+", re.MULTILINE)
_TAG = "tag:yaml.org,2002:"
_NAMES = {yaml.ScalarNode: "scalar", yaml.SequenceNode: "list", yaml.MappingNode: "mapping"}
_SCALARS = {
    f"{_TAG}bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    f"{_TAG}int": (WHOLE, "-+0123456789"),
    f"{_TAG}float": (rf"{REAL}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
    f"{_TAG}null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}
_FORMS = {
    **{tag: (yaml.ScalarNode, pattern) for tag, (pattern, _) in _SCALARS.items()},
    f"{_TAG}str": (yaml.ScalarNode, r"(?s:.*)"),
    f"{_TAG}seq": (yaml.SequenceNode, ""),
    f"{_TAG}map": (yaml.MappingNode, ""),
}
"""By tag: the kind of node that has it, and what its text looks like. Other tags are not used."""


class _Strict(yaml.constructor.SafeConstructor):
    """Refuses keys that are given twice and tags that are not used."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("a key is a word, not a list or a mapping", key)
            _check_tag(key)  # before that of a merge is obeyed
            if key.value in seen:
                raise _refusal(f"{shortened(key.value, 80)}: given twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        _check_tag(node)
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # 5,000 digits
            raise _refusal(f"cannot be read as a YAML {node.tag.removeprefix(_TAG)}: {error}", node) from error


def _check_tag(node: yaml.Node) -> None:
    """Refuse a tag that is not used, and one that a value does not have by its looks, as in `!!int 0x10`."""
    if node.tag not in _FORMS:
        raise _refusal(f"the tag {shortened(node.tag, 80)} is not used: leave it out", node)
    kind, pattern = _FORMS[node.tag]
    if not isinstance(node, kind):
        raise _refusal(f"cannot be read as a YAML {node.tag.removeprefix(_TAG)}: it is a {_NAMES[type(node)]}", node)
    if isinstance(node, yaml.ScalarNode) and not re.fullmatch(pattern, node.value):
        raise _refusal(f"cannot be read as a YAML {node.tag.removeprefix(_TAG)}: {short(node.value)}", node)


def _refusal(what: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)


class _Loader(_Strict, yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (as the base class declares it)


class _Quick(_Strict, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same in C, where PyYAML has it: five times as fast, with other words and places for what is malformed."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (as the base class declares it)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (as the base class declares it)

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, (_pattern, _first) in _SCALARS.items():
    for _class in (_Loader, _Quick, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_first))


class Document:
    """A YAML text: `data` (mappings, lists, scalars) and the line and column of every key."""

    def __init__(self, text: str, source: str) -> None:
        """Parse `text`; `source` names it in errors. Raises BadInput where the YAML itself is malformed."""
        self.source = source
        self._node: yaml.Node | None = None
        self.data: Any = None
        if (quick := _quickly(text)) is not None:
            self._node, self.data = quick
            return
        try:
            loader = _Loader(text)
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            column = error.position - text.rfind("\n", 0, error.position)
            raise BadInput(
                f"{source}:{line}:{column}: the character U+{error.character:04X}, which YAML does not allow"
            ) from error
        try:
            self._node = loader.get_single_node()
            self.data = None if self._node is None else loader.construct_document(self._node)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
            raise BadInput(f"{where}: {error.problem or error.context}") from error
        except RecursionError as error:
            raise BadInput(f"{source}: lists and mappings lie too deep in one another") from error
        finally:
            loader.dispose()

    def __contains__(self, location: Location) -> bool:
        """Whether the text has all of `location`."""
        return len(self._marks(location)) == len(location)

    def position(self, location: Location) -> str:
        """`file:line:column` of the deepest part of `location` that is in the text."""
        if self._node is None:
            return self.source
        mark = [self._node.start_mark, *self._marks(location)][-1]
        return f"{self.source}:{mark.line + 1}:{mark.column + 1}"

    def _marks(self, location: Location) -> list[yaml.Mark]:
        """Where each step of `location` begins, as far as the text has them."""
        node, marks = self._node, []
        for step in location:
            if isinstance(node, yaml.MappingNode):
                found = [(key.start_mark, value) for key, value in node.value if key.value == str(step)]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                found = [(value.start_mark, value) for value in node.value[step : step + 1]]
            else:
                found = []
            if not found:
                break
            mark, node = found[0]
            marks.append(mark)
        return marks


def _quickly(text: str) -> tuple[yaml.Node, Any] | None:
    """The nodes of a text and what they hold, by what is quick.

    None where that fails, takes a sign otherwise, or has them too deep in one another.
    """
    try:
        if _APART.search(text) or _is_deep(text):
            return None
        loader: Any = _Quick(text)  # type: ignore[call-arg]
        try:
            node = loader.get_single_node()
            return (node, loader.construct_document(node)) if isinstance(node, yaml.CollectionNode) else None
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeEncodeError, RecursionError):
        return None


def _is_deep(text: str) -> bool:
    """Whether lists and mappings lie deeper in one another than C, which does not count, has room for."""
    if text.count("[") + text.count("{") + max(map(len, _INDENTS.findall(text)), default=0) < DEEP:
        return False
    depth = 0
    for event in yaml.parse(text, Loader=_Quick):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEP:
            return True
    return False


def read(path: Path) -> Document:
    """Read a YAML file. Raises BadInput where it is missing, unreadable, too large, not UTF-8 or malformed."""
    return Document(_text_of(path), str(path))


def _text_of(path: Path) -> str:
    try:
        return read_plain(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not a UTF-8 text: {error}") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def scalar(text: str, source: str) -> Any:
    """The value that a piece of YAML stands for, as in `--set optimizer.lr=1e-3`. Raises BadInput, naming source."""
    return Document(text, source).data


def dump(data: Any) -> str:
    """YAML text of plain data, keys in the order given, that `read` gives back as it was."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
