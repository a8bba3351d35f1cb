"""What rows have to say: printed and written to a JSON file as each ends, so that a run that is cut loses nothing."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.numbers import table

Line = dict[str, str]
"""A line of a table: cells by the head of their column."""


@dataclass
class Outcome:
    """What came of a row."""

    name: str
    tables: dict[str, list[Line]]
    """By title; those of several rows with one title are one table in the end."""
    notes: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Who misses what."""
    measured: Any = None
    """The numbers behind it, as JSON has them."""


@dataclass
class Report:
    """What was printed so far."""

    introduction: str
    machine: Mapping[str, Any]
    words: Sequence[str]
    """Of the command line."""
    file: Path | None = None
    outcomes: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Print a row that has ended, and write the file anew."""
        self.outcomes.append(outcome)
        print("\n".join(["", *printed([outcome]), *missed([outcome])]), flush=True)
        self.write(ended=False)

    def end(self) -> bool:
        """Print all rows as one table of each kind where there are several; returns whether all is as asked."""
        if len(self.outcomes) > 1:
            print("\n" + "\n".join(["all rows", "", *printed(self.outcomes)]))
        found = missed(self.outcomes)
        print("\n" + "\n".join(found or ["all as asked"]), flush=True)
        self.write(ended=True)
        return not found

    def write(self, *, ended: bool) -> None:
        """Write what there is beside the file and move it into its place."""
        if self.file is None:
            return
        found = {
            "introduction": self.introduction,
            "machine": dict(self.machine),
            "words": list(self.words),
            "ended": ended,
            "missed": missed(self.outcomes),
            "rows": [asdict(outcome) for outcome in self.outcomes],
        }
        beside = self.file.with_name(self.file.name + ".part")
        text = json.dumps(plain(found), indent=2, ensure_ascii=False, allow_nan=False)
        beside.write_text(text + "\n", encoding="utf-8")
        os.replace(beside, self.file)


def plain(value: Any) -> Any:
    """The same for JSON, which has no numbers that are not finite: those are words."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def printed(outcomes: Sequence[Outcome]) -> list[str]:
    """The tables, each under its title, and the notes, as lines."""
    merged: dict[str, list[Line]] = {}
    for outcome in outcomes:
        for title, lines in outcome.tables.items():
            merged.setdefault(title, []).extend(lines)
    found = []
    for title, lines in merged.items():
        found += [title, "", table(list(lines[0]), [list(line.values()) for line in lines]), ""]
    return found + [note for outcome in outcomes for note in outcome.notes]


def missed(outcomes: Sequence[Outcome]) -> list[str]:
    """What rows miss, a line for each."""
    return [f"missed by {what}" for outcome in outcomes for what in outcome.missed]
