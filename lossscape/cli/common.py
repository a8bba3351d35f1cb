"""What commands share: options, their parsing, and how results are told."""

import re
from pathlib import Path
from typing import Literal

import typer

from lossscape.errors import BadInput

Precision = Literal["fp64", "fp32", "tf32", "bf16"]
PlanName = Literal["dense", "folded", "factored", "stacked"]
Targets = Literal["labels", "hard", "soft"]
Split = Literal["train", "test", "both"]
MAX_POINTS = 10_000_000
POINT_HELP = "RUN[@CHECKPOINT]: runs/a, runs/a@first, @last, @best, @ema, @12 (epoch), @step-1200"
QUIET = typer.Option(False, "--quiet", "-q", help="No progress; only where the results lie.")
OVERWRITE = typer.Option(False, "--overwrite", help="Delete what is there and begin anew.")
DEVICE = typer.Option("auto", "--device", help="auto, cpu, cuda or cuda:N.")
PRECISION = typer.Option(
    "fp32",
    "--precision",
    help="Of the arithmetic (tf32: CUDA only); sums are fp64. Below fp32 some points are computed in fp32 again.",
)
TARGETS = typer.Option(
    "labels",
    "--targets",
    help="What training inputs are held against: the data's labels, or A's outputs: hard classes, soft distributions.",
)
TEACHER = typer.Option(
    None, "--teacher", metavar="RUN[@CHECKPOINT]", help="Whose outputs they are, in place of A's."
)
SAMPLES = typer.Option(
    None, "--samples", metavar="N", min=2, help="Of each split, one stratified subset; adds standard errors."
)
PLAN = typer.Option(None, "--plan", help="Force a way to evaluate; by default the fastest is chosen.")
WORKERS = typer.Option(
    None,
    "--workers",
    metavar="N",
    min=1,
    help="Evaluate in N processes of this machine (pip install lossscape[cluster]).",
)
SCHEDULER = typer.Option(
    None,
    "--scheduler",
    metavar="FILE|ADDRESS",
    help="Evaluate on the workers of a Dask cluster (pip install lossscape[cluster]).",
)
SPLIT_HELP = "Which inputs."
LOG = typer.Option(False, "--log", help="Draw losses on a logarithmic scale.")
NORMALIZE = typer.Option(
    None, "--normalize", help="Of random directions: filter (default), layer, global, unit or none."
)
IGNORE = typer.Option(
    None,
    "--ignore",
    help="Parameters that random directions leave: bias,norm (default), either of them, or none.",
)
SEED = typer.Option(0, "--seed", min=0, help="Of random directions.")
BATCH_NORM = typer.Option(
    None,
    "--batch-norm",
    help="frozen (default: the centre's) or recompute, where the net has statistics.",
)
EXPORT = typer.Option(
    None, "--export", metavar="vts,npz", help="Surfaces for ParaView (vts) and NumPy (npz)."
)


def grid_of(text: str, dims: int) -> tuple[int, int]:
    """The points of `--grid N` or `NxM`. Raises BadInput."""
    match = re.fullmatch(r"([0-9]+)(?:x([0-9]+))?", text)
    if match is None or (dims == 1 and match[2]):
        form = "N or NxM, as in --grid 51 or --grid 101x51" if dims == 2 else "N for a line, as in --grid 201"
        raise BadInput(f"--grid {text}: write {form}")
    grid = int(match[1]), int(match[2] or match[1])
    total = grid[0] * (grid[1] if dims == 2 else 1)
    if min(grid) < 2 or total > MAX_POINTS:
        raise BadInput(f"--grid {text}: needs at least 2 points an axis and at most 10 million in all")
    return grid


def ignored(text: str) -> list[str]:
    """The kinds of parameters that `--ignore bias,norm` names; no kind for `none`."""
    return [] if text == "none" else text.split(",")


def tell(**places: Path | str) -> None:
    """Print where results lie, one a line."""
    width = max(len(name) for name in places)
    for name, place in places.items():
        text = str(place).replace("\n", "\n" + " " * (width + 2))
        typer.echo(f"{name.replace('_', ' '):<{width}}  {text}")
