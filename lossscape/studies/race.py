"""The study of saddles and methods: whether momentum and the adaptive methods leave a saddle where plain descent stays.

A well-known animation of a course shows so. Here on x² − y² from beside its ridge, and from saddles of nets.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lossscape.analyses import ANALYSES
from lossscape.analyses.race.result import LEFT, Race
from lossscape.runs import Run
from lossscape.studies.config import Opened, RaceStudy
from lossscape.studies.statements import OPEN, Say, Statement, judged
from lossscape.studies.training import trained
from lossscape.text import counted

SOURCE = "a course's animation"
SURFACE, BESIDE = "saddle", (-1.0, 1e-3)
"""The function, and a start beside the ridge of its saddle."""


def run_race(
    opened: Opened, study: RaceStudy, home: Path, device: str, say: Say, quiet: bool
) -> tuple[list[Statement], list[dict[str, Any]]]:
    """Train what is missing, find saddles, race from them; returns the statements, judged, and a row for each."""
    rows = []
    for noise in study.surface_noise:
        say(f"{SURFACE}, noise {noise:g}: {counted(len(study.seeds), 'seed')}")
        for seed in study.seeds if noise else study.seeds[:1]:
            folder = ANALYSES["race"].run(
                surface=SURFACE, start=(BESIDE,), noise=noise, seed=seed, steps=study.steps, runs=str(home),
                methods=tuple({"name": name} for name in study.names), quiet=quiet,
            )  # fmt: skip
            rows += rows_of(ANALYSES["race"].read(folder), seed, "", study.curvature)
    for net in study.nets:
        wanted = [opened.begun(net, {"name": f"{net}_{seed}", "seed": seed}, home, device) for seed in study.seeds]
        runs = trained(opened, wanted, home, quiet)
        for count, (seed, run) in enumerate(zip(study.seeds, runs, strict=True), 1):
            say(f"saddles of {run.name}, {count} of {len(runs)}")
            rows += _from_saddles(study, run, seed, device, quiet)
    asked = dict.fromkeys((row["where"], row["noise"]) for row in rows)
    return [leaves(rows, where, noise) for where, noise in asked], rows


def _from_saddles(study: RaceStudy, run: Run, seed: int, device: str, quiet: bool) -> list[dict[str, Any]]:
    point = str(run.path)
    found = ANALYSES["saddles"].run(
        points=(point,), displacements=study.displacements, weight_decay=study.weight_decay, keep=True, device=device,
        quiet=quiet,
    )  # fmt: skip
    kept = [row for row, _ in ANALYSES["saddles"].read(found).files() if row["negative"] > 0]
    rows = []
    for noise in study.noise if kept else []:
        folder = ANALYSES["race"].run(
            surface=point, saddles=str(found), methods=tuple(study.methods), steps=study.steps, noise=noise,
            displace=study.displace, device=device, quiet=quiet,
        )  # fmt: skip
        rows += rows_of(ANALYSES["race"].read(folder), seed, run.name, study.curvature)
    return rows


def rows_of(race: Race, seed: int, run: str, curvature: float) -> list[dict[str, Any]]:
    """A row for each method: of how many saddles that count it left how many, and after how many steps in the median.

    curvature: of a net's saddles those count whose most negative eigenvalue is at most −curvature.
    """
    saddles, starts = race.settings.get("saddles"), race.settings["starts"]
    counts = [saddles is None or saddles[start[0]]["smallest"] <= -curvature for start in starts]
    rows = []
    for method in race.methods:
        own = race.outcomes[(race.outcomes["method"] == method) & pd.Series(counts)[race.outcomes["start"]].to_numpy()]
        left = own[own["outcome"] == LEFT]
        where = race.title if saddles is None else "saddles of nets"
        rows.append(
            {
                "where": where, "run": run, "seed": seed, "noise": float(race.settings["noise"]), "method": method,
                "saddles": len(own), "left": len(left), "steps": float(left["steps"].median()),
            }
        )  # fmt: skip
    return rows


def leaves(rows: Sequence[dict[str, Any]], where: str, noise: float) -> Statement:
    """Whether, seed by seed, every other method left all saddles that count, and the first one, plain descent, none."""
    own = pd.DataFrame([row for row in rows if (row["where"], row["noise"]) == (where, noise) and row["saddles"]])
    with_noise = f"with gradient noise {noise:g}" if noise else "without gradient noise"
    claim = f"momentum and the adaptive methods leave a saddle where plain descent stays ({where}, {with_noise})"
    if own.empty:
        return Statement(SOURCE, claim, OPEN, "no saddle counts")
    plain = own["method"].iloc[0]
    outcomes, others = [], own[own["method"] != plain]
    for _, seed in own.groupby("seed"):
        slow = seed["method"] == plain
        outcomes.append(not seed.loc[slow, "left"].any() and (seed["left"] == seed["saddles"])[~slow].all())
    words = []
    for method, of in [(plain, own[own["method"] == plain]), *others.groupby("method", sort=False)]:
        steps = f", median {of['steps'].median():,.0f} steps" if of["left"].any() else ""
        words.append(f"{method} left {of['left'].sum():,} of {of['saddles'].sum():,}{steps}")
    return Statement(SOURCE, claim, judged(outcomes), f"{'; '.join(words)}; {counted(len(outcomes), 'seed')}")
