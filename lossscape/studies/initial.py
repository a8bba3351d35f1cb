"""The study of initial values: which units stay equal, and which schemes keep the size of what passes.

A course's exercise. That units which start equal stay equal is in Goodfellow, Bengio and Courville, Deep Learning,
section 8.4; that ReLU layers keep the size of activations with variance 2/n_in, and not with Xavier's, in He et al.
(arXiv:1502.01852).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape import yamlfile
from lossscape.analyses import ANALYSES
from lossscape.analyses.initial_values.result import FINISHED, InitialValues
from lossscape.files import write_text
from lossscape.studies.config import InitialStudy, Opened
from lossscape.studies.statements import OPEN, Say, Statement, judged, spread
from lossscape.text import counted

COURSE, HE = "Deep Learning, 8.4", "He et al."
KEEPS = 2.0
"""Sizes are kept that change by no more than this factor from the first hidden layer to the last."""


def run_initial(
    opened: Opened, study: InitialStudy, home: Path, device: str, say: Say, quiet: bool
) -> tuple[list[Statement], list[dict[str, Any]]]:
    """Look at every net and train what is missing; returns the statements, judged, and a row for each training."""
    found = {}
    for net in study.nets:
        say(
            f"initial values of {net}: {counted(len(study.schemes), 'scheme')}, {counted(study.seeds, 'seed')}, "
            f"{counted(study.epochs, 'epoch')}"
        )
        file = home / f"{net}.yaml"
        write_text(file, yamlfile.dump(opened.experiment(net, {"name": net, "device": device}).resolved(home)))
        folder = ANALYSES["initial_values"].run(
            config=str(file), runs=str(home), schemes=tuple(study.schemes), activations=tuple(study.activations),
            samples=study.samples, seeds=study.seeds, epochs=study.epochs, workers=opened.workers, quiet=quiet,
        )  # fmt: skip
        found[net] = ANALYSES["initial_values"].read(folder)
    rows = [row for net, result in found.items() for row in rows_of(net, result)]
    return [stay_equal(rows), learn_less(rows), *(keeps_size(result) for result in found.values())], rows


def rows_of(net: str, result: InitialValues) -> list[dict[str, Any]]:
    """A row for each training: how it ended, and its hidden units that began equal and still are."""
    hidden = result.units[result.units["layer"] != result.layers[-1]]
    names = ["units", "equal_start", "equal_end", "moved"]
    sums = hidden.groupby(["activation", "scheme", "seed"])[names].sum().to_dict("index")
    rows = []
    for row in result.trainings.to_dict("records"):
        own = sums.get((row["activation"], row["scheme"], row["seed"]), dict.fromkeys(names, float("nan")))
        rows.append(
            {
                "net": net, "activation": row["activation"], "scheme": row["scheme"], "seed": row["seed"],
                "run": f"{net}-initial-values/{row['run']}", "state": row["state"],
                **{name: float(own[name]) for name in names},
                "test_accuracy": float(row.get("test_accuracy", float("nan"))),
            }
        )  # fmt: skip
    return rows


def stay_equal(rows: Sequence[dict[str, Any]]) -> Statement:
    """Whether hidden units that all began equal are equal after every training that finished and moved any of them."""
    begun = [row for row in rows if row["scheme"].startswith("constant")]
    ended = [row for row in begun if row["state"] == FINISHED]
    outcomes = [row["equal_start"] == row["units"] == row["equal_end"] for row in ended if row["moved"]]
    lost = f"; {len(begun) - len(ended)} more did not finish" if len(ended) < len(begun) else ""
    evidence = (
        f"{sum(row['equal_end'] for row in ended):,.0f} of {sum(row['equal_start'] for row in ended):,.0f} hidden "
        f"units that began equal were so after {len(ended)} trainings ({_of(ended)}){lost}; judged by the "
        f"{len(outcomes)} trainings that moved any, {sum(row['moved'] for row in ended):,.0f} in all"
    )
    return Statement(COURSE, "layers whose units start equal stay equal", judged(outcomes), evidence)


def learn_less(rows: Sequence[dict[str, Any]]) -> Statement:
    """Whether each training with equal units ended with a lower accuracy than he's with the same net and seed."""
    claim = "nets whose hidden units start equal learn less than from random values"
    key = ("net", "activation", "seed")
    random = {tuple(row[k] for k in key): row["test_accuracy"] for row in rows if row["scheme"] == "he"}
    pairs = [
        (row["test_accuracy"], random[tuple(row[k] for k in key)])
        for row in rows
        if row["scheme"].startswith("constant") and row["state"] == FINISHED and tuple(row[k] for k in key) in random
    ]
    pairs = [pair for pair in pairs if np.isfinite(pair).all()]
    if not pairs:
        return Statement(COURSE, claim, OPEN, "no training of constants beside one of he's values finished")
    equal, others = ([100 * value for value in values] for values in zip(*pairs, strict=True))
    evidence = (
        f"test accuracy {spread(equal)} % from constants, {spread(others)} % from he's values, {len(pairs)} pairs"
    )
    return Statement(COURSE, claim, judged([a < b for a, b in pairs]), evidence)


def keeps_size(result: InitialValues) -> Statement:
    """Whether, seed by seed, he's values keep the root mean square of ReLU's activations and xavier's let it shrink."""
    claim = "he's values keep the size of ReLU activations through the layers, xavier's let it shrink"
    if "relu" not in result.activations or not {"he", "xavier"} <= {*result.schemes} or len(result.layers) < 3:
        return Statement(HE, claim, OPEN, "needs relu, he, xavier and two hidden layers")
    he, xavier = (_growth(result, scheme) for scheme in ("he", "xavier"))
    outcomes = [1 / KEEPS < kept < KEEPS and other < 1 / KEEPS for kept, other in zip(he, xavier, strict=True)]
    evidence = (
        f"from {result.layers[0]} to {result.layers[-2]} by a factor {spread(he)} with he, {spread(xavier)} with "
        f"xavier ({counted(len(he), 'seed')}; kept: within a factor {KEEPS:g})"
    )
    return Statement(HE, claim, judged(outcomes), evidence)


def _growth(result: InitialValues, scheme: str) -> list[float]:
    """Root mean square behind the last hidden layer over that behind the first, for each seed."""
    first, last = (_size(result.of("relu", scheme, layer)) for layer in (result.layers[0], result.layers[-2]))
    found: list[float] = (last / first).tolist()
    return found


def _size(rows: pd.DataFrame) -> np.ndarray:
    return np.hypot(rows["mean"].to_numpy(dtype=float), rows["std"].to_numpy(dtype=float))


def _of(rows: Sequence[dict[str, Any]]) -> str:
    seeds = len({row["seed"] for row in rows})
    names = [", ".join(dict.fromkeys(row[key] for row in rows)) for key in ("scheme", "activation")]
    return "; ".join([counted(seeds, "seed"), *names])
