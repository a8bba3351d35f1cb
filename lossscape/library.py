"""The library: the landscape of a module in memory, its curvature, sharpness, or the line to another, in one call.

A call makes what a command makes, with the same options, defaults and certificate, in a temporary folder.
"""

import copy
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lossscape.analyses import ANALYSES
from lossscape.analyses.convexity.result import Convexity
from lossscape.analyses.curvature.result import Curvature
from lossscape.analyses.fit.result import Fit
from lossscape.analyses.race.result import Race
from lossscape.analyses.saddles.result import Saddles
from lossscape.analyses.sharpness.result import Sharpness
from lossscape.batches import called, changed
from lossscape.certificate.summary import summary
from lossscape.data.prepare import fingerprint
from lossscape.data.split import Data, Split
from lossscape.errors import BadInput, one_of
from lossscape.files import read_json, save_tensors
from lossscape.losses import LOSSES, OF_CLASSES, Loss, plain
from lossscape.modules import check_module, copied, unwrapped
from lossscape.options import fields_of, made_of
from lossscape.outputs import logits_of
from lossscape.reading import samples_of
from lossscape.results import Curve, Surface
from lossscape.results.folder import CERTIFICATE
from lossscape.runs import Checkpoint, Point, Run, check_state
from lossscape.text import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

State = Mapping[str, Tensor]
Net = nn.Module | State
"""A module, or a state_dict of the first one's kind."""
POINTS = ("towards", "directions_of", "teacher")
"""Options that name a point, which may be nets here."""


class Home:
    """A temporary folder that goes with it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lossscape-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class LiveRun(Run):
    """A net and its data in memory, in the place of a run directory: only checkpoints and results are files."""

    output: str | None = None
    metrics = None

    def __init__(self, model: nn.Module, loss: str | Loss, train: Split, test: Split | None) -> None:
        """Named after the model's class, in a temporary folder that goes with it."""
        self._home = Home()
        super().__init__(self._home.path / type(unwrapped(model)).__name__)
        check_module(unwrapped(model))
        self._model, self._loss = copied(unwrapped(model)).cpu(), loss
        if _dtype_of(self._model).itemsize < torch.float32.itemsize:
            self._model.float()  # so that directions are not rounded to what the weights are stored in
        self._splits = train, test or train
        self._states: list[Checkpoint] = []

    def point(self, net: Net, label: str, epoch: int | None = None) -> Point:
        """A point of this run: the values of a net. Raises BadInput where it is of another kind."""
        state = dict(unwrapped(net).state_dict() if isinstance(net, nn.Module) else net)
        check_state(self._model, state, label)
        path = self.path / "checkpoints" / f"{label}.pt"
        save_tensors(path, {name: value.detach().cpu().clone() for name, value in state.items()})
        self._states.append(Checkpoint(path, epoch=epoch))
        return Point(self, self._states[-1])

    def metric_code(self) -> list[tuple[str, Path | None]]:
        """Metrics are named by options alone."""
        return []

    def checkpoints(self) -> list[Checkpoint]:
        """Those that were given."""
        return self._states

    def sections(self) -> dict[str, Any]:
        """What can be told of data, net and loss."""
        loss = self._loss if isinstance(self._loss, str) else getattr(self._loss, "__name__", "loss")
        return {
            "dataset": {"name": "given"},
            "model": {"name": type(self._model).__name__, "layers": str(self._model)},
            "loss": {"name": loss},
        }

    @property
    def loss(self) -> Loss:
        """As it was given."""
        return LOSSES[self._loss] if isinstance(self._loss, str) else self._loss

    def dataset(self, device: torch.device | str = "cpu") -> Data:
        """The tensors that were given."""
        train, test = (Split(split.inputs.to(device), split.targets.to(device)) for split in self._splits)
        classes = 0
        if not train.targets.is_floating_point() or plain(self.loss) in OF_CLASSES:
            with torch.no_grad():
                given = called(self._model.eval(), changed(self._splits[0].inputs[:1].cpu(), self._taken))
            classes = logits_of(given, 1, self.output).shape[-1]
        facts = {"sha256": self._sha256, "note": None}
        return Data(train, test, [str(number) for number in range(classes)], facts)

    def _taken(self, value: Tensor) -> Tensor:
        """An input as the module takes it, which may write over it."""
        return value.to(_dtype_of(self._model), copy=True) if value.is_floating_point() else value.clone()

    @cached_property
    def _sha256(self) -> str:
        return fingerprint(*(Split(s.inputs.cpu(), s.targets.cpu()) for s in self._splits))

    def model(self, checkpoint: str | Checkpoint = "last") -> nn.Module:
        """A module on the CPU, in eval mode, with a checkpoint's values."""
        assert isinstance(checkpoint, Checkpoint)
        model = copy.deepcopy(self._model)
        model.load_state_dict(checkpoint.state())
        return model.eval()


