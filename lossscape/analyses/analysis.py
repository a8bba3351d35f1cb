"""What an analysis is: a folder whose four modules are loaded when they are needed.

request.py   `Request`, what is computed, and `Drawing`, how it is drawn: dataclasses whose fields are the options
compute.py   `compute(request, execution)` evaluates what lacks and returns the result's folder
result.py    `read(folder)` gives the result back; its `lines()` are what the terminal says of it
figure.py    `draw(result, drawing, quiet)` and `section(result, page)`: its figures, and its part of the report

Where results may lie beside several runs, result.py has `runs_of(folder)`; where those of several runs are drawn
together, figure.py has `compare(results, page)`.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from lossscape.errors import BadInput, one_of
from lossscape.execution import Execution
from lossscape.figures.how import AS_USUAL, drawn
from lossscape.options import fields_of, made_of


@dataclass(frozen=True)
class Analysis:
    """An analysis by the name of its folder, which with hyphens is that of its command."""

    name: str
    results: str
    """The folder of its results, below that of a run."""
    heading: str
    """Above its results on the page."""

    @property
    def command(self) -> str:
        """What the program calls it."""
        return self.name.replace("_", "-")

    @cached_property
    def requests(self) -> ModuleType:
        """Its request.py, which loads neither torch nor matplotlib."""
        return self._module("request")

    def compute(self, request: Any, execution: Any) -> Path:
        """Compute what a result lacks; returns its folder."""
        from lossscape.evaluate.cluster import kept_open

        with kept_open():  # for all tables of a result, and the results that it is made of
            return self._module("compute").compute(request, execution)

    def run(self, **options: Any) -> Path:
        """Compute with the options of the command, by their names with underscores; returns the result's folder.

        Raises BadInput for one that the command does not have.
        """
        kinds = (self.requests.Request, Execution)
        allowed = [each.key for kind in kinds for each in fields_of(kind)]
        for name in options:
            if name not in allowed:
                raise BadInput(one_of(f"option of {self.name}", name, allowed))
        request, execution = (made_of(kind, options) for kind in kinds)
        return self.compute(request, execution)

    @property
    def read(self) -> Callable[[Path], Any]:
        """Gives a finished result back, without torch."""
        return self._module("result").read

    def draw(self, result: Any, drawing: Any, quiet: bool) -> dict[str, Path | str]:
        """Draw a result's figures beside it; returns what lies where."""
        with drawn(getattr(drawing, "how", AS_USUAL)):
            found: dict[str, Path | str] = self._module("figure").draw(result, drawing, quiet)
            return found

    @property
    def section(self) -> Callable[..., Any]:
        """Makes a result's part of the report."""
        return self._module("figure").section

    @property
    def runs_of(self) -> Callable[[Path], set[Path]] | None:
        """Tells the runs that a result is of, where results may lie beside several runs too; else None."""
        return getattr(self._module("result"), "runs_of", None)

    @property
    def compare(self) -> Callable[..., list[Any]] | None:
        """Draws the results of several runs together, `compare(results by run, page)`, where that says something."""
        return getattr(self._module("figure"), "compare", None)

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"lossscape.analyses.{self.name}.{name}")
