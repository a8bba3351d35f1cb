"""Every command of the program as a piece of work that a campaign disturbs, and the folders that it begins in."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import Processes

CONFIG = """\
name: {name}
dataset: {{name: digits, train_size: 120, test_size: 40}}
model: {{name: mlp, hidden: [8]{model}}}
optimizer: {{name: momentum, lr: 0.05}}
schedule: {{name: cosine}}
training: {{epochs: 3, batch_size: 32{training}}}
"""
FULL_BATCH = """\
name: {name}
dataset: {{name: digits, train_size: 120, test_size: 40}}
model: {{name: mlp, hidden: [2], activation: tanh}}
optimizer: {{name: {name}}}
training: {{epochs: {epochs}, ema: 0.5}}
"""
CONFIGS = {
    "a": CONFIG.format(name="a", model=", dropout: 0.2", training=", checkpoint_every_steps: 3"),
    "b": CONFIG.format(name="b", model=", dropout: 0.2", training="").replace("cosine", "constant") + "seed: 1\n",
    "norm": CONFIG.format(name="norm", model=", batch_norm: true", training=""),
    "ema": CONFIG.format(name="ema", model="", training=", ema: 0.9, early_stopping: {patience: 9}"),
    "micro": CONFIG.format(name="micro", model="", training=", micro_batch: 8, clip_norm: 1.0"),
    "own": CONFIG.format(name="own", model="", training="").replace(
        "name: mlp, hidden: [8]", "name: 'own.py:net', hidden: 6"
    ),
    "smooth": CONFIG.format(name="smooth", model=", activation: tanh", training="").replace("[8]", "[2]"),
    "newton": FULL_BATCH.format(name="newton", epochs=4),
    "scipy": FULL_BATCH.format(name="newton_cg", epochs=1),  # where it goes on it begins anew, to other numbers
    "two": CONFIG.format(name="two", model="", training=""),
    "toy": CONFIG.format(name="toy", model="", training="").replace(
        "digits, train_size: 120, test_size: 40", "two_moons, train: 120, test: 40"
    ),
    "tuned": CONFIG.format(name="tuned", model="", training=", frozen: [linear1]")
    + "init_from: {run: runs/a@2, layers: ['linear*']}\nteacher: {run: [runs/a, runs/b], temperature: 2.0}\n",
    "hinted": CONFIG.format(name="hinted", model="", training="")
    + "teacher: {run: runs/a, hint: {teacher_layer: activation1, student_layer: activation1}}\n",
}
OWN = """\
from torch import nn
def net(shape, classes, *, hidden: int):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, classes))
"""
ADOPTED = """\
name: adopted
dataset: {name: digits, train_size: 120, test_size: 40}
model: {name: mlp, hidden: [8], dropout: 0.2}
"""
INTERPOLATION = """\
study: interpolation
nets: {a: a.yaml}
seeds: [0]
starts: ["1"]
points: 5
scales: {tiny: {experiment: {training: {epochs: 2, checkpoint_every_steps: null}}}}
"""
MINIMUM = """\
study: minimum
nets: {a: b.yaml}
learning_rates: [0.05]
planes: 1
grid: 3
window: 1
scales: {tiny: {experiment: {training: {epochs: 2}}}}
"""
CURVATURE = """\
study: curvature
nets: {a: b.yaml}
seeds: [0]
learning_rates: [0.5]
experiment: {optimizer: {name: sgd, lr: 0.5}, model: {dropout: 0.0}}
scales: {tiny: {experiment: {training: {epochs: 2, batch_size: 120}}}}
"""
OPTIMIZERS = """\
study: optimizers
nets: {a: b.yaml, c: b.yaml}
compared: a
seeds: [0]
judged_seeds: [0]
until: [test_accuracy=0.1]
methods:
  sgd: {optimizer: {name: sgd}, learning_rates: [0.1]}
  lbfgs: {optimizer: {name: lbfgs}, training: {batch_size: all}}