@dataclass(frozen=True)
class Kept:
    """A result that a call gave, in the folder of its run."""

    result: Any
    analysis: str
    _run: "LiveRun | Home"
    """Whose folder holds the files."""

    @property
    def table(self) -> "pd.DataFrame":
        """A row a point: coordinates, then losses and metrics by split."""
        table: pd.DataFrame = self.result.table
        return table

    @property
    def settings(self) -> dict[str, Any]:
        """What was computed."""
        return dict(self.result.settings)

    @property
    def certificate(self) -> dict[str, Any]:
        """What was checked: `passed`, and `checks` with what each value is held against; empty of curvature."""
        return read_json(self.result.folder / CERTIFICATE)

    def save(self, folder: str | Path, **drawing: Any) -> Path:
        """Copy the result with its figures, settings and certificate into a folder; returns it.

        drawing: the command's options of drawing, as style="paper", format=("svg", "pdf"), vmax=2.0. Raises BadInput
        for one that it does not have.
        """
        analysis = ANALYSES[self.analysis]
        allowed = [each.key for each in fields_of(analysis.requests.Drawing)]
        for name in drawing:
            if name not in allowed:
                raise BadInput(one_of(f"drawing option of {self.analysis}", name, allowed))
        analysis.draw(self.result, made_of(analysis.requests.Drawing, drawing), quiet=True)
        shutil.copytree(self.result.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lock"))
        return Path(folder)

    def _repr_png_(self) -> bytes:
        import io

        from matplotlib.backends.backend_agg import FigureCanvasAgg

        buffer = io.BytesIO()
        FigureCanvasAgg(self.plot().get_figure(root=True)).print_png(buffer)
        return buffer.getvalue()

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the result into axes, by default new ones; returns the axes."""
        raise NotImplementedError


class Spectra(Kept):
    """Curvature: `table` has the eigenvalues."""

    result: Curvature

    @property
    def trace(self) -> "pd.DataFrame":
        """A row for each checkpoint and block: loss, gradient norm, trace, Frobenius norm, index, kind of point."""
        return self.result.traces

    @property
    def density(self) -> "pd.DataFrame":
        """Nodes and weights of the spectral density."""
        return self.result.densities

    def plot(self, ax: "Axes | None" = None, *, block: str | None = None) -> "Axes":
        """Draw the spectral density of a block, by default the whole; returns the axes. Raises BadInput without one."""
        if self.density.empty:
            raise BadInput("plot: no density was computed; leave vectors=0 out")
        from lossscape.analyses.curvature.figure import density_axes

        return density_axes(self.result, ax, block=block)

    def __repr__(self) -> str:
        return "\n".join(self.result.lines())


class ConvexityMap(Kept):
    """Convexity over a plane: `table` has the eigenvalues at each point."""

    result: Convexity

    def plot(self, ax: "Axes | None" = None, *, what: str = "ratio", log: bool = False) -> "Axes":
        """Draw |λmin|/λmax (ratio), λmax (largest) or λmin (smallest) under lines of the loss; returns the axes."""
        from lossscape.analyses.convexity.figure import convexity_axes

        return convexity_axes(self.result, ax, what=what, log=log)

    def __repr__(self) -> str:
        return "\n".join([*self.result.lines(), summary(self.result.folder)])


class CriticalPoints(Kept):
    """Critical points: `table` has a row for each start."""

    result: Saddles

    @property
    def distinct(self) -> "pd.DataFrame":
        """The first row of each critical point."""
        return self.result.distinct

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw index fraction against loss; returns the axes."""
        from lossscape.analyses.saddles.figure import saddles_axes

        return saddles_axes(self.result, ax)

    def __repr__(self) -> str:
        return "\n".join(self.result.lines())


class Sharp(Kept):
    """Sharpness: `table` has a row for each measure, radius and seed."""

    result: Sharpness

    @property
    def summary(self) -> "pd.DataFrame":
        """A row for each checkpoint, measure and radius: mean with confidence interval, quartiles, largest."""
        return self.result.summary

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the rises of the last checkpoint against ρ; returns the axes. Raises BadInput of widths alone."""
        from lossscape.analyses.sharpness.figure import rise_axes

        return rise_axes(self.result, ax)

    def __repr__(self) -> str:
        return "\n".join([*self.result.lines(), summary(self.result.folder)])


class Fitted(Kept):
    """What a net makes of inputs in one or two dimensions: `table` has its outputs by checkpoint and input."""

    result: Fit

    def plot(self, ax: "Axes | None" = None, *, frame: int = -1) -> "Axes":
        """Draw the fit, or decision surface, of a checkpoint by its number, the last by default; returns the axes."""
        from lossscape.analyses.fit.figure import fit_axes

        return fit_axes(self.result, frame, ax)

    def __repr__(self) -> str:
        return "\n".join([*self.result.lines(), summary(self.result.folder)])


class Raced(Kept):
    """Methods side by side: `table` has the paths, a row for each step."""

    result: Race

    @property
    def outcomes(self) -> "pd.DataFrame":
        """A row for each method and start: what became of it, after how many steps, and what these have cost."""
        return self.result.outcomes

    def plot(self, ax: "Axes | None" = None, *, what: str = "paths") -> "Axes":
        """Draw the paths over contours, or losses by step (losses), into axes, by default new ones; returns them."""
        from lossscape.analyses.race.figure import losses_axes, paths_axes

        if what not in ("paths", "losses"):
            raise BadInput(one_of("plot: what", what, ("paths", "losses")))
        return (losses_axes if what == "losses" else paths_axes)(self.result, ax)

    def __repr__(self) -> str:
        return "\n".join(self.result.lines())


class Shown(Kept):
    """What a call gave: values, whether they can be trusted, and pictures."""

    result: Surface | Curve

    def plot(self, ax: "Axes | None" = None, *, split: str | None = None, log: bool = False) -> "Axes":
        """Draw contours, or the curve of a line, into axes, by default new ones; returns the axes."""
        if isinstance(self.result, Curve):
            from lossscape.figures.curves import curve_axes

            return curve_axes([self.result], ax, log=log)
        from lossscape.figures.contours import contour_axes

        return contour_axes(self.result, ax, split=split, log=log)

    def plot_3d(self, ax: Any = None, *, split: str | None = None, log: bool = False) -> Any:
        """Draw the surface in three dimensions. Raises BadInput for a line."""
        if isinstance(self.result, Curve):
            raise BadInput("plot_3d: a line has no surface; use plot")
        from lossscape.figures.contours import solid_axes

        return solid_axes(self.result, ax, split=split, log=log)

    def __repr__(self) -> str:
        folder = self.result.folder
        return f"{self.analysis} {folder.name}, {counted(len(self.table), 'point')}\n{summary(folder)}"


def landscape(
    model: nn.Module,
    loss: str | Loss,
    inputs: Any,
    targets: Any = None,
    *,
    test: tuple[Any, Any] | None = None,
    checkpoints: Sequence[Net] = (),
    output: str | None = None,
    **options: Any,
) -> Shown:
    """The loss over a plane, or along a line, around a trained module.

    model: left as it is
    loss: a name of lossscape.losses.LOSSES, or a function (outputs, targets) -> [N] losses
    inputs, targets: the training data, as for `Objective`: tensors, a mapping of tensors, a Dataset or a DataLoader
    test: (inputs, targets) for split="test" or "both"
    output: which of the model's outputs are the logits, where that is not plain
    checkpoints: nets from the first to the last of a training, for directions="pca" and path=True
    options: those of `lossscape landscape`, with underscores: grid=25, range=(-1, 1), normalize="layer", seed=1,
        tolerance=0.01, …; nets where the command names points: towards=other, through=(b, c); relabel="hard" or
        "soft" for --targets

    Raises BadInput for what does not fit, RunFailed where the certificate fails.
    """
    run = _run(model, loss, (inputs, targets), test, output)
    return Shown(_around(run, [*checkpoints, model], "landscape", test, options), "landscape", run)


def convexity(
    model: nn.Module,
    loss: str | Loss,
    inputs: Any,
    targets: Any = None,
    *,
    test: tuple[Any, Any] | None = None,
    checkpoints: Sequence[Net] = (),
    output: str | None = None,
    **options: Any,
) -> ConvexityMap:
    """The Hessian's smallest and largest eigenvalue at every point of a plane around a trained module.

    Arguments as for `landscape`; options: those of `lossscape convexity`, as grid=9, samples=200, tolerance=1e-3.
    """
    run = _run(model, loss, (inputs, targets), test, output)
    return ConvexityMap(_around(run, [*checkpoints, model], "convexity", test, options), "convexity", run)


def interpolate(
    model_a: nn.Module,
    model_b: Net,
    loss: str | Loss,
    inputs: Any,
    targets: Any = None,
    *,
    test: tuple[Any, Any] | None = None,
    output: str | None = None,
    **options: Any,
) -> Shown:
    """The loss along the line from one trained module (α = 0) to another (α = 1).

    Arguments as for `landscape`; options: those of `lossscape interpolate`, as points=201, tolerance=0.01. Without
    test data the split is train.
    """
    run = _run(model_a, loss, (inputs, targets), test, output)
    if options.get("teacher") is not None:
        options["teacher"] = run.point(options["teacher"], "teacher")
    ends = {"start": run.point(model_a, "A"), "end": run.point(model_b, "B")}
    found = _result("interpolate", test, ends | {"split": "both" if test else "train"} | options)
    return Shown(found, "interpolate", run)


def curvature(
    model: nn.Module,
    loss: str | Loss,
    inputs: Any,
    targets: Any = None,
    *,
    test: tuple[Any, Any] | None = None,
    checkpoints: Sequence[Net] = (),
    output: str | None = None,
    **options: Any,
) -> Spectra:
    """Eigenvalues, trace, spectral density and kind of point of a module: of the Hessian of its mean loss.

    Arguments as for `landscape`; checkpoints: nets at which it is computed as well, in front of the model; options:
    those of `lossscape curvature`, as largest=20, blocks=("whole", "layer"), matrix="ggn". There is no optimizer, so
    weight_decay="include" is refused.
    """
    run = _run(model, loss, (inputs, targets), test, output)
    return Spectra(_at(run, [*checkpoints, model], "curvature", test, options), "curvature", run)


def sharpness(
    model: nn.Module,
    loss: str | Loss,
    inputs: Any,
    targets: Any = None,
    *,
    test: tuple[Any, Any] | None = None,
    checkpoints: Sequence[Net] = (),
    output: str | None = None,
    **options: Any,
) -> Sharp:
    """How far the mean loss of a module rises near it, at worst and in the mean, plain and adaptive; and widths.

    Arguments as for `curvature`; options: those of `lossscape sharpness`, as rho=(0.05, 0.1), seeds=10,
    measures=("worst",). Raises BadInput for what does not fit, RunFailed where the certificate fails.
    """
    run = _run(model, loss, (inputs, targets), test, output)
    return Sharp(_at(run, [*checkpoints, model], "sharpness", test, options), "sharpness", run)


def saddles(
    model: nn.Module,
    loss: str | Loss,
    inputs: Any,
    targets: Any = None,
    *,
    test: tuple[Any, Any] | None = None,
    checkpoints: Sequence[Net] = (),
    output: str | None = None,
    **options: Any,
) -> CriticalPoints:
    """Critical points near a small module with smooth activations, and near random displacements of it.

    Arguments as for `curvature`; options: those of `lossscape saddles`, as displacements=20, sizes=(0.1, 1.0). There is
    no optimizer, so weight_decay="include" is refused.
    """
    run = _run(model, loss, (inputs, targets), test, output)
    return CriticalPoints(_at(run, [*checkpoints, model], "saddles", test, options), "saddles", run)


def fit(
    model: nn.Module,
    loss: str | Loss,
    inputs: Any,
    targets: Any = None,
    *,
    checkpoints: Sequence[Net] = (),
    output: str | None = None,
    **options: Any,
) -> Fitted:
    """What a module makes of inputs [N, 1] or [N, 2] and all around them: its fit, or its decision surface.

    Arguments as for `curvature`; options: those of `lossscape fit`, as grid=101, margin=1.0.
    """
    run = _run(model, loss, (inputs, targets), None, output)
    return Fitted(_at(run, [*checkpoints, model], "fit", None, options), "fit", run)


def race(
    surface: str | nn.Module,
    loss: str | Loss | None = None,
    inputs: Any = None,
    targets: Any = None,
    *,
    test: tuple[Any, Any] | None = None,
    checkpoints: Sequence[Net] = (),
    output: str | None = None,
    **options: Any,
) -> Raced:
    """Descent methods side by side, on a surface by its name or in a plane of the loss around a module.

    Arguments behind a module as for `landscape`; options: those of `lossscape race`, as methods="sgd:lr=0.1,adam",
    start=(0.5, 0.0), noise=0.01. Raises BadInput for what does not fit.
    """
    if isinstance(surface, str):
        home = Home()
        return Raced(_result("race", None, {"surface": surface, "runs": str(home.path)} | options), "race", home)
    if loss is None or inputs is None:
        raise BadInput("race: give loss and inputs behind a module, or the name of a surface")
    run = _run(surface, loss, (inputs, targets), test, output)
    return Raced(_around(run, [*checkpoints, surface], "race", test, options, "surface"), "race", run)


def _around(
    run: LiveRun, nets: Sequence[Net], name: str, test: Any, options: dict[str, Any], centre: str = "centre"
) -> Any:
    """The result of an analysis around a model, which comes behind the nets of its training."""
    *before, model = nets
    for number, net in enumerate(before):
        run.point(net, f"epoch-{number:04d}", epoch=number)
    options |= {name: run.point(options[name], name) for name in POINTS if options.get(name) is not None}
    if through := options.get("through"):
        options["through"] = tuple(run.point(net, f"through-{number}") for number, net in enumerate(through, 1))
    return _result(name, test, {centre: run.point(model, "model")} | options)


def _at(run: LiveRun, nets: Sequence[Net], name: str, test: Any, options: dict[str, Any]) -> Any:
    """The result of an analysis of checkpoints: at nets of a training, the model last."""
    *before, model = nets
    points = [run.point(net, f"epoch-{number:04d}", epoch=number) for number, net in enumerate(before)]
    if options.get("teacher") is not None:
        options["teacher"] = run.point(options["teacher"], "teacher")
    return _result(name, test, {"points": (*points, run.point(model, "model"))} | options)


def _dtype_of(model: nn.Module) -> torch.dtype:
    return next((each.dtype for each in model.parameters() if each.is_floating_point()), torch.float32)


def _run(model: nn.Module, loss: str | Loss, train: tuple[Any, Any], test: Any, output: str | None) -> LiveRun:
    if isinstance(loss, str) and loss not in LOSSES:
        raise BadInput(one_of("loss", loss, LOSSES))
    run = LiveRun(model, loss, Split(*samples_of(*train)), Split(*samples_of(*test)) if test else None)
    run.output = output
    return run


def _result(name: str, test: Any, options: dict[str, Any]) -> Any:
    """What an analysis gives with these options."""
    _check_split(test, options)
    analysis = ANALYSES[name]
    return analysis.read(analysis.run(**options))


def _check_split(test: Any, options: dict[str, Any]) -> None:
    """Refuse test inputs that there are none of, and take `relabel` for --targets."""
    if test is None and options.get("split", "train") != "train":
        raise BadInput(f"split={options['split']!r}: give test=(inputs, targets) too")
    if relabel := options.pop("relabel", None):
        options["targets"] = relabel
