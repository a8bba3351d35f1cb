"""An experiment: the pydantic models of a config file, and reading one with every error at once.

`read_experiment` turns a YAML file and `--set key=value` texts into an Experiment; a refusal lists all that is
wrong, each line as `file:line:column: key: what is wrong, allowed values`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from lossscape import data, losses, models, optimizers, schedules, trust, usercode, yamlfile
from lossscape import metrics as measures
from lossscape.errors import BadInput
from lossscape.families import Component, Count, Fraction, Rate, Section, code_of, is_custom, plain
from lossscape.files import way_to
from lossscape.refusals import refusal_of
from lossscape.runfiles import RunFiles
from lossscape.yamlfile import Location

if TYPE_CHECKING:
    from lossscape.data import DataOptions as Dataset
    from lossscape.losses import LossOptions as LossSpec
    from lossscape.models import ModelOptions as Model
    from lossscape.optimizers import OptimizerOptions as Optimizer
    from lossscape.schedules import ScheduleOptions as Schedule
else:  # at run time: any member of the family, with its own options
    Dataset, LossSpec, Model = data.FAMILY.type, losses.FAMILY.type, models.FAMILY.type
    Optimizer, Schedule = optimizers.FAMILY.type, schedules.FAMILY.type


class EarlyStopping(Section):
    """Stop when a metric of the test split has not improved for some epochs."""

    patience: Count
    metric: Literal["test_loss", "test_accuracy"] = "test_loss"


class Training(Section):
    """How long, in what batches, and what is kept."""

    epochs: Annotated[int, Field(ge=0, le=1_000_000)]
    batch_size: Count = 100
    """Samples a step; under torchrun the sum over all processes."""
    accumulate: Count = 1
    """Batches whose gradients are averaged into one step."""
    micro_batch: Count | None = None
    """Samples that pass through the net at once; null: chosen so that activations stay in cache (same gradient)."""
    checkpoint_every: Annotated[int, Field(ge=0)] = 1
    """Epochs between checkpoints; 0: only the initial and the last values."""
    checkpoint_every_steps: Count | None = None
    clip_norm: Rate | None = None
    """g ← g·v/‖g‖ where ‖g‖ > v."""
    clip_value: Rate | None = None
    """Each element of the gradient into [−v, v]."""
    early_stopping: EarlyStopping | None = None
    ema: Fraction | Literal["polyak"] | None = None
    """Decay of an exponential moving average of the weights, or polyak for their plain mean: the point @ema."""


class Teacher(Section):
    """A trained net whose outputs on the training inputs are the targets."""

    run: Annotated[str, Field(min_length=1)]
    """RUN or RUN@CHECKPOINT, as on the command line."""
    targets: Literal["hard", "soft"] = "soft"
    temperature: Rate = 1.0
    """T of soft targets in training steps: both sides' outputs are divided by it, the loss is multiplied by T²."""
    weight: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """w in training steps: w · loss against the teacher + (1 − w) · loss against the data's labels."""


class RunConfig(Section):
    """What every run says of itself; how its weights were trained may be unknown, where they came from elsewhere."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    dataset: Dataset
    model: Model
    loss: LossSpec = losses.LossOptions(name="cross_entropy")
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    training: Training | None = None
    teacher: Teacher | None = None
    """A net whose outputs are the targets of training; null: the data's labels are."""
    metrics: list[str] | None = None
    """What is measured beside the loss: names, or `module:function`; null: accuracy, where there are classes."""
    output: str | None = None
    """Which of the model's outputs are the logits; null: those of this name, or the only ones."""
    _metric_files: dict[str, Path] = PrivateAttr(default_factory=dict)
    """By what `metrics` has: the file that it names, as it was found."""

    @model_validator(mode="after")
    def _find_metrics(self, info: ValidationInfo) -> Self:
        folder = (info.context or {}).get("folder")
        for name in self.metrics or ():
            file = usercode.parts(name)[0] if is_custom(name) else ""
            if file.endswith(".py"):
                self._metric_files[name] = usercode.found(file, folder)
        return self

    @field_validator("metrics")
    @classmethod
    def _are_metrics(cls, names: list[str] | None, info: ValidationInfo) -> list[str] | None:
        context = info.context or {}
        try:
            measures.chosen(names or (), context.get("folder"), context.get("guard"))
        except BadInput as error:
            raise PydanticCustomError("custom_function", "{why}", {"why": str(error)}) from error
        return names

    def metric_functions(self) -> dict[str, measures.Metric] | None:
        """What is measured beside the loss, by column; None for what is usual for the loss and the targets."""
        if self.metrics is None:
            return None
        files = {name: f"{file}:{usercode.parts(name)[1]}" for name, file in self._metric_files.items()}
        return measures.chosen([files.get(name, name) for name in self.metrics])

    @model_validator(mode="after")
    def _no_smoothing_of_outputs(self) -> Self:
        if self.teacher is not None and self.loss.label_smoothing:
            raise ValueError("loss.label_smoothing smooths labels, and teacher replaces them: leave one out")
        return self

    @field_validator("name")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        wrong = [sign for sign in "/\\@\0" if sign in name]
        if wrong or name.startswith(".") or name != name.strip() or not name.isprintable():
            raise ValueError("a run name is a folder name without / \\ @, spaces at its ends or a leading dot")
        if len(name.encode()) > 200:
            raise ValueError("longer than 200 bytes, which file systems refuse")
        return name

    def resolved(self, folder: Path | None = None) -> dict[str, Any]:
        """Plain data with every default filled in.

        folder: whose config.yaml this is to be, so that it names files by their way from there; by default they are
        named as they were given.
        """
        data = self.model_dump(mode="python", serialize_as_any=True)
        data |= {key: plain(value, folder) for key, value in self if isinstance(value, Component)}
        if folder is not None and self.metrics is not None:
            ways = {
                name: f"{way_to(file, folder)}:{usercode.parts(name)[1]}"
                for name, file in self._metric_files.items()
                if not Path(usercode.parts(name)[0]).is_absolute()
            }
            data["metrics"] = [ways.get(name, name) for name in self.metrics]
        sparse = ("metrics", "output")  # which configs from before there were such keys do not have
        return _listed({key: value for key, value in data.items() if key not in sparse or value is not None})

    def metric_code(self) -> list[tuple[str, Path | None]]:
        """The user's code that `metrics` name, as of `metrics.code_of`."""
        return [(name, self._metric_files.get(name)) for name in self.metrics or () if is_custom(name)]

    def code(self) -> list[tuple[str, Path | None]]:
        """The user's code that it names, for `trust.remember`."""
        return self.metric_code() + [
            code for _, value in self if isinstance(value, Component) for code in code_of(value)
        ]


