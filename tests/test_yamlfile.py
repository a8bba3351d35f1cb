"""YAML: scalars of version 1.2, positions of every key, and what is dumped reads back as it was."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossscape import yamlfile
from lossscape.errors import BadInput
from lossscape.yamlfile import Document

SCALARS: dict[str, Any] = {
    "1e-3": 0.001, "1E3": 1000.0, "+1.5": 1.5, "-.5": -0.5, ".5": 0.5, "1.": 1.0, "1.5e+2": 150.0,
    ".inf": math.inf, "-.INF": -math.inf, "+.Inf": math.inf,
    "0": 0, "-0": 0, "+12": 12, "12": 12, "123456789012345678901234567890": 123456789012345678901234567890,
    "010": "010", "0x10": "0x10", "1_000": "1_000", "1:30": "1:30", "0o7": "0o7", "1e": "1e", "e3": "e3", ".": ".",
    "true": True, "True": True, "FALSE": False, "tRue": "tRue",
    "no": "no", "on": "on", "yes": "yes", "off": "off", "y": "y", "N": "N",
    "null": None, "Null": None, "NULL": None, "~": None, "nULL": "nULL", "none": "none", "None": "None",
    "2024-01-01": "2024-01-01", "2024-01-01 10:00:00": "2024-01-01 10:00:00", "=": "=", "<<": "<<",
    "inf": "inf", "nan": "nan", "Infinity": "Infinity", "'1'": "1", '"true"': "true", "学習": "学習", "a b": "a b",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=SCALARS)
def test_scalars(text: str, value: Any) -> None:
    for read in (yamlfile.scalar(text, "test"), Document(f"key: {text}\n", "test").data["key"]):
        assert read == value
        assert type(read) is type(value)


def test_scalar_of_nothing_and_not_a_number() -> None:
    assert yamlfile.scalar("", "test") is None
    assert Document("key:\n", "test").data == {"key": None}
    assert math.isnan(yamlfile.scalar(".nan", "test"))


@pytest.mark.parametrize("word", ["no", "on", "yes", "2024-01-01", "010", "1_000", "nan"])
def test_words_need_no_quotes(word: str) -> None:
    assert yamlfile.dump({"name": word}) == f"name: {word}\n"


@pytest.mark.parametrize("word", ["true", "null", "~", "12", "1e-3", ".inf", ""])
def test_words_that_look_like_something_else_are_quoted(word: str) -> None:
    assert yamlfile.dump({"name": word}) == f"name: '{word}'\n"


texts = st.text(st.characters(exclude_categories=["Cs"]))
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.sampled_from([*SCALARS]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_what_is_dumped_reads_back(data: Any) -> None:
    text = yamlfile.dump(data)
    read = Document(text.encode().decode(), "test").data
    assert repr(read) == repr(data)  # tells 1 from 1.0 and from True, and 0.0 from -0.0
    assert yamlfile.dump(read) == text


def test_not_a_number_reads_back() -> None:
    assert math.isnan(Document(yamlfile.dump([math.nan]), "test").data[0])


def test_one_thing_twice_is_written_twice() -> None:
    shared = [1, 2]
    assert yamlfile.dump({"a": shared, "b": shared}) == "a:\n- 1\n- 2\nb:\n- 1\n- 2\n"


def test_keys_keep_their_order() -> None:
    data = {"z": 1, "a": 2, "m": {"y": 1, "b": 2}}
    assert yamlfile.dump(data) == "z: 1\na: 2\nm:\n  y: 1\n  b: 2\n"


TEXT = """\
# a comment
name: x
model:
  name: mlp
  hidden:
    - 10
    - - 20
      - {a: 1, b: 2}
flow: {one: [1, 2,
    3], two: {}}
