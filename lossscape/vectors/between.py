"""From one point to another."""

from torch import Tensor

from lossscape.vectors import Params, subtract


class ToAnother(dict[str, Tensor]):
    """A direction that leads to another net, whose buffers are not those of its start."""


def between(start: Params, end: Params) -> Params:
    """d = θ_end − θ_start in float64: start + 0·d is the start, start + 1·d the end, both to the bit.

    The line of Goodfellow et al. (arXiv:1412.6544). Integers (a counter among buffers) have no direction.
    """
    return ToAnother(
        subtract(
            {name: value.double() for name, value in end.items() if value.is_floating_point()},
            {name: value.double() for name, value in start.items() if value.is_floating_point()},
        )
    )
