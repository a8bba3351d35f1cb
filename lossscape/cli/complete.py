"""What a shell completes: runs, and the checkpoints behind an @, by the names of their files alone."""

import re
from pathlib import Path

from lossscape.text import printable

_CHECKPOINT = re.compile(r"(?:epoch-0*([0-9]+)|(step)-0*([0-9]+)|(best|ema))\.pt")


def points(incomplete: str) -> list[str]:
    """What RUN[@CHECKPOINT], of which a part is written, may become; nothing where no run begins like this."""
    try:
        run, at, _ = incomplete.partition("@")
        found = _checkpoints(run) if at else _runs(incomplete)
    except OSError:
        return []
    return [each for each in found if each.startswith(incomplete) and printable(each) == each]


def _runs(incomplete: str) -> list[str]:
    """Runs and sweeps in the folder that is named, or in runs/ where none is."""
    from lossscape.runfiles import SWEEP

    folder = incomplete.rpartition("/")[0] or "runs"
    homes = sorted(path for path in Path(folder).iterdir() if path.is_dir())
    return [
        f"{folder}/{path.name}" for path in homes if any((path / name).is_file() for name in ("config.yaml", SWEEP))
    ]


def _checkpoints(run: str) -> list[str]:
    """Those of a run: first, last, best and ema where they are there, epochs, and steps."""
    from lossscape.runfiles import RunFiles

    files = RunFiles(run).epoch_file(0).parent.iterdir()
    found = [match for file in files if (match := _CHECKPOINT.fullmatch(file.name))]
    epochs = [str(number) for number in sorted(int(match[1]) for match in found if match[1])]
    steps = [f"step-{number}" for number in sorted(int(match[3]) for match in found if match[2])]
    kept = sorted(match[4] for match in found if match[4])
    return [f"{run}@{name}" for name in ("first", "last", *kept, *epochs, *steps)] if found else []
