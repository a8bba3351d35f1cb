"""Optimizers by their standard names and arguments, and what makes one from a config's `optimizer` section."""

import inspect
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from lossscape.errors import BadInput
from lossscape.families import Component, Family, is_custom
from lossscape.optimizers.coordinates import coordinate_descent
from lossscape.optimizers.first_order import FIRST_ORDER as FIRST_ORDER
from lossscape.optimizers.first_order import Parameters
from lossscape.optimizers.first_order import bare_step as bare_step
from lossscape.optimizers.full_batch import CONVERGED as CONVERGED
from lossscape.optimizers.full_batch import COUNTS as COUNTS
from lossscape.optimizers.full_batch import STUCK as STUCK
from lossscape.optimizers.full_batch import Counted as Counted
from lossscape.optimizers.full_batch import FullBatch as FullBatch
from lossscape.optimizers.full_batch import Function as Function
from lossscape.optimizers.full_batch import Point as Point
from lossscape.optimizers.lbfgs import lbfgs
from lossscape.optimizers.lookahead import Lookahead as Lookahead
from lossscape.optimizers.minimised import bfgs, conjugate_gradient, newton_cg, trust_region
from lossscape.optimizers.newton import newton, saddle_free_newton
from lossscape.usercode import blamed


class OptimizerOptions(Component):
    """What every optimizer shares: nothing but the name."""


FULL_BATCH: dict[str, Callable[..., FullBatch]] = {
    each.__name__: each
    for each in (
        newton, saddle_free_newton, newton_cg, trust_region, bfgs, lbfgs, conjugate_gradient, coordinate_descent
    )
}  # fmt: skip
"""What needs the whole objective, as a function of all parameters together."""
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = FIRST_ORDER | FULL_BATCH
FAMILY = Family(OPTIMIZERS, OptimizerOptions, given=("parameters", "params"))


def build(spec: Component, parameters: Parameters) -> Optimizer:
    """The optimizer of `parameters` that a config's `optimizer` section names.

    A user's own function gets the parameters first and returns a torch.optim.Optimizer whose groups have `lr`
    and whose step needs no closure; a class such as `torch.optim:RAdam` is such a function.
    Raises BadInput where it fails or returns something else.
    """
    with blamed(f"optimizer {spec.name!r} failed:", is_custom(spec.name)):
        optimizer: Any = FAMILY.bound(spec)(parameters)
    if not isinstance(optimizer, Optimizer):
        what = type(optimizer).__name__
        raise BadInput(f"optimizer {spec.name!r} returned {what}, not a torch.optim.Optimizer")
    if not all("lr" in group for group in optimizer.param_groups):
        raise BadInput(f"optimizer {spec.name!r} has parameter groups without 'lr', which schedules multiply")
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise BadInput(f"optimizer {spec.name!r} needs a closure in step(), which training does not give")
    return optimizer
