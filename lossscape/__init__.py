"""lossscape: how a neural network's loss behaves, on lines and planes through its parameters.

The names below are the library; they are imported when first used, because torch takes a second to load.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossscape.errors import BadInput as BadInput
    from lossscape.errors import RunFailed as RunFailed
    from lossscape.evaluate import Subspace as Subspace
    from lossscape.evaluate import calibrate as calibrate
    from lossscape.evaluate import grid_points as grid_points
    from lossscape.evaluate import line_points as line_points
    from lossscape.evaluate import table as table
    from lossscape.library import convexity as convexity
    from lossscape.library import curvature as curvature
    from lossscape.library import fit as fit
    from lossscape.library import interpolate as interpolate
    from lossscape.library import landscape as landscape
    from lossscape.library import race as race
    from lossscape.library import saddles as saddles
    from lossscape.library import sharpness as sharpness
    from lossscape.objective import Objective as Objective
    from lossscape.recorder import Recorder as Recorder
    from lossscape.runs import Run as Run
    from lossscape.vectors.between import between as between
    from lossscape.vectors.random import random_directions as random_directions

_MODULES = {
    "errors": "BadInput RunFailed",
    "evaluate": "Subspace calibrate grid_points line_points table",
    "library": "convexity curvature fit interpolate landscape race saddles sharpness",
    "objective": "Objective",
    "recorder": "Recorder",
    "runs": "Run",
    "vectors.between": "between",
    "vectors.random": "random_directions",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lossscape' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lossscape.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
