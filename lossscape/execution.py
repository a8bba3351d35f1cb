"""How a result is computed: beyond rounding nothing of it changes what comes out."""

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from lossscape.options import Option

PlanName = Literal["dense", "folded", "factored", "stacked"]


@dataclass(frozen=True)
class Execution:
    """Where and by what means, as options of every command that computes."""

    device: Annotated[str, Option("auto, cpu, cuda or cuda:N.")] = "auto"
    plan: Annotated[PlanName | None, Option("Force a way to evaluate; by default the fastest is chosen.")] = None
    workers: Annotated[
        int | None, Option("Compute in N processes of this machine (pip install lossscape[cluster]).", "N", least=1)
    ] = None
    scheduler: Annotated[
        str | None, Option("Compute on the workers of a Dask cluster (pip install lossscape[cluster]).", "FILE|ADDRESS")
    ] = None
    overwrite: Annotated[bool, Option("Delete what is there and begin anew.")] = False
    quiet: Annotated[bool, Option("No progress; only where the results lie.", flag="--quiet,-q")] = False

    @property
    def processes(self) -> float:
        """How many compute; infinitely many where that is a scheduler's matter."""
        return math.inf if self.scheduler is not None else self.workers or 1

    @property
    def here(self) -> "Execution":
        """The same in this process: of rows whose own parts go to the workers."""
        return replace(self, workers=None, scheduler=None)
