"""What can be said of a run from its files alone, whatever state it is in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lossscape import yamlfile
from lossscape.errors import BadInput
from lossscape.figures.text import distinct
from lossscape.results import metrics_of, read_csv
from lossscape.runfiles import RunFiles, names_apart
from lossscape.text import code_name, counted

COLUMNS = ("epoch", "lr", "train_loss", "test_loss", "grad_norm")
STATES = {"running": "not finished (running or killed)", "": "unknown"}


@dataclass(frozen=True)
class Facts:
    """A run in a line of a table."""

    name: str
    state: str
    data: str
    model: str
    parameters: int | None
    optimizer: str
    words: str
    """Data, net and optimizer in a sentence."""
    loss: str
    epochs_done: int
    epochs: int | None
    metrics: pd.DataFrame
    """metrics.csv without a torn last line."""

    @property
    def last(self) -> dict[str, float]:
        """The last row of the metrics, with what was last evaluated where that was not; empty before the first."""
        rows = self.metrics.ffill().tail(1).to_dict("records")
        return {str(key): float(value) for row in rows for key, value in row.items()}

    @property
    def others(self) -> list[str]:
        """The metrics beside the loss."""
        return metrics_of(self.metrics)


HINT = "squared error of a hidden layer"
"""The loss of a run that learns what a hidden layer of its teacher says, whatever its config calls the loss."""


def epochs_words(done: int, planned: int | None) -> str:
    """How many epochs a run has, and of how many where that is known."""
    return counted(done, "epoch") if planned is None else f"{done:,} of {counted(planned, 'epoch')}"


def facts_of(run: RunFiles) -> Facts:
    """Read config.yaml, environment.json, state.json and metrics.csv. Raises BadInput for one that is none."""
    config, environment, state = yamlfile.read(run.config_file).data, run.environment(), run.state()
    try:
        training, metrics = config.get("training") or {}, read_metrics(run.metrics_file)
        word = str(state.get("state", ""))
        message = state.get("message")
        optimizer = code_name(str((given := config.get("optimizer") or {}).get("name", "trained elsewhere")))
        optimizer += f", lr {given['lr']}" if "lr" in given else ""
        schedule = (config.get("schedule") or {}).get("name", "constant")
        optimizer += "" if schedule == "constant" else f", {schedule} schedule"
        data = _data(config["dataset"], environment.get("data") or {})
        model = _model(config["model"] or {"name": "a model that the config does not name"})
        parameters = (environment.get("model") or {}).get("parameters")
        hint = (config.get("teacher") or {}).get("hint")
        size = "" if parameters is None else f" ({parameters:,} parameters)"
        batch = f", batch {training['batch_size']}" if training.get("batch_size") is not None else ""
        return Facts(
            name=run.name,
            state=STATES.get(word, word) + (f": {message}" if message else ""),
            data=data,
            model=model,
            parameters=parameters,
            optimizer=optimizer,
            words=f"{data}, {model}{size}, {optimizer}{batch}, {config.get('precision', 'fp32')}",
            loss=HINT if hint else str((config.get("loss") or {}).get("name", "cross_entropy")),
            epochs_done=0 if metrics.empty else int(metrics["epoch"].iloc[-1]),
            epochs=training.get("epochs"),
            metrics=metrics,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{run.config_file}: not the config of a run ({type(error).__name__}: {error})") from None


def read_metrics(path: Path) -> pd.DataFrame:
    """metrics.csv up to its last whole line, so that a run can be read while it trains; empty where there is none.

    Raises BadInput where it is not a table of numbers with the columns of a run.
    """
    if not path.exists():
        return pd.DataFrame()
    table = read_csv(path, live=True)
    missing = [column for column in COLUMNS if column not in table]
    if len(table) and missing:
        raise BadInput(f"{path}: lacks the column {missing[0]}")
    return table


def full_names(runs: Sequence[RunFiles]) -> list[str]:
    """The runs' names, with the folder they lie in where two share a name."""
    return names_apart([run.name for run in runs], runs)


def names_of(runs: Sequence[RunFiles]) -> list[str]:
    """The same for a figure."""
    return distinct(full_names(runs))


def _data(dataset: dict[str, Any], facts: dict[str, Any]) -> str:
    words = code_name(str(dataset["name"]))
    if facts.get("note"):
        words += f" ({facts['note']})"
    if dataset.get("label_noise"):
        words += f", label noise {dataset['label_noise']:g}"
    if facts.get("train_size"):
        words += f", {facts['train_size']:,} train and {facts['test_size']:,} test samples"
    return words


def _model(model: dict[str, Any]) -> str:
    sizes = model.get("hidden") or model.get("channels")
    words = {"batch_norm": "BatchNorm", "dropout": f"dropout {model.get('dropout')}"}
    extras = [word for key, word in words.items() if model.get(key)]
    shape = " " + "-".join(str(size) for size in sizes) if sizes else ""
    return ", ".join([f"{code_name(str(model['name']))}{shape}", *extras])
