"""Convolutions as products of matrices: which they are, and their values."""

import copy
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, linear

from lossscape.evaluate.lowering import GROWTH, Covering, Pointwise, lowered

BOTH = (False, True)
LAYERS = [
    {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation, "bias": bias}
    for kernel, stride, padding, dilation, bias in product(
        [(1, 1), (2, 1), (2, 3), (3, 3)], [(1, 1), (2, 1)], [(0, 0), (1, 0), (1, 1)], [(1, 1), (2, 1)], BOTH
    )
]


@torch.no_grad()
def covers(layer: nn.Conv2d, size: tuple[int, int]) -> bool:
    """Whether every window meets every pixel of a map, and the matrix is not too large: each one alone gives ones."""
    pixels = torch.eye(size[0] * size[1]).view(-1, 1, *size)
    met = conv2d(pixels, torch.ones(1, 1, *layer.kernel_size), None, layer.stride, layer.padding, layer.dilation)
    return bool((met == 1).all()) and met.numel() <= GROWTH * layer.weight[0, 0].numel()


def with_values(made: Pointwise | Covering | None) -> nn.Module:
    """A convolution as a product, with its values as that wants them."""
    assert made is not None
    made = copy.deepcopy(made)
    if isinstance(made, Covering):
        made.weight = nn.Parameter(made.matrix(made.weight))
        made.bias = None if made.bias is None else nn.Parameter(made.repeated(made.bias))
    return made


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (1, 4), (4, 4)])
@torch.no_grad()
def test_convolutions_that_are_products_of_matrices_have_the_same_values_as_such(size: tuple[int, int]) -> None:
    kinds, torch_rng = set(), torch.Generator().manual_seed(0)
    inputs = torch.randn(5, 3, *size, dtype=torch.float64, generator=torch_rng)
    for options in LAYERS:
        layer = nn.Conv2d(3, 4, **options).double()
        try:
            expected = layer(inputs)
        except RuntimeError:
            continue  # its windows are larger than the map
        made = lowered(layer, (3, *size), linear)
        kinds.add(type(made))
        pointwise = layer.kernel_size == (1, 1) and layer.padding == (0, 0)
        assert isinstance(made, Pointwise) == pointwise
        assert isinstance(made, Covering) == (not pointwise and covers(layer, size)), options
        for form in (torch.contiguous_format, torch.channels_last) if made else ():
            found = with_values(made)(inputs.contiguous(memory_format=form))
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
            assert found.is_contiguous(memory_format=torch.channels_last)
    assert kinds == ({Pointwise, Covering, type(None)} if max(size) < 3 else {Pointwise, type(None)})


@pytest.mark.parametrize("options", [
    {"groups": 4}, {"padding": "same"}, {"padding": 1, "padding_mode": "reflect"},
    {"padding": 1, "padding_mode": "circular"},
])  # fmt: skip
def test_convolutions_that_are_more_than_products_stay(options: dict[str, object]) -> None:
    for kernel in (1, 3):
        assert lowered(nn.Conv2d(4, 4, kernel, **options), (4, 2, 2), linear) is None


@pytest.mark.parametrize("kernel", [1, 3])
@torch.no_grad()
def test_options_of_one_number_are_those_of_rows_and_columns(kernel: int) -> None:
    layer, inputs = nn.Conv2d(2, 3, kernel).double(), torch.randn(4, 2, 2, 2, dtype=torch.float64)
    layer.padding, layer.stride, layer.dilation = kernel // 2, 2, [1]  # type: ignore[assignment]
    made = with_values(lowered(layer, (2, 2, 2), linear))
    torch.testing.assert_close(made(inputs), layer(inputs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [1, 3])
@torch.no_grad()
def test_nan_and_infinity_stay_what_they_are(kernel: int) -> None:
    layer, inputs = nn.Conv2d(2, 3, kernel, padding=kernel // 2), torch.randn(3, 2, 2, 2)
    inputs[0, 0, 0, 0], inputs[1, 1, 1, 1] = torch.nan, torch.inf
    made, expected = with_values(lowered(layer, (2, 2, 2), linear)), layer(inputs)
    torch.testing.assert_close(made(inputs), expected, equal_nan=True)
    assert not expected[:2].isfinite().all()
