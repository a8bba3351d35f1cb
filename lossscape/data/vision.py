"""The one place that imports torchvision, and only when it is asked for (the import takes a second)."""

import importlib
import sys
from functools import cache
from types import ModuleType

import torch

MISSING_OPERATOR = "operator torchvision::nms does not exist"

_schemas: list[torch.library.Library] = []  # an operator lives as long as the library that defined it


@cache
def torchvision() -> ModuleType:
    """The torchvision module, with its data sets, transforms and models.

    A CPU build of torch cannot load the compiled operators of the package index's torchvision, and the import
    fails where they are given their shapes. None of them is used here, so their schemas alone are defined and
    the import is tried again. Any other error is passed on as it is.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if MISSING_OPERATOR not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    if not _schemas:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _schemas.append(library)
    return importlib.import_module("torchvision")
