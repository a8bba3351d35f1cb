"""The roof of training: what the products of a net's own shapes take alone, each as fast as torch has it here."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lossscape.onednn import has_onednn, linear

CHUNKS = (8, 32)
"""Samples of a part of the batch, beside the whole: convolutions are faster on what stays in the cache."""
TURNS = 5
"""Times in a row that a way is taken for a timing where it is `SHORT`."""
SHORT = 1e-3
"""Seconds."""
_ATEN = torch.ops.aten
Way = Callable[[], object]


class Fastest(NamedTuple):
    """Of the ways to make a product the one that took the shortest time."""

    seconds: float
    way: Way
    threads: int


def fastest(net: nn.Sequential, shape: tuple[int, ...], batch: int, precision: str, seconds: float) -> list[Fastest]:
    """How the products of one training step of Linear and Conv2d modules take the least time, one by one.

    Forward, gradient of the weights, and gradient of the inputs but of the first, whose inputs are pictures: each the
    fastest of torch's product and oneDNN's (Linear), or of both memory layouts, whole and in chunks (Conv2d), on as
    many threads as torch has here or on one. Nothing else of a step is in it, so no loop that makes them one after the
    other is faster than the sum of their times. batch: samples of a step; seconds: that measuring may take.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    with torch.no_grad():
        products = [each for layer in _layers(net, shape, batch) for each in _products(*layer, dtype)]
        return [least(ways, seconds / len(products)) for ways in products]


def one_after_the_other(products: list[Fastest], batch: int) -> Iterator[int]:
    """Make the products of one training step after another, for ever; yields the samples of each.

    What each writes is gone from the cache when the next reads, which no sum of their least times knows.
    """
    while True:
        with torch.no_grad():
            for product in products:
                if torch.get_num_threads() != product.threads:
                    torch.set_num_threads(product.threads)
                product.way()
        yield batch


def _layers(net: nn.Sequential, shape: tuple[int, ...], batch: int) -> Iterator[tuple[nn.Module, Tensor, bool]]:
    """Each layer that multiplies, random inputs of its shape, and whether it is the first."""
    value, first = torch.randn(batch, *shape), True
    for module in net:
        if isinstance(module, nn.Linear | nn.Conv2d):
            yield module, torch.randn_like(value), first
            first = False
        value = module(value)


def _products(layer: nn.Module, inputs: Tensor, first: bool, dtype: torch.dtype) -> list[list[Way]]:
    """The products of a layer, each as the ways to make it."""
    inputs = inputs.to(dtype)
    slope = torch.randn_like(layer(inputs.float())).to(dtype)
    if isinstance(layer, nn.Linear):
        weight = layer.weight.to(dtype)
        pairs = [(inputs, weight.t()), (slope.t(), inputs), (slope, weight)]
        return [_matrices(*pair) for pair in pairs[: 2 if first else 3]]
    assert isinstance(layer, nn.Conv2d)
    return [
        [
            way
            for form in (torch.contiguous_format, torch.channels_last)
            for chunk in (len(inputs), *CHUNKS)
            for way in [_convolution(layer, inputs.to(memory_format=form), slope.to(memory_format=form), chunk, what)]
        ]
        for what in ("outputs", "weight", "inputs")[: 2 if first else 3]
    ]


def _matrices(left: Tensor, right: Tensor) -> list[Way]:
    """Torch's product, and oneDNN's where there is one: MKL does without AVX-512 on some processors."""
    ways: list[Way] = [lambda: left.mm(right)]
    if left.dtype == torch.float32 and has_onednn():
        ways.append(lambda: linear(left, right.t(), None))
    return ways


def _convolution(layer: nn.Conv2d, inputs: Tensor, slope: Tensor, chunk: int, what: str) -> Way:
    """Outputs, or the gradient of the weight or the inputs, chunk by chunk."""
    weight = layer.weight.to(inputs.dtype)
    places = (layer.stride, layer.padding, layer.dilation, False, (0, 0), layer.groups)
    parts = list(zip(inputs.split(chunk), slope.split(chunk), strict=True))

    def way() -> None:
        for part, of in parts:
            if what == "outputs":
                _ATEN.convolution.default(part, weight, None, *places)
            else:
                mask = (what == "inputs", what == "weight", False)
                _ATEN.convolution_backward.default(of, part, weight, None, *places, mask)

    return way


def least(ways: list[Way], seconds: float) -> Fastest:
    """The way of the shortest time, in turns; at least one turn of each."""
    threads, found = torch.get_num_threads(), Fastest(float("inf"), ways[0], 1)
    end = time.perf_counter() + seconds
    try:
        while found.seconds == float("inf") or time.perf_counter() < end:
            for count in {threads, 1}:
                torch.set_num_threads(count)
                for way in ways:
                    took = _timed(way, 1)
                    took = took if took > SHORT else _timed(way, TURNS)
                    found = min(found, Fastest(took, way, count), key=lambda each: each.seconds)
    finally:
        torch.set_num_threads(threads)
    return found


def _timed(way: Way, turns: int) -> float:
    begin = time.perf_counter()
    for _ in range(turns):
        way()
    return (time.perf_counter() - begin) / turns