class Experiment(RunConfig):
    """Everything that a training run is made from."""

    optimizer: Optimizer
    schedule: Schedule = schedules.ScheduleOptions(name="constant")
    training: Training


Config = TypeVar("Config", bound=RunConfig)


def _listed(value: Any) -> Any:
    """Plain data with lists for tuples, as YAML gives it back."""
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def read_experiment(
    path: str | Path, settings: list[str] | None = None, name: str | None = None, device: str | None = None
) -> Experiment:
    """The experiment of a YAML file, with `key.sub=value` settings, a name and a device laid over it.

    A file that the YAML names is looked for from its own folder first, then from the working directory. Raises BadInput
    that lists every error of the file and of the settings, one a line.
    """
    return read_config(Experiment, path, settings, name, device)


def read_config(
    kind: type[Config],
    path: str | Path,
    settings: list[str] | None = None,
    name: str | None = None,
    device: str | None = None,
    run: Path | None = None,
    trust_code: bool = False,
) -> Config:
    """Like read_experiment, for a config that may leave out as much as `kind` allows.

    run: the run directory whose config this is, by default that which the file lies in; trust_code: import what such a
    config names without a question (see `trust`).
    """
    document = yamlfile.read(Path(path))
    if not isinstance(document.data, dict):
        needed = ", ".join(key for key, field in kind.model_fields.items() if field.is_required())
        raise BadInput(f"{path}:1:1: a config is a mapping with {needed}")
    origins = lay_over(document.data, settings or [])
    for key, value in (("name", name), ("device", device)):
        if value is not None:
            document.data[key] = value
            origins[(key,)] = f"--{key} {value}"
    try:
        guard = trust.guard(run or _run_around(Path(path)), trust_code)
        return kind.model_validate(document.data, context={"folder": Path(path).parent, "guard": guard})
    except ValidationError as error:
        raise BadInput(refusal_of(error, Experiment, lambda location: _where(location, document, origins))) from None


def _run_around(config: Path) -> Path | None:
    """The run directory that a config is the config.yaml of."""
    run = RunFiles(config.parent)
    signs = (run.environment_file, run.state_file, run.metrics_file, run.resume_file, run.epoch_file(0).parent)
    return run.path if config.name == run.config_file.name and any(sign.exists() for sign in signs) else None


def experiment_at(data: dict[str, Any], origins: dict[Location, str], place: str, folder: Path) -> Experiment:
    """The experiment of plain data that stands in no file.

    origins: of `lay_over`; place: said in errors of all else; folder: where files are looked for first. Raises BadInput
    that lists every error.
    """
    try:
        return experiment_from(data, folder)
    except ValidationError as error:
        raise BadInput(refusal_of(error, Experiment, lambda location: _origin(location, origins) or place)) from None


def config_of(kind: type[Config], data: dict[str, Any], place: str, folder: Path) -> Config:
    """The config of plain data that a program gives.

    place: said in errors; folder: where files are looked for first. Raises BadInput that lists every error.
    """
    try:
        return kind.model_validate(data, context={"folder": folder, "guard": trust.guard(None)})
    except ValidationError as error:
        raise BadInput(refusal_of(error, Experiment, lambda _: place)) from None


def experiment_from(data: dict[str, Any], folder: Path | None = None) -> Experiment:
    """The experiment of plain data; folder: where files are looked for first. Raises pydantic's ValidationError."""
    return Experiment.model_validate(data, context={"folder": folder, "guard": trust.guard(None)})


def lay_over(data: dict[str, Any], settings: list[str]) -> dict[Location, str]:
    """Apply `--set` texts to the data, in place; returns which one each location came from. Raises BadInput."""
    origins: dict[Location, str] = {}
    for text in settings:
        key, separator, value = text.partition("=")
        path = tuple(key.strip().split("."))
        if not separator or not all(path):
            raise BadInput(f"--set {text}: write key=value, as in --set optimizer.lr=0.1")
        section = data
        for step in path[:-1]:
            if not isinstance(section.get(step), dict):
                section[step] = {}
            section = section[step]
        section[path[-1]] = yamlfile.scalar(value, f"--set {text}")
        origins[path] = f"--set {text}"
    return origins


def _origin(location: Location, origins: dict[Location, str]) -> str | None:
    """Which --set gave what is at a location."""
    return next((origin for path, origin in origins.items() if location[: len(path)] == path), None)


def _where(location: Location, document: yamlfile.Document, origins: dict[Location, str]) -> str:
    if origin := _origin(location, origins):
        return origin
    section = location[:-1] or location
    if section not in document:  # a --set made it
        for path, origin in origins.items():
            if path[: len(section)] == section:
                return origin
    return document.position(location)


def json_schema() -> dict[str, Any]:
    """The JSON schema of a config file, for editors."""
    return Experiment.model_json_schema()
