"""The study of landscapes around a true minimum: three kinds of net, their surfaces and their epochs to each kind.

Wang and Thawonmas (IPSJ): the training inputs relabelled by the net itself make its weights a true minimum, around
which the loss is drawn.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lossscape.analyses.pair import compute as pair
from lossscape.analyses.pair.result import TEXT
from lossscape.analyses.solutions import compute as solutions
from lossscape.analyses.solutions.request import Rule
from lossscape.analyses.solutions.result import read as read_solutions
from lossscape.errors import RunFailed
from lossscape.execution import Execution
from lossscape.measured import Measured
from lossscape.results import read_csv
from lossscape.results.folder import MEASURES_CSV
from lossscape.results.resolution import UNRESOLVED
from lossscape.runs import Point, Run, point_of
from lossscape.studies.config import MinimumStudy, Opened
from lossscape.studies.statements import FAILS, HOLDS, OPEN, Say, Statement, judged, rough_words, spread
from lossscape.text import counted
from lossscape.train import train

SOURCE = "Wang and Thawonmas"
TRAINS = 0.95
"""Share of the loss of knowing nothing, ln(classes), below which the training loss must fall for a rate to train."""
TWICE = (1.5, 3.0)
MORE = math.nextafter(1.0, 2.0)
DNN, CNN, RESNET = "dnn", "cnn", "resnet50"
WIDE = "+1"
"""The level above the centre whose region says how wide a minimum is; the first of the levels."""
LEVELS = (WIDE, "+0.1", "x2")


@dataclass(frozen=True)
class Tried:
    """A learning rate that a net was trained with."""

    net: str
    seed: int
    rate: float
    run: Run
    trains: bool
    epochs: int


def run_minimum(
    opened: Opened, study: MinimumStudy, home: Path, device: str, say: Say, quiet: bool
) -> tuple[list[Statement], list[dict[str, Any]]]:
    """Train what is missing, draw the surfaces; returns the statements, judged, and a row for each rate tried."""
    seeds: list[int | None] = [*study.seeds] or [None]
    tried = [
        each
        for seed in seeds
        for net in study.nets
        for each in train_net(opened, study, home, net, seed, device, say, quiet)
    ]
    groups = [
        {each.net: each for each in tried if each.seed == seed}  # with the last rate that was tried
        for seed in dict.fromkeys(each.seed for each in tried)
    ]
    rule = Rule(study.tolerance, study.zero, study.window)
    chosen = tuple(each.run for group in groups for each in group.values())
    summary = read_solutions(solutions.compute(solutions.Request(chosen, rule), Execution())).summary
    size = len(study.nets)
    solved = [summary.iloc[start : start + size] for start in range(0, len(summary), size)]
    idle = [[net for net, each in group.items() if not each.trains] for group in groups]
    pairs, printed = [], []
    for group in groups:
        centres = {net: point_of(f"{each.run.path}@last") for net, each in group.items()}
        names = {net: str(centre) for net, centre in centres.items()}
        planes, steps = _draw(study, list(centres.values()), device, say, quiet)
        pairs.append((planes, names))
        printed += [(steps, names)] if steps else []
    idle_nets = [net for net in study.nets if any(net in own for own in idle)]
    statements = [
        *_trained(tried),
        *judge_surfaces(pairs, study.targets, idle_nets),
        *(judge_surfaces(printed, study.targets, idle_nets, printed=True) if printed else []),
        *judge_epochs(solved, list(study.nets), study, idle),
    ]
    columns = ("net", "learning_rate", "run", "trains", "epochs", *(["seed"] if study.seeds else []))
    values = [(each.net, each.rate, each.run.name, each.trains, each.epochs, each.seed) for each in tried]
    return statements, [dict(zip(columns, row, strict=False)) for row in values]


def _draw(
    study: MinimumStudy, centres: Sequence[Point], device: str, say: Say, quiet: bool
) -> tuple[Path, Path | None]:
    execution, measured = Execution(device, quiet=quiet), Measured(samples=study.samples)
    say(f"surfaces of {', '.join(map(str, centres))} over {counted(study.planes, 'plane')}")
    common: dict[str, Any] = {"targets": study.targets, "levels": LEVELS, "measured": measured}
    if study.surface_tolerance is not None:
        common["tolerance"] = study.surface_tolerance
    asked = pair.Request(tuple(centres), grid=(study.grid, study.grid), repeats=study.planes, **common)
    pairs = pair.compute(asked, execution)
    if study.printed is None:
        return pairs, None
    say(f"surfaces as Algorithm 2 is printed, steps 0 to {study.printed - 1}")
    asked = pair.Request(tuple(centres), printed=study.printed, **common)
    return pairs, pair.compute(asked, execution)


def train_net(
    opened: Opened, study: MinimumStudy, home: Path, net: str, seed: int | None, device: str, say: Say, quiet: bool
) -> list[Tried]:
    """Train a net with each learning rate in turn, to the first that trains, or else with the last.

    seed: of the run; None: that of the net's config.
    """
    tried = []
    for rate in study.learning_rates:
        more: dict[str, Any] = {"name": f"{net}-lr-{rate:g}", "optimizer": {"lr": rate}}
        if seed is not None:
            more |= {"name": f"{net}-lr-{rate:g}-seed-{seed}", "seed": seed}
        experiment = opened.begun(net, more, home, device)
        epochs = experiment.training.epochs
        last = rate == study.learning_rates[-1]
        say(f"training {experiment.name}, {counted(epochs, 'epoch')}")
        run = Run(home / experiment.name)
        trains = False
        try:
            run = train(experiment, home, quiet=quiet, until=None if last else min(study.probe_epochs, epochs))
            if trains := _trains(run):
                run = train(experiment, home, quiet=quiet)
        except RunFailed:  # the loss is not finite, at the latest when the probe had gone well
            if last or not run.metrics_file.exists():
                raise
            trains = False
        done = len(read_csv(run.metrics_file, live=True)) - 1
        tried.append(Tried(net, experiment.seed, rate, run, trains, done))
        if trains:
            break
        if not last:
            say(f"learning rate {rate:g} does not train {net}: trying the next")
    return tried


def _trains(run: Run) -> bool:
    """Whether the loss of an epoch, or of its training steps, has fallen clearly below that of knowing nothing."""
    table = read_csv(run.metrics_file, live=True).iloc[1:]
    classes = int(run.environment()["data"]["classes"])
    least = min(float(table[name].min()) for name in ("train_loss", "batch_loss"))
    return least < TRAINS * math.log(classes)


def _trained(tried: Sequence[Tried]) -> list[Statement]:
    found = []
    for net in dict.fromkeys(each.net for each in tried):
        seeds = [
            [each for each in tried if (each.net, each.seed) == (net, seed)]
            for seed in dict.fromkeys(each.seed for each in tried)
        ]
        words = [_trained_words(own) for own in seeds]
        evidence = words[0] if len(seeds) == 1 else _by_seed([own[0].seed for own in seeds], words)
        claim = f"{net} trains with the published learning rate {seeds[0][0].rate:g}"
        found.append(Statement(SOURCE, claim, judged([own[0].trains for own in seeds]), evidence))
    return found


def _trained_words(own: Sequence[Tried]) -> str:
    last = read_csv(own[-1].run.metrics_file, live=True).iloc[-1]
    rates = "; ".join(
        f"{each.rate:g} {'trains' if each.trains else 'does not'} ({counted(each.epochs, 'epoch')})" for each in own
    )
    return (
        f"{rates}; at the end training loss {last['train_loss']:.3g}, accuracy {100 * last['train_accuracy']:.1f} %, "
        f"test accuracy {100 * last['test_accuracy']:.1f} %"
    )


def _by_seed(seeds: Sequence[int], words: Sequence[str]) -> str:
    return "; ".join(f"seed {seed}: {own}" for seed, own in zip(seeds, words, strict=True))


def judge_surfaces(
    pairs: Sequence[tuple[Path, Mapping[str, str]]], targets: str, idle: Sequence[str], *, printed: bool = False
) -> list[Statement]:
    """Which net's surfaces around the true minimum are smooth, wide, sharp and asymmetric.

    pairs: of every seed the folder of its surfaces and what it calls each net; idle: nets that did not train, whose
    surfaces say little; printed: whether the planes are those of Algorithm 2 as it is printed, which have no opposite
    sides, and where a step of length 1 is little for a large net.
    """
    form = "steps of length 1, as printed" if printed else "filter-normalised"
    nets = list(pairs[0][1])
    if not {DNN, CNN, RESNET} <= set(nets):
        return []
    tables = [(read_csv(folder / MEASURES_CSV, TEXT), names) for folder, names in pairs]
    rows = {
        net: pd.concat([t[(t["targets"] == targets) & (t["net"] == names[net])] for t, names in tables]) for net in nets
    }
    values = {net: {str(key): own[key].tolist() for key in own if key not in TEXT} for net, own in rows.items()}
    unclear = {net: [str(words).split() for words in own.get(UNRESOLVED, [])] for net, own in rows.items()}

    def extreme(net: str, key: str, best: Callable[..., float], claim: str, measure: str) -> Statement:
        planes = list(zip(*(values[each][key] for each in values), strict=True))
        own = list(values).index(net)
        known = [plane for plane in planes if all(map(math.isfinite, plane))]
        outcomes = [plane[own] == best(plane) and plane.count(plane[own]) == 1 for plane in known]
        evidence = f"{measure}: " + ", ".join(f"{each} {spread(values[each][key])}" for each in values)
        seeds = f" of {len(pairs)} seeds" if len(pairs) > 1 else ""
        evidence += f"; so on {sum(outcomes)} of {counted(len(planes), 'plane')}{seeds}"
        for each, own_words in unclear.items():
            evidence += rough_words([key in words for words in own_words], f"of {each}", "plane")
        evidence += "".join(f"; {each} did not train" for each in idle)
        return Statement(SOURCE, f"{claim} ({form})", OPEN if idle else judged(outcomes), evidence)

    smooth = extreme(RESNET, "mean_slope", min, "ResNet-50's surface is the smoothest", "mean slope")
    if printed:
        return [smooth, extreme(DNN, "max_slope", max, "the DNN's surface is sharp", "greatest slope")]
    return [
        smooth,
        extreme(RESNET, f"share_{WIDE}", max, "ResNet-50's surface is low around the centre over a wide area",
                f"share of the area whose loss is at most {WIDE[1:]} above the centre's"),
        extreme(DNN, "max_slope", max, "the DNN's surface is sharp", "greatest slope"),
        extreme(DNN, "asymmetry", max, "the DNN's surface is asymmetric", "asymmetry of opposite sides"),
    ]  # fmt: skip


@dataclass(frozen=True)
class Reached:
    """The epochs of the nets of one seed to each kind of solution."""

    spans: dict[tuple[str, str], tuple[float, float]]
    """The first epoch of a kind, or from where on it may lie."""
    epochs: dict[str, float]
    idle: Sequence[str]

    @classmethod
    def of(cls, summary: pd.DataFrame, nets: Sequence[str], window: int, idle: Sequence[str]) -> "Reached":
        """From a row for each net."""
        spans = {}
        rows = dict(zip(nets, summary.to_dict("records"), strict=True))
        for net, row in rows.items():
            for kind in ("LM", "GM"):
                known = float(row[f"{kind.lower()}_epoch"])
                after = max(float(row["epochs"]) - window + 1, 0.0)
                spans[net, kind] = (after, math.inf) if math.isnan(known) else (known, known)
        return cls(spans, {net: float(row["epochs"]) for net, row in rows.items()}, idle)

    def times(self, a: str, b: str, kind: str) -> tuple[float, float]:
        """Between which numbers the epochs of a, as a multiple of those of b, lie."""
        (least, most), (least_b, most_b) = self.spans[a, kind], self.spans[b, kind]
        return _ratio(least, most_b), _ratio(most, least_b)

    def words(self, kind: str) -> str:
        """When each net reached it."""
        words = [
            f"{net} at epoch {self.spans[net, kind][0]:.0f}"
            if math.isfinite(self.spans[net, kind][1])
            else f"{net} not in {epochs:.0f} epochs"
            for net, epochs in self.epochs.items()
        ]
        return ", ".join(words) + "".join(f"; {net} did not train" for net in self.idle)

    def between(self, pairs: Sequence[tuple[str, str]], kind: str, low: float, high: float) -> str:
        """Whether all multiples lie between two numbers."""
        if any(net in self.idle for both in pairs for net in both):
            return OPEN
        found = [self.times(a, b, kind) for a, b in pairs]
        if all(low <= least and most <= high for least, most in found):
            return HOLDS
        return FAILS if any(most < low or least > high for least, most in found) else OPEN


def judge_epochs(
    summaries: Sequence[pd.DataFrame], nets: Sequence[str], study: MinimumStudy, idle: Sequence[Sequence[str]]
) -> list[Statement]:
    """How many epochs each net takes to each kind of solution.

    summaries: of every seed a row for each net; idle: of every seed nets that did not train, whose losses stand still
    for that reason.
    """
    if not {DNN, CNN, RESNET} <= set(nets):
        return []
    reached = [Reached.of(own, nets, study.window, still) for own, still in zip(summaries, idle, strict=True)]

    def evidence(kind: str) -> str:
        words = [own.words(kind) for own in reached]
        return f"first {kind}: {words[0] if len(words) == 1 else _by_seed(study.seeds, words)}"

    both = [(DNN, CNN), (DNN, RESNET)]
    claims = [
        ("to reach LM the DNN needs about twice ResNet-50's epochs", both[1:], "LM", *TWICE),
        ("to reach LM the DNN trains longer than both others", both, "LM", MORE, math.inf),
        ("to reach GM the DNN needs about twice the epochs of both others", both, "GM", *TWICE),
        ("to reach LM ResNet-50 needs fewer epochs than the CNN", [(CNN, RESNET)], "LM", MORE, math.inf),
    ]
    return [
        Statement(SOURCE, claim, together([own.between(pairs, kind, low, high) for own in reached]), evidence(kind))
        for claim, pairs, kind, low, high in claims
    ]


def together(verdicts: Sequence[str]) -> str:
    """The verdict over seeds that each hold, fail or are open: open as long as the open ones may change it."""
    known = [verdict == HOLDS for verdict in verdicts if verdict != OPEN]
    return judged(known) if len(known) == len(verdicts) or len(set(known)) > 1 else OPEN


def _ratio(a: float, b: float) -> float:
    """a / b of numbers of epochs: 1 of two that are 0, or without bound."""
    if a == b:
        return 1.0
    return a / b if b else math.inf
