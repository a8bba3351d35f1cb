"""How a net begins under several schemes of initial values, and how short trainings from there go."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from lossscape import data, devices, losses, models
from lossscape.analyses.initial_values.passing import Batches, Tally, tallied
from lossscape.analyses.initial_values.request import Request, scheme_of
from lossscape.analyses.initial_values.result import (
    KEYS,
    LAYERS,
    MEASURED,
    OF_GROUP,
    SUMMARY,
    TRAININGS,
    UNITS,
    WORDS,
    summary_of,
)
from lossscape.analyses.initial_values.twins import still_equal, twins
from lossscape.config import Experiment, config_of, merged, read_experiment
from lossscape.errors import BadInput
from lossscape.evaluate.rows import Done, Key, Meter, Row
from lossscape.evaluate.sampling import stratified_sample
from lossscape.execution import Execution
from lossscape.files import check_writable
from lossscape.models.initial import layers_of, units_of
from lossscape.options import words_of
from lossscape.results import read_csv, write_csv
from lossscape.results.folder import label, open_folder
from lossscape.results.table import Table, fill, once
from lossscape.runs import Run
from lossscape.train.several import FAILED, FINISHED, Outcome, train_all

OWN = "config"
"""The name of the config's own activation."""
MOST_AT_ONCE = 500
"""Samples that pass at once, where a batch of training is larger."""
DIVERGED = "diverged"


@dataclass(frozen=True)
class Beginning:
    """A scheme with an activation, and its experiments, a seed each."""

    activation: str
    scheme: str
    experiments: Sequence[Experiment]


def compute(request: Request, execution: Execution) -> Path:
    """Compute what lacks of the layers' rows and of the trainings; returns the result's folder.

    Raises BadInput, RunFailed or Interrupted.
    """
    device = None if execution.device == "auto" else execution.device
    experiment = read_experiment(request.config, list(request.settings), device=device)
    if experiment.init_from is not None:
        raise BadInput(f"{request.config}: init_from gives initial values, and this looks at model.init: leave it out")
    home = Path(request.runs) / f"{experiment.name}-initial-values"
    beginnings = beginnings_of(request, experiment)
    loaded = data.load(experiment.dataset, devices.pick(experiment.device))
    samples = min(request.samples, len(loaded.train))
    source = Starts(beginnings, loaded, samples, Path(request.config).parent)
    settings = {
        "analysis": "initial_values",
        "experiment": _bare(experiment.resolved()),
        "data_sha256": loaded.facts["sha256"],
        "data_note": loaded.facts["note"],
        "schemes": list(request.schemes),
        "activations": [each.activation for each in beginnings if each.scheme == request.schemes[0]],
        "samples": samples,
        "seeds": request.seeds,
        "epochs": request.epochs,
        **({"code": code} if (code := experiment.code_digests()) else {}),
    }
    folder = home / "initial_values" / label(settings, words_of(request))
    check_writable(folder)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        table = Table(folder, LAYERS, KEYS, WORDS, unit="row", title="activations and gradients", by_key=False)
        fill(table, source, once(source.keys), total=len(source.keys), execution=execution)
        _train(beginnings, home, folder, execution, request.epochs)
    return folder


def beginnings_of(request: Request, experiment: Experiment) -> list[Beginning]:
    """The experiments of a request, each with its short training. Raises BadInput where a config does not take them."""
    plain, folder = experiment.resolved(), Path(request.config).parent
    found = []
    for activation in request.activations or (OWN,):
        for scheme in request.schemes:
            model = {"init": scheme_of(scheme)} | ({} if activation == OWN else {"activation": activation})
            experiments = []
            for seed in range(experiment.seed, experiment.seed + request.seeds):
                training = {"epochs": request.epochs, "checkpoint_every": 0, "checkpoint_every_steps": None}
                over = {"seed": seed, "model": model, "training": training}
                made = merged(plain, over)
                made["name"] = _name(activation, scheme, seed, made)
                source = f"{request.config} with {activation} and {scheme}"
                experiments.append(config_of(Experiment, made, source, folder))
            found.append(Beginning(activation, scheme, experiments))
    return found


def _bare(config: dict[str, Any]) -> dict[str, Any]:
    """A config without what does not change what is computed of it."""
    dataset = {key: value for key, value in config["dataset"].items() if key != "root"}
    return {key: value for key, value in config.items() if key != "device"} | {"dataset": dataset}


def _name(activation: str, scheme: str, seed: int, config: dict[str, Any]) -> str:
    """A run's name, with a hash of its config: trainings of several requests lie in one folder."""
    words = [*([] if activation == OWN else [activation]), scheme, f"seed{seed}"]
    text = json.dumps(_bare(config) | {"name": ""}, sort_keys=True, default=str)
    slug = "-".join(re.sub(r"[^\w.+]+", "-", word).strip("-") for word in words)
    return f"{slug[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


