"""What came of the cases of a campaign: one table, what was wrong by class, and how to play a case again."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

WORD = re.compile(r"^(lossscape: |Error: |Usage: )", re.MULTILINE)
SHOWN = 3
"""Cases that are named of each class of what is wrong."""


@dataclass(frozen=True)
class Verdict:
    """What came of a case: one of the columns, and for `wrong` the reason."""

    column: str
    why: str = ""


@dataclass
class Outcomes:
    """The table of a campaign."""

    columns: tuple[str, ...]
    again: str
    """The command that plays a case again, which is added to it."""
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By row."""
    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Cases by what is wrong, numbers aside."""
    first: dict[str, str] = field(default_factory=dict)

    def add(self, row: str, case: str, verdict: Verdict) -> None:
        """Count a case."""
        self.counts[row][verdict.column] += 1
        if verdict.column == "wrong":
            kind = class_of(verdict.why)
            self.wrong[kind].append(case)
            self.first.setdefault(kind, verdict.why)

    def total(self, column: str | None = None) -> int:
        """Cases of a column, or all."""
        return sum(sum(row.values()) if column is None else row[column] for row in self.counts.values())

    def lines(self) -> Iterable[str]:
        """The table, then what is wrong."""
        names = ("tried", *self.columns)
        width = max(map(len, [*self.counts, "all"]))
        yield f"{'':{width}}  " + "  ".join(f"{name:>8}" for name in names)
        everything: Counter[str] = Counter()
        for row, counts in [*sorted(self.counts.items()), ("all", everything)]:
            everything.update(counts)
            numbers = [sum(counts.values()), *(counts[name] for name in self.columns)]
            if row == "all":
                numbers = [self.total(), *(self.total(name) for name in self.columns)]
            yield f"{row:{width}}  " + "  ".join(f"{number:>8,}" for number in numbers)
        for kind, cases in sorted(self.wrong.items(), key=lambda item: -len(item[1])):
            yield f"\nwrong, {len(cases)} times: {self.first[kind][:400]}"
            yield from (f"  {self.again} --only {case!r}" for case in cases[:SHOWN])


def class_of(why: str) -> str:
    """The reason without what differs from case to case: what stands behind a bar, numbers, names."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\S*[/\d]\S*", "…", why.partition(" | ")[0])[:120]


def complaint(code: int, err: str, allowed: Iterable[int]) -> str | None:
    """What is wrong with how a command ended; None where it ended well."""
    last = (err.strip().splitlines() or [""])[-1]
    if "Traceback" in err:
        return f"traceback: {last}"
    if "unexpected;" in err:
        return f"unexpected: {last}"
    if "Exception ignored" in err:
        return f"exception ignored: {last}"
    if code not in allowed:
        return f"exit code {code}: {last}"
    if code and not WORD.search(err):
        return f"exit code {code} without a word"
    return None
