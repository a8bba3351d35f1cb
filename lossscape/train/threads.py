"""How many of torch's threads a run trains with: by rule and not by a race, so that one config gives the same bytes.

With other threads sums are taken in another order, and a race ends otherwise from run to run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch

from lossscape.models import summarise
from lossscape.train.hint import net_of

if TYPE_CHECKING:
    from lossscape.train.loop import Setup
    from lossscape.train.state import State

FLOP = 6
"""Floating-point operations of training for each multiply-add of a forward pass: 2 there, and 4 for the gradients."""
SMALL = 2e8
"""Floating-point operations of a pass of training below which one thread takes it.

Threads that wait for one another spin, so beside other work such a pass takes them many times as long as one thread.
"""
_GIVEN: ContextVar[int | None] = ContextVar("threads", default=None)


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """So many threads of torch in this process, whatever a run would take, then as many as before; None: leave them."""
    before = torch.get_num_threads()
    token = _GIVEN.set(_GIVEN.get() if threads is None else threads)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        _GIVEN.reset(token)
        torch.set_num_threads(before)


def threads_of(setup: "Setup", state: "State", *, anew: bool) -> int:
    """The first of these that there is: training.threads, `torch_threads`, OMP_NUM_THREADS, and the run's own number.

    Else one for small nets on the CPU, and torch's number for others. anew: whether a run that is there begins again.
    """
    here = torch.get_num_threads()
    asked = setup.experiment.training.threads or _GIVEN.get() or (here if os.environ.get("OMP_NUM_THREADS") else None)
    if asked is None and not anew and setup.run.resume_file.exists():
        asked = setup.run.environment().get("threads")
    if asked is not None:
        return int(asked)
    return 1 if setup.device.type == "cpu" and work_of(setup, state) < SMALL else here


def work_of(setup: "Setup", state: "State") -> float:
    """Floating-point operations of one pass of training, of as many samples as go through the net at once.

    A layer that is not looked into counts as many multiply-adds as it has parameters.
    """
    summary = summarise(net_of(state.model), setup.data.train.inputs)
    return FLOP * max(summary.multiply_adds, summary.parameters) * setup.micro_batch
