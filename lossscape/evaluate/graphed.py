"""Forward passes recorded as CUDA graphs: a point then costs one launch and not one for each of its operations.

Written by what torch documents of torch.cuda.CUDAGraph, tested with a stand-in on the CPU, and not yet run on a GPU.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lossscape.batches import Inputs
from lossscape.vectors import Params

Forward = Callable[[Params, Params, Inputs], Tensor]
"""From values at a point, those of a chunk whatever the point, and its inputs."""
Record = Callable[[Callable[[], Tensor]], tuple[Callable[[], object], Tensor]]
"""From a pass over tensors that stay where they are: what does it again, and the outputs, which stay too."""
WARM_UP = 3
"""Passes before the one that is recorded: libraries choose their algorithms and take their memory in these."""


def on_cuda(run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
    """Record a pass on the current CUDA device. Raises RuntimeError where one of its operations cannot be."""
    here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            run()
    here.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = run()
    return graph.replay, outputs


def recorder_of(device: torch.device) -> Record | None:
    """What records passes on a device; None where nothing does."""
    return on_cuda if device.type == "cuda" else None


class Graphed:
    """A forward pass that is recorded at its first whole chunk and done again from there.

    A shorter chunk and other shapes run as they are, and so do all where recording fails.
    """

    def __init__(self, forward: Forward, chunk: int, axis: int, record: Record) -> None:
        """axis: of the samples in the inputs. The pass must be a graph of tensors: nothing of Python is done again."""
        self._forward, self._chunk, self._axis, self._record = forward, chunk, axis, record
        self._static: dict[str, Tensor] = {}
        self._again: Callable[[], object] | None = None
        self._outputs = torch.empty(0)
        self.failed = ""
        """Why nothing is recorded; empty where it is, or was not tried yet."""

    def __call__(self, values: Params, masks: Params, inputs: Inputs) -> Tensor:
        """The outputs; a tensor of the caller's own."""
        if self.failed or not isinstance(inputs, Tensor) or inputs.shape[self._axis] != self._chunk:
            return self._forward(values, masks, inputs)
        given = {"": inputs} | values | masks
        if self._again is None and not self._taken(given, list(values), list(masks)):
            return self._forward(values, masks, inputs)
        if _forms(given) != _forms(self._static) or self._again is None:
            return self._forward(values, masks, inputs)
        torch._foreach_copy_(list(self._static.values()), list(given.values()))
        self._again()
        return self._outputs.clone()  # the next pass writes over them

    def _taken(self, given: Params, values: list[str], masks: list[str]) -> bool:
        """Record a pass over copies of what is given; returns whether that went well."""
        # copies that need no gradient, of which autocast keeps no rounded ones from pass to pass
        static = {name: value.detach().clone() for name, value in given.items()}
        of_values, of_masks = ({name: static[name] for name in names} for names in (values, masks))

        try:
            self._again, self._outputs = self._record(lambda: self._forward(of_values, of_masks, static[""]))
        except RuntimeError as error:  # an operation that waits for the device, no memory for a second copy, …
            self.failed = str(error).split("\n")[0]
            return False
        self._static = static
        return True


def _forms(tensors: Params) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (value.shape, value.dtype) for name, value in tensors.items()}
