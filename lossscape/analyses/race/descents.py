"""Descents as rows: each method from each start, step by step, with what the steps have cost."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from lossscape import optimizers, seeds
from lossscape.analyses.race.grounds import Noisy, Remembered
from lossscape.analyses.race.methods import Method
from lossscape.analyses.race.result import COSTS
from lossscape.errors import RunFailed
from lossscape.evaluate.rows import Done, Key, Meter, Row
from lossscape.objective import Plan

COLUMNS = ("x", "y", "distance", "loss", "gradient_norm", *COSTS)


@dataclass
class Descents:
    """Every step of each method from each start; empty rows after one that was left for good."""

    methods: Sequence[Method]
    starts: Sequence[Tensor]
    """[D] each, in float64."""
    function: Any
    """Of `optimizers.Function`."""
    axes: Sequence[Tensor]
    """[2, D] for each start: what x and y of a point are, its products with both rows."""
    origins: Sequence[Tensor]
    """[D] for each start: from where x, y and the distance are counted."""
    far: Sequence[float]
    """The distance from there at which a descent is ended, for each start."""
    steps: int
    noise: float = 0.0
    seed: int = 0
    clip_norm: float | None = None
    samples: int = 1
    """That pass through the net for a gradient."""
    columns = COLUMNS

    @property
    def keys(self) -> list[Key]:
        """Method, start and step of each row."""
        numbers = range(len(self.starts)), range(self.steps + 1)
        return [(each.label, start, step) for each in self.methods for start in numbers[0] for step in numbers[1]]

    def together(self, key: Key) -> Key:
        """A descent is computed whole."""
        return key[:2]

    def cost(self, key: Key) -> int:
        """Samples of a step."""
        return self.samples

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of a descent."""
        label, start = self.together(keys[0])
        method = next(each for each in self.methods if each.label == label)
        meter, found = Meter(done, self.samples * len(keys)), list[Row]()
        for row in self.descent(method, start):
            found.append(row)
            meter(self.samples)
        meter.finish()
        empty: Row = dict.fromkeys(self.columns)
        return [found[step] if step < len(found) else empty for _, _, step in keys]

    def descent(self, method: Method, start: int) -> Iterator[Row]:
        """The rows of a method from a start, until it has gone too far or is no number any more."""
        theta = nn.Parameter(self.starts[start].clone())
        exact = Remembered(self.function)
        generator = seeds.generator(self.seed, "race-noise", start)  # the same for all methods
        counted = optimizers.Counted(Noisy(exact, self.noise, generator))
        optimizer = optimizers.build(method.spec, [theta])
        for step in range(self.steps + 1):
            if step and not self._moved(optimizer, theta, counted):
                return
            at = theta.detach()
            loss, slope = exact.gradient(at)
            away = at - self.origins[start]
            x, y = (self.axes[start] @ away).tolist()
            distance = float(away.norm())
            values = (x, y, distance, loss, float(slope.norm()), *(getattr(counted, name) for name in COSTS))
            if not all(map(math.isfinite, values)):
                return
            yield dict(zip(self.columns, values, strict=True))
            if distance > self.far[start]:
                return

    def _moved(self, optimizer: Optimizer, theta: nn.Parameter, function: Any) -> bool:
        """Take a step; whether that was possible."""
        try:
            if isinstance(optimizer, optimizers.FullBatch):
                optimizer.step(function)
                return True
            if (look := getattr(optimizer, "look_ahead", None)) is not None:
                look()
            theta.grad = function.gradient(theta.detach())[1]
            if self.clip_norm is not None:
                clip_grad_norm_([theta], self.clip_norm)
            optimizer.step()
        except (ArithmeticError, RuntimeError, RunFailed):  # numbers that float64 cannot hold
            return False
        return True
