"""Which files are adopted, in which order, and which epoch each of them is."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from lossscape.errors import BadInput

_EPOCH = re.compile(r"(?<![a-z])(epoch|ep)[-_=]*$", re.IGNORECASE)
"""What stands before a number that is an epoch's, of several that vary."""


def gather(patterns: Sequence[str]) -> list[Path]:
    """Files by path or pattern, those of a pattern by the numbers in their names.

    Raises BadInput for one that is missing or a folder, and for a file that is named twice.
    """
    files: list[Path] = []
    for pattern in patterns:
        if Path(pattern).is_dir():
            raise BadInput(f"{pattern}: is a folder; name its files, as in '{pattern.rstrip('/')}/*.pt'")
        found = [pattern] if Path(pattern).exists() else glob.glob(pattern, recursive=True)
        if not found:
            raise BadInput(f"{pattern}: no such file, nor does one match it as a pattern")
        files += map(Path, sorted(found, key=_naturally))
    for file in files:
        if not file.is_file():  # a device may have no end, a pipe no begin
            raise BadInput(f"{file}: is not a plain file")
    for index, file in enumerate(files):
        if file.resolve() in [other.resolve() for other in files[:index]]:
            raise BadInput(f"{file}: is named twice")
    return files


def numbers_of(files: Sequence[Path]) -> list[int] | None:
    """The numbers that tell the names apart, or of a lone file what stands behind the word epoch.

    None where names differ in something else, or in several numbers of which none stands behind that word.
    """
    parts = [re.split(r"([0-9]+)", str(file)) for file in files]
    if len({tuple(each[::2]) for each in parts}) > 1:
        return None
    numbered = range(1, len(parts[0]), 2)
    labelled = [index for index in numbered if _EPOCH.search(parts[0][index - 1])]
    if len(files) > 1:
        varying = [index for index in numbered if len({each[index] for each in parts}) > 1]
        labelled = [index for index in labelled if index in varying] or varying
    if len(labelled) != 1:
        return None
    numbers = [int(each[labelled[0]]) for each in parts]
    return numbers if len(set(numbers)) == len(numbers) else None


def numbers_from(text: str) -> list[int]:
    """The epochs that `--epochs 0,5,10` says. Raises BadInput where they are not different whole numbers."""
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,9}", word) for word in words) or len(set(map(int, words))) < len(words):
        raise BadInput(f"--epochs {text}: write different whole numbers from 0 on, as in --epochs 0,5,10")
    return [int(word) for word in words]


def _naturally(name: str) -> list[tuple[int, str]]:
    """A key that sorts 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]