experiment: {model: {dropout: 0.0}}
scales: {tiny: {experiment: {training: {epochs: 1}}}}
"""
INITIAL = """\
study: initial
nets: {a: b.yaml}
schemes: [constant=1, he]
activations: [tanh]
seeds: 1
samples: 40
epochs: 1
scales: {tiny: {}}
"""
DISTILL = """\
study: distill
nets: {large: b.yaml, small: b.yaml}
seeds: [0]
temperatures: [2.0]
experiments: {small: {model: {hidden: [4]}}}
scales: {tiny: {experiment: {training: {epochs: 1}}}}
"""
RACE = """\
study: race
nets: {a: toy.yaml}
seeds: [0]
methods: [{name: sgd, lr: 0.1}, {name: adam, lr: 0.01}]
steps: 20
surface_noise: [0.0]
noise: [0.0]
displacements: 1
experiment: {model: {hidden: [2], activation: tanh}}
scales: {tiny: {experiment: {training: {checkpoint_every: 0}}}}
"""
STUDIES = {
    "interpolation": INTERPOLATION, "minimum": MINIMUM, "curvature": CURVATURE, "optimizers": OPTIMIZERS,
    "initial": INITIAL, "distill": DISTILL, "race": RACE,
}  # fmt: skip
"""By name, each with a scale called tiny."""
SWEEP = """\
name: swept
base: b.yaml
set: {training: {epochs: 2}}
product: {optimizer.lr: [0.05, 0.1], seed: [0, 1]}
"""


@dataclass(frozen=True)
class Work:
    """A command."""

    words: str
    base: str = "trained"
    """The folder that it begins in: fresh, trained, or analysed."""
    ranks: int = 1
    """Processes that train together."""
    share: float = 1.0
    """Of the cases that fall to it, against 1 of the others: less of what takes long."""
    table: bool = False
    """Whether it tells how many points of one table it evaluates."""
    workers: bool = False

    @property
    def command(self) -> str:
        """The name of the command."""
        return self.words.split()[0]

    def in_words(self) -> list[str]:
        """The words of a command line."""
        return self.words.split()


WORKS = {
    "train": Work("train a.yaml", "fresh", share=2),
    "train ema": Work("train ema.yaml", "fresh", share=2),
    "train micro-batch": Work("train micro.yaml", "fresh"),
    "train batch norm": Work("train norm.yaml", "fresh"),
    "train newton": Work("train newton.yaml", "fresh", share=0.5),
    "train scipy": Work("train scipy.yaml", "fresh", share=0.5),
    "train own net": Work("train own.yaml", "fresh"),
    "train two processes": Work("train two.yaml", "fresh", ranks=2, share=0.5),
    "train more epochs": Work("train b.yaml --resume --set training.epochs=5"),
    "train anew": Work("train b.yaml --overwrite --set seed=2"),
    "train from others": Work("train tuned.yaml"),
    "train hint": Work("train hinted.yaml", share=0.5),
    "adopt": Work("adopt adopted.yaml outside/epoch-0000.pt outside/epoch-0002.pt --epochs 0,2"),
    "interpolate": Work("interpolate runs/a --points 40", table=True),
    "interpolate two runs": Work("interpolate runs/a runs/b --points 9 --dropout keep"),
    "interpolate samples": Work("interpolate runs/norm --points 9 --samples 30"),
    "landscape": Work("landscape runs/a --grid 6x5 --auto-range 3 --refine 9", table=True, share=2),
    "landscape line": Work("landscape runs/norm --dims 1 --grid 21 --split both", table=True),
    "landscape stacked": Work("landscape runs/a --grid 7 --plan stacked --targets soft", table=True),
    "landscape pca path": Work("landscape runs/a --grid 5 --directions pca --path"),
    "landscape through": Work("landscape runs/a --through runs/b runs/a@first --grid 4 --export vts,npz"),
    "landscape hessian": Work("landscape runs/norm --grid 3 --directions hessian-ends", share=0.25),
    "landscape anew": Work("landscape runs/a --grid 3 --overwrite", "analysed"),
    "landscape workers": Work("landscape runs/a --grid 5 --workers 2", workers=True, share=0.25),
    "film": Work("film runs/b --grid 3", share=0.5),
    "minimum": Work("minimum runs/a --grid 3"),
    "pair": Work("pair runs/a --grid 3 --repeats 2"),
    "solutions": Work("solutions runs/a"),
    "solutions of runs": Work("solutions runs/a runs/b"),
    "compare": Work("compare runs/a runs/b --until test_accuracy=0.1"),
    "curvature": Work("curvature runs/a --largest 2 --smallest 1 --vectors 1 --steps 4 --trace-vectors 6"),
    "curvature of all": Work(
        "curvature runs/b --all --largest 1 --smallest 0 --vectors 0 --trace-vectors 6", share=0.5
    ),
    "saddles": Work("saddles runs/smooth --displacements 1 --sizes 0.5 --newton-steps 5", share=0.5),
    "saddles kept": Work("saddles runs/smooth --displacements 1 --sizes 0.5 --newton-steps 40 --keep", share=0.25),
    "race": Work("race himmelblau --starts 2 --methods sgd,adam --steps 200 --frames 2", "fresh", share=0.5),
    "race in a plane": Work("race runs/a --grid 3 --samples 30 --methods sgd --steps 5 --frames 2", share=0.5),
    "sharpness": Work("sharpness runs/a --seeds 2 --ascent-steps 3 --pairs 2 --rho 0.1 --adaptive-rho 1", share=0.5),
    "convexity": Work("convexity runs/a --grid 4x3 --samples 40", share=0.5),
    "gradients": Work("gradients runs/a --all", share=0.5),
    "initial values": Work(
        "initial-values b.yaml --schemes constant=1,he --seeds 2 --epochs 1 --samples 40", "fresh", share=0.5
    ),
    "fit": Work("fit runs/toy --grid 5 --frames 3 --format gif", share=0.5),
    "gradcheck": Work("gradcheck runs/a --samples 4 --directions 1 --coordinates 1 --output slopes.csv", share=0.25),
    "report": Work("report runs/a", "analysed", share=0.5),
    "report of runs": Work("report runs/a runs/b", "analysed", share=0.5),
    **{f"study {name}": Work(f"study {name}.yaml --scale tiny", "fresh", share=0.12) for name in STUDIES},
    "sweep": Work("sweep swept.yaml", "fresh"),
    "sweep workers": Work("sweep swept.yaml --workers 2", "fresh", workers=True, share=0.25),
    "runs": Work("runs", share=0.25),
    "verify": Work("verify runs/a", share=0.25),
    "doctor": Work("doctor", share=0.25),
    "new": Work("new made.yaml", "fresh", share=0.25),
    "schema": Work("schema", "fresh", share=0.25),
}
ANALYSED = (
    "landscape", "interpolate", "film", "minimum", "pair", "solutions", "compare", "curvature", "sharpness",
    "convexity", "gradients", "fit",
)  # fmt: skip
"""What a page is then made of; of each command the first work."""


def commands() -> dict[str, Any]:
    """The commands that the program has, by name: the functions that typer makes them of."""
    from lossscape.cli.app import app

    return {str(each.name): each.callback for each in app.registered_commands}


def missed() -> set[str]:
    """Commands of the program that no work of the table calls."""
    return commands().keys() - {work.command for work in WORKS.values()}


def prepare(folder: Path, processes: Processes) -> dict[str, Path]:
    """Make the folders that works begin in; returns them by name."""
    fresh, trained, analysed = (folder / name for name in ("fresh", "trained", "analysed"))
    fresh.mkdir(parents=True)
    texts: dict[str, Any] = {f"{name}.yaml": text for name, text in CONFIGS.items()}
    texts |= {"own.py": OWN, "adopted.yaml": ADOPTED}
    texts |= {f"{name}.yaml": text for name, text in STUDIES.items()} | {"swept.yaml": SWEEP}
    for name, text in texts.items():
        (fresh / name).write_text(text)
    shutil.copytree(fresh, trained)
    for name in ("a", "b", "norm", "smooth", "toy"):
        must(processes, "train", f"{name}.yaml", "--quiet", cwd=trained)
    (trained / "outside").mkdir()
    for file in (trained / "runs" / "b" / "checkpoints").glob("epoch-*.pt"):
        shutil.copy(file, trained / "outside")
    shutil.copytree(trained, analysed)
    must(processes, "landscape", "runs/a", "--grid", "3", "--quiet", cwd=analysed)
    for name in ANALYSED:
        must(processes, *WORKS[name].in_words(), "--quiet", cwd=analysed)
    return {"fresh": fresh, "trained": trained, "analysed": analysed}


def must(processes: Processes, *words: str, cwd: Path) -> None:
    """Run a command that has to succeed."""
    ended = processes.run(*words, cwd=cwd)
    if ended.code:
        raise RuntimeError(f"lossscape {' '.join(words)} ended with exit code {ended.code}: {ended.err}")
