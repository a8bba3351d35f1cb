"""Titles that say what tells a result from the others below its heading."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lossscape.figures.section import Section, flat_rows

WORDS = {
    "batch_norm": "{} BatchNorm statistics",
    "targets": "{} targets",
    "split": "{} split",
    "directions.kind": "{} directions",
    "directions.normalize": "{} normalisation",
    "directions.ignore": "without {}",
    "directions.seed": "seed {}",
    "dropout.seed": "dropout masks of seed {}",
    "precision": "{}",
}
"""How a setting reads in a title, by its key."""
SPOKEN = {"labels": "label", "recompute": "recomputed"}
"""Values that read otherwise there."""
UNTOLD = ("sha256", "label", "run")
"""Last parts of keys that tell a reader nothing."""
MOST = 3
"""Settings that a title names beside those of WORDS."""


def told_apart(sections: Sequence[Section], settings: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Sections of one analysis with titles that say all of WORDS by which they differ, and which parts of them do.

    settings: of each of them. Those whose titles are the same even so have some other setting named.
    """
    if len(sections) < 2:
        return [*sections]
    flat = [dict(flat_rows(own)) for own in settings]
    differ = [key for key in dict.fromkeys(key for own in flat for key in own) if _differs(key, flat)]
    titles = [
        ", ".join([section.title, *(words for key in WORDS if key in differ and (words := _words(key, own, section)))])
        for section, own in zip(sections, flat, strict=True)
    ]
    counts = Counter(titles)
    for title in [title for title, count in counts.items() if count > 1]:
        same = [index for index, each in enumerate(titles) if each == title]
        alike = [flat[index] for index in same]
        keys = [key for key in differ if key not in WORDS and _differs(key, alike)][:MOST]
        for index in same:
            titles[index] = ", ".join([title, *(f"{_plain(key)} {flat[index].get(key, 'none')}" for key in keys)])
    parts = [title.split(", ") for title in titles]
    shared = set(parts[0]).intersection(*parts[1:])
    return [
        replace(section, title=title, differs=tuple(part for part in own if part not in shared))
        for section, title, own in zip(sections, titles, parts, strict=True)
    ]


def _differs(key: str, settings: Sequence[Mapping[str, str]]) -> bool:
    return key.rpartition(".")[2] not in UNTOLD and len({own.get(key) for own in settings}) > 1


def _words(key: str, own: Mapping[str, str], section: Section) -> str:
    """A setting in words; nothing where there is none or the title says it."""
    value = own.get(key, "none")
    words = WORDS[key].format(SPOKEN.get(value, value))
    return "" if value == "none" or words in section.title or section.title.startswith(f"{value} ") else words


def _plain(key: str) -> str:
    return key.replace("_", " ").replace(".", " ")
