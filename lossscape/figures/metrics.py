"""Metrics beside the loss, as the columns of a table name them: their labels and units."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lossscape.text import number


@dataclass(frozen=True)
class Metric:
    """How a metric is written."""

    label: str
    unit: str = ""
    """% for a share, whose values are shown as per cent."""

    @property
    def scale(self) -> float:
        """What values are shown multiplied by."""
        return 100.0 if self.unit == "%" else 1.0

    def axis(self, split: str = "") -> str:
        """An axis label: test accuracy (%)."""
        return f"{split} {self.label}{f' ({self.unit})' if self.unit else ''}".strip()

    def text(self, value: float) -> str:
        """A value with its unit: 97.25 %."""
        return f"{100 * value:.2f} %" if self.unit == "%" else f"{number(value)} {self.unit}".strip()


METRICS = {
    "accuracy": Metric("accuracy", "%"),
    "top5": Metric("top-5 accuracy", "%"),
    "error": Metric("error", "%"),
    "margin": Metric("margin of the logits"),
    "entropy": Metric("entropy of the outputs", "nats"),
    "brier": Metric("Brier score"),
    "mae": Metric("mean absolute error"),
}
"""By name of the column behind that of the split; others are the user's own and go by their names."""


def metric(name: str) -> Metric:
    """How a metric is written, the user's own by its name."""
    return METRICS.get(name) or Metric(name.replace("_", " "))


def value_words(row: Mapping[Any, Any], split: str, names: Iterable[str]) -> str:
    """The metrics of a split in a row of a table, as far as they are there: accuracy 97.25 %, margin 3.1."""
    values = {name: row.get(f"{split}_{name}") for name in names}
    return ", ".join(
        f"{metric(name).label} {metric(name).text(value)}" for name, value in values.items() if value is not None
    )