class Starts:
    """Activations and gradients at the start as rows: by activation, scheme, seed and layer."""

    columns = MEASURED

    def __init__(self, beginnings: Sequence[Beginning], loaded: data.Data, samples: int, folder: Path) -> None:
        """samples: of the training data; folder: from which the configs name files."""
        self._configs = {
            (each.activation, each.scheme): [one.resolved() for one in each.experiments] for each in beginnings
        }
        """Plain, since what a config is checked against does not travel."""
        self._folder, self._samples = folder.absolute(), samples
        self._loaded: data.Data | None = loaded
        first = beginnings[0].experiments[0]
        self._layers = list(layers_of(models.build(first.model, loaded.shape, loaded.outputs, first.seed)))
        if not self._layers:
            raise BadInput(f"model {first.model.name!r} has no linear or convolution layer, which initial values set")

    def __getstate__(self) -> dict[str, Any]:
        """Without data: each worker loads its own."""
        return self.__dict__ | {"_loaded": None}

    @property
    def keys(self) -> list[Key]:
        """In the order of the request."""
        return [
            (*group, config["seed"], layer)
            for group, configs in self._configs.items()
            for config in configs
            for layer in self._layers
        ]

    def together(self, key: Key) -> Key:
        """All seeds of an activation and scheme, whose histograms have one range."""
        return key[:OF_GROUP]

    def cost(self, key: Key) -> int:
        """Samples that pass twice, shared among the layers."""
        return max(2 * self._samples // len(self._layers), 1)

    def rows(self, keys: Sequence[Key], plan: Any, done: Done | None = None) -> list[Row]:
        """The rows of some activations and schemes, all of each."""
        return [row for group, own in groupby(keys, self.together) for row in self._rows(group, list(own), done)]

    def _rows(self, group: Key, keys: list[Key], done: Done | None) -> list[Row]:
        meter = Meter(done, len(keys) * self.cost(()))
        configs = self._configs[group]
        experiments = [config_of(Experiment, config, config["name"], self._folder) for config in configs]
        loaded = self._loaded = self._loaded or data.load(experiments[0].dataset, devices.pick(experiments[0].device))
        nets = {
            each.seed: models.build(each.model, loaded.shape, loaded.outputs, each.seed).to(loaded.train.targets.device)
            for each in experiments
        }
        tallies = tallied(nets, batches_of(experiments[0], loaded, self._samples), meter)
        units = {(seed, name): units_of(layer) for seed, net in nets.items() for name, layer in layers_of(net).items()}
        rows = [_row(units[seed, layer], *tallies[seed][layer]) for *_, seed, layer in keys]
        meter.finish()
        return rows


def batches_of(experiment: Experiment, loaded: data.Data, samples: int) -> Batches:
    """A stratified subset of the training data, in batches of training."""
    inputs, targets = loaded.train
    if samples < len(targets):
        indices = stratified_sample(targets, samples).indices.to(targets.device)
        inputs, targets = inputs[indices], targets[indices]
    loss = losses.FAMILY.bound(experiment.loss)
    over = losses.over(loss, losses.positions(loss, loaded.train.targets))
    return Batches(inputs, targets, over, min(experiment.training.batch(samples), MOST_AT_ONCE), experiment.output)


def _row(units: torch.Tensor, values: Tally, slopes: Tally) -> Row:
    """A layer's numbers; None of what no value passed."""
    equal = sum(len(group) for group in twins(units))
    known = bool(values.count)
    found: list[Any] = [
        len(units), equal,
        values.mean if known else None, values.std if known else None, values.share(values.zeros) if known else None,
        values.share(values.saturated) if known and values.ends else None, values.lost,
        slopes.std if slopes.count else None, slopes.share(slopes.zeros) if slopes.count else None, slopes.lost,
    ]  # fmt: skip
    for tally in (values, slopes):
        drawn = bool(tally.bins.any())
        counts = " ".join(map(str, tally.bins.tolist())) if drawn else ""
        found += [tally.low if drawn else None, tally.high if drawn else None, counts]
    return dict(zip(MEASURED, found, strict=True))


def _train(beginnings: Sequence[Beginning], home: Path, folder: Path, execution: Execution, epochs: int) -> None:
    """Train each experiment, and write how it went, what is left of equal units, and both over seeds."""
    if not epochs:
        return
    every = [one for each in beginnings for one in each.experiments]
    outcomes = iter(train_all(every, home, execution, title="short trainings"))
    trainings: list[Row] = []
    units: list[Row] = []
    for each in beginnings:
        for experiment in each.experiments:
            outcome = next(outcomes)
            key = {"activation": each.activation, "scheme": each.scheme, "seed": experiment.seed}
            trainings.append(key | _ended(outcome))
            if outcome.state == FINISHED:
                units += [key | row for row in equal_units(outcome.run)]
    names = list(dict.fromkeys(name for row in trainings for name in row))
    write_csv(folder / TRAININGS, names, [[row.get(name) for name in names] for row in trainings])
    write_csv(folder / UNITS, [*KEYS, *UNIT_COLUMNS], [row.values() for row in units])
    summary = summary_of(read_csv(folder / TRAININGS, WORDS))
    write_csv(folder / SUMMARY, map(str, summary), summary.to_numpy().tolist())


UNIT_COLUMNS = ("units", "equal_start", "equal_end", "moved", "apart")


def _ended(outcome: Outcome) -> Row:
    """A training's run, how it ended, and its last metrics, none where it diverged."""
    state = {FAILED: DIVERGED}.get(outcome.state, outcome.state)
    row: Row = {"run": outcome.run.name, "state": state}
    if not outcome.run.metrics_file.exists():
        return row
    table = read_csv(outcome.run.metrics_file, live=True)
    if table.empty:
        return row
    last = {str(name): float(table[name].iloc[-1]) for name in table}
    metrics = {name: value for name, value in last.items() if name.startswith(("train_", "test_"))}
    return row | {"epochs": int(last["epoch"])} | (metrics if state == FINISHED else dict.fromkeys(metrics))


def equal_units(run: Run) -> list[Row]:
    """For each layer of a trained run: units, those that started equal, those that still are, and how far apart."""
    start, end = (layers_of(run.model(name)) for name in ("first", "last"))
    rows = []
    for name, layer in start.items():
        before, after = units_of(layer), units_of(end[name])
        found = still_equal(before, after)
        values = (len(before), found.start, found.end, found.moved, found.apart)
        rows.append({"layer": name} | dict(zip(UNIT_COLUMNS, values, strict=True)))
    return rows
