"""What a row is held to, as plain functions of what was measured."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SHARE = 0.7
"""Of its roof that a ratio must reach on a CPU without AVX-512."""


@dataclass(frozen=True)
class Verdict:
    """What became of one ratio."""

    reached: float
    wanted: float | None
    """The ratio asked for; None: none is."""
    asked: float | None
    """What is asked for on this machine: `wanted`, or less where its own matrix rate allows no more."""
    roof: float | None
    """The ratio at the rate of a matrix product; None where a plan avoids arithmetic, which has no such roof."""
    judged: bool

    @property
    def missed(self) -> bool:
        """Whether it is judged, and less than is asked for (or no number)."""
        return self.judged and self.asked is not None and not self.reached >= self.asked

    @property
    def words(self) -> str:
        """What is asked for, and how it went."""
        if self.wanted is None or self.asked is None:
            return "–"
        own = "" if self.asked == self.wanted else f", here {self.asked:.3g} ({SHARE:.0%} of its roof)"
        return f"{self.wanted:g}{own}: {('missed' if self.missed else 'ok') if self.judged else 'not judged'}"


def verdict(ratios: Sequence[float], wanted: float | None, roof: float | None, *, judged: bool, own: bool) -> Verdict:
    """Judge the median of a row's ratios. own: whether the machine's own matrix rate decides, as without AVX-512."""
    asked = min(wanted, SHARE * roof) if own and wanted is not None and roof is not None else wanted
    return Verdict(statistics.median(ratios), wanted, asked, roof, judged)


def roof_of(seconds: Sequence[float], product: Sequence[float], flop: float) -> float:
    """The ratio that a side leaves: 1 / (its share of the rate of a matrix product), median of rounds.

    seconds: of a point; product: FLOP/s of a matrix product in the same rounds; flop: of a point's plain forward pass.
    """
    return statistics.median(rate * took / flop for rate, took in zip(product, seconds, strict=True))


def decides_itself(device: str, capability: str) -> bool:
    """Whether a machine's own matrix rate decides: a CPU whose vectors are shorter than AVX-512's.

    capability: of torch.backends.cpu.get_cpu_capability.
    """
    return device == "cpu" and capability != "AVX512"
