"""Where data sets lie."""

import os
from pathlib import Path
from typing import NamedTuple

from lossscape.files import CACHE, expanded


class DataFolder(NamedTuple):
    """The folder that a data set is looked for in, and the files it lacks."""

    name: str
    folder: Path
    missing: list[str]

    @property
    def there(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def data_root(root: str | None) -> Path:
    """The folder of data files: `root` of the config, else $LOSSSCAPE_DATA, else ~/.cache/lossscape."""
    return expanded(root or os.environ.get("LOSSSCAPE_DATA") or CACHE)
