"""The tuned hand-written loop: a plain forward pass a point, in the chunk size and memory layout that run fastest."""

import copy
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.landscapes.coordinates import visited
from benchmarks.landscapes.problem import Problem

SLOWER = 0.9
"""A chunk is slower where it has less than this share of the best rate; after `PATIENCE` such, none is larger."""
PATIENCE = 3
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Tuned:
    """The loop on a problem, in fp32, or in bf16 with nets and inputs of that type."""

    def __init__(self, problem: Problem, precision: str) -> None:
        self.problem = problem
        torch.backends.cudnn.allow_tf32 = False
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.net = copy.deepcopy(problem.centre).to(dtype)
        self.inputs, self.targets = problem.data
        self.inputs = self.inputs.to(dtype)
        self.chunk, self.layout = len(self.inputs), "contiguous"

    @torch.inference_mode()
    def prepare(self, seconds: float) -> dict[str, Any]:
        """Find the fastest chunk and layout. seconds: for each of those tried."""
        convolves = any(isinstance(module, nn.Conv2d) for module in self.net.modules())
        rates: dict[tuple[int, str], float] = {}
        for layout in LAYOUTS if convolves else ("contiguous",):
            self.use(layout)
            slower = 0
            for chunk in sizes(len(self.inputs)):
                rates[chunk, layout] = rate = self.rate(chunk, seconds)
                slower = slower + 1 if rate < SLOWER * max(rates.values()) else 0
                if slower == PATIENCE:
                    break
        self.chunk, layout = max(rates, key=lambda key: rates[key])
        self.use(layout)
        return {"chunk": self.chunk, "layout": self.layout}

    def use(self, layout: str) -> None:
        """Lay the net and the inputs out."""
        self.layout = layout
        self.net = self.net.to(memory_format=LAYOUTS[layout])  # type: ignore[call-overload]
        self.inputs = self.inputs.contiguous(memory_format=LAYOUTS[layout])

    def rate(self, chunk: int, seconds: float) -> float:
        """Samples a second at a chunk size, of as many chunks as the time allows, at least one after a warm-up.

        A warm-up that takes ten times as long is all there is.
        """
        begin = time.perf_counter()
        self.mean([(self.inputs[:chunk], self.targets[:chunk])])
        if (took := time.perf_counter() - begin) >= 10 * seconds:
            return chunk / took
        samples, begin = 0, time.perf_counter()
        for inputs, targets in zip(self.inputs.split(chunk), self.targets.split(chunk), strict=True):
            self.mean([(inputs, targets)])
            samples += len(inputs)
            if time.perf_counter() - begin >= seconds:
                break
        return samples / (time.perf_counter() - begin)

    def mean(self, chunks: Sequence[tuple[Tensor, Tensor]]) -> float:
        """The mean loss of chunks."""
        total = torch.zeros((), dtype=torch.float64, device=self.problem.device)
        for inputs, targets in chunks:
            total += nn.functional.cross_entropy(self.net(inputs).float(), targets, reduction="sum")
        return float(total) / sum(len(targets) for _, targets in chunks)

    def measure(self, steps: int, seconds: float) -> dict[str, Any]:
        """Seconds per point of the points that the peer visits, as many as the time allows, and their losses."""
        values: list[float] = []
        begin = time.perf_counter()
        for point in visited(self.problem.row.kind, steps):
            values.append(self.loss(point))
            if time.perf_counter() - begin >= seconds:
                break
        return {"seconds": (time.perf_counter() - begin) / len(values), "values": values}

    @torch.inference_mode()
    def loss(self, coordinates: Sequence[float]) -> float:
        """The mean loss of all samples at a point."""
        directions = self.problem.directions
        for (name, origin), value in zip(self.problem.centre.named_parameters(), self.net.parameters(), strict=True):
            moved = torch.add(origin, directions[0][name], alpha=coordinates[0])
            for direction, coordinate in zip(directions[1:], coordinates[1:], strict=True):
                moved.add_(direction[name], alpha=coordinate)
            value.copy_(moved)
        chunks = zip(self.inputs.split(self.chunk), self.targets.split(self.chunk), strict=True)
        return self.mean(list(chunks))


def sizes(samples: int) -> list[int]:
    """Powers of two from 2 on, and all samples at once."""
    return [2**power for power in range(1, samples.bit_length()) if 2**power < samples] + [samples]