1: number
"""
POSITIONS = {
    (): "2:1", ("name",): "2:1", ("model",): "3:1", ("model", "name"): "4:3", ("model", "hidden"): "5:3",
    ("model", "hidden", 0): "6:7", ("model", "hidden", 1): "7:7", ("model", "hidden", 1, 0): "7:9",
    ("model", "hidden", 1, 1): "8:9", ("model", "hidden", 1, 1, "b"): "8:16",
    ("flow", "one", 1): "9:17", ("flow", "one", 2): "10:5", ("flow", "two"): "10:9", (1,): "11:1",
    # what is not there stands where the deepest part of it does
    ("model", "depth"): "3:1", ("model", "hidden", 5): "5:3", ("nope", "name"): "2:1", ("name", "hidden"): "2:1",
    ("flow", "two", "one"): "10:9", ("model", "hidden", "name"): "5:3", ("flow", "three", "one"): "9:1",
}  # fmt: skip


@pytest.mark.parametrize(("location", "where"), POSITIONS.items(), ids=map(str, POSITIONS))
def test_positions(location: tuple[str | int, ...], where: str) -> None:
    assert Document(TEXT, "a.yaml").position(location) == f"a.yaml:{where}"


def test_what_is_in_a_text() -> None:
    document = Document(TEXT, "a.yaml")
    assert () in document
    assert ("model", "hidden", 1, 1, "b") in document
    assert ("flow", "two") in document
    assert ("flow", "two", "one") not in document
    assert ("model", "hidden", 2) not in document


def test_an_empty_text_has_no_positions() -> None:
    document = Document("# nothing\n", "a.yaml")
    assert document.data is None
    assert document.position(("name",)) == "a.yaml"
    assert ("name",) not in document


MALFORMED = {
    "a: 1\n b: 2\n": "2:3", "a: [1\nb: 2\n": "2:2", "a: 1\na: 2\n": "2:1: a: given twice",
    "x: {a: 1, 'a': 2}\n": "1:11: a: given twice", "\ta: 1\n": "1:1", "a: 'b\n": "2:1", "a: *b\n": "1:4",
    "a: 1\n--- \nb: 1\n": "2:1", "? [1]\n: 2\n": "1:3: a key is a word", "? {a: 1}\n: 2\n": "1:3: a key is a word",
    "a: !!int x\n": "1:4: cannot be read as a YAML int", "a: !!bool 2\n": "1:4: cannot be read as a YAML bool",
    "a: !mine 2\n": "1:4", "a: !!python/name:os.system\n": "1:4", "a: 1\nbc\x00: 2\n": "2:3: the character U+0000",
    "a: \x1b[31m\n": "1:4: the character U+001B", "a: @b\n": "1:4", "a: %b\n": "1:4", "a: b: c\n": "1:5",
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), MALFORMED.items(), ids=map(repr, MALFORMED))
def test_malformed(text: str, says: str) -> None:
    with pytest.raises(BadInput) as error:
        Document(text, "a.yaml")
    message = str(error.value)
    assert message.startswith(f"a.yaml:{says}")
    assert "\n" not in message


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    said = "a.yaml:"
    try:
        Document(text, "a.yaml")
    except BadInput as error:
        said = str(error)
    assert said.startswith("a.yaml:")
    assert "\n" not in said


@pytest.mark.parametrize("text", ["[" * 1000, "- " * 1000, "[" * 400_000 + "]" * 400_000], ids=["[", "-", "[]"])
def test_a_text_nested_too_deep(text: str) -> None:
    with pytest.raises(BadInput, match=r"^a\.yaml: .*too deep"):
        Document(text, "a.yaml")


def test_many_brackets_that_are_not_nested() -> None:
    text = "".join(f"k{i}: {{a: [1, 'x]']}}\n" for i in range(200))
    document = Document(text, "a.yaml")
    assert document.data == {f"k{i}": {"a": [1, "x]"]} for i in range(200)}
    assert document.position(("k199", "a", 1)) == "a.yaml:200:15"


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "日本.yaml"
    file.write_bytes("\ufeff名: 学習\r\nlr: 1e-3\r\n".encode())
    assert yamlfile.read(file).data == {"名": "学習", "lr": 0.001}
    assert yamlfile.read(file).position(("lr",)) == f"{file}:2:1"
    with pytest.raises(BadInput, match="no such file"):
        yamlfile.read(tmp_path / "nowhere.yaml")
    with pytest.raises(BadInput, match="Is a directory"):
        yamlfile.read(tmp_path)
    file.write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(BadInput, match="UTF-8"):
        yamlfile.read(file)
