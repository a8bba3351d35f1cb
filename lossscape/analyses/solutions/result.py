"""Kinds of solution as read back from their folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lossscape.errors import BadInput
from lossscape.results import read_csv, read_settings

TEXT = ("run", "config", "other", "kind", "relation")
"""Columns that hold words."""


@dataclass(frozen=True)
class Solutions:
    """Kinds of solution of one run or several: their settings and tables."""

    folder: Path
    settings: dict[str, Any]
    epochs: pd.DataFrame
    """run, epoch, losses, relative_change, kind."""
    summary: pd.DataFrame
    """A row for each run, with its first epoch of each kind."""
    configs: pd.DataFrame
    """A row for each config: mean and standard deviation over its runs. Empty for a single run."""
    ratios: pd.DataFrame
    """A row for each kind and pair of configs. Empty for a single run."""


def read_solutions(folder: Path) -> Solutions:
    """What `lossscape solutions` wrote. Raises BadInput where it is missing or torn."""
    settings = read_settings(folder)
    names = ("epochs", "summary", *(("configs", "ratios") if len(settings.get("runs", [])) > 1 else ()))
    tables = {name: read_csv(folder / f"{name}.csv", TEXT) for name in names}
    if any(len(tables[name]) == 0 for name in ("epochs", "summary")):
        raise BadInput(f"{folder}: holds no epochs; run the command again")
    return Solutions(folder, settings, **{"configs": pd.DataFrame(), "ratios": pd.DataFrame(), **tables})
