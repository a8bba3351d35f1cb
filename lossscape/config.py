"""An experiment: the pydantic models of a config file, and reading one with every error at once.

`read_experiment` turns a YAML file and `--set key=value` texts into an Experiment; a refusal lists all that is
wrong, each line as `file:line:column: key: what is wrong, allowed values`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lossscape import data, losses, models, optimizers, schedules, trust, usercode, yamlfile
from lossscape import metrics as measures
from lossscape.errors import LONGEST, BadInput, one_of
from lossscape.families import (
    FITS,
    SPARSE,
    Component,
    Count,
    Fraction,
    Rate,
    Section,
    Seed,
    code_of,
    component_data,
    error_at,
    named_from,
    whole_message,
)
from lossscape.refusals import check_kind, refusal_of
from lossscape.runfiles import RunFiles, files_of_point
from lossscape.text import shortened
from lossscape.yamlfile import Location

Words = Annotated[str, Field(min_length=1)]
Layers = Annotated[list[Words], Field(min_length=1, max_length=10_000)]
"""Names of layers, or of their parameters; * stands for any signs."""


class EarlyStopping(Section):
    """Stop when a metric has not improved for some epochs."""

    patience: Count
    metric: str = "test_loss"
    """A column of metrics.csv that is measured."""
    mode: Literal["min", "max"] | None = None
    """Whether the least or the largest value is the best; null: what is usual for the metric."""

    @property
    def maximised(self) -> bool:
        """Whether larger values are better."""
        return (self.metric.partition("_")[2] in measures.MAXIMISED) if self.mode is None else self.mode == "max"


class Training(Section):
    """How long, in what batches, and what is kept."""

    epochs: Annotated[int, Field(ge=0, le=1_000_000)]
    batch_size: Count | Literal["all"] = 100
    """Samples a step, or all of the training split; under torchrun the sum over all processes."""
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
    frozen: Annotated[Layers | None, SPARSE] = None
    """Layers that keep their values: no gradient, no weight decay, and BatchNorm with the statistics that it has."""
    evaluate_every: Annotated[Count, SPARSE] = 1
    """Epochs between evaluations of both splits, by which `epochs` can be divided; batch_loss is there after each."""
    threads: Annotated[Annotated[int, Field(ge=1, le=4096)] | None, SPARSE] = None
    """Of torch, whatever OMP_NUM_THREADS says; null: that, or one for small nets and torch's own number for others."""

    @model_validator(mode="after")
    def _evaluates_the_end(self) -> Self:
        if self.epochs % self.evaluate_every:
            raise error_at(
                ("evaluate_every",),
                f"the last epoch is to be evaluated: take a divisor of the {self.epochs:,} epochs, or other epochs",
                self.evaluate_every,
            )
        return self

    def evaluates(self, epoch: int) -> bool:
        """Whether both splits are evaluated after an epoch."""
        return epoch % self.evaluate_every == 0

    def batch(self, samples: int) -> int:
        """Samples a step of a training split of `samples`."""
        return samples if self.batch_size == "all" else self.batch_size


class InitFrom(Section):
    """Another net's values as initial values: pretraining, fine-tuning, transfer."""

    run: Words
    """RUN or RUN@CHECKPOINT, as on the command line, or a file of weights (a state_dict)."""
    layers: Layers | None = None
    """Those that are taken, the others keep the values of `model.init`; null: all."""


class Hint(Section):
    """FitNets' first stage (arXiv:1412.6550): a hidden layer of the student learns to say what the teacher's says."""

    teacher_layer: Words
    student_layer: Words


class Teacher(Section):
    """A trained net whose outputs on the training inputs are the targets."""

    run: Words | Annotated[list[Words], Field(min_length=1, max_length=1000)]
    """RUN or RUN@CHECKPOINT, as on the command line; a list of them is an ensemble, whose mean probabilities teach."""
    targets: Literal["hard", "soft"] = "soft"
    temperature: Rate = 1.0
    """T of soft targets in training steps: both sides' outputs are divided by it, the loss is multiplied by T²."""
    weight: Annotated[float, Field(gt=0.0, le=1.0), FITS] = 1.0
    """w in training steps: w · loss against the teacher + (1 − w) · loss against the data's labels."""
    hint: Annotated[Hint | None, SPARSE] = None
    """Train on a hidden layer of the teacher in place of its outputs; another run then goes on by `init_from`."""

    @property
    def runs(self) -> list[str]:
        """The points that teach."""
        return [self.run] if isinstance(self.run, str) else self.run

    @model_validator(mode="after")
    def _hint_is_alone(self) -> Self:
        if self.hint is None:
            return self
        if len(self.runs) > 1:
            raise ValueError("hint: is taken from a layer of one net; name one run")
        given = [key for key in ("targets", "temperature", "weight") if key in self.model_fields_set]
        if any(getattr(self, key) != type(self).model_fields[key].default for key in given):
            raise ValueError(
                f"hint: {given[0]} is of the teacher's outputs: give it to the run that goes on from this one by "
                "init_from, and leave it out here"
            )
        return self


def folder_name(name: str) -> str:
    """A name that a folder of runs can have. Raises ValueError."""
    wrong = [sign for sign in "/\\@\0" if sign in name]
    if wrong or name.startswith(".") or name != name.strip() or not name.isprintable():
        raise ValueError("a run name is a folder name without / \\ @, spaces at its ends or a leading dot")
    if len(name.encode()) > 200:
        raise ValueError("longer than 200 bytes, which file systems refuse")
    return name


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(folder_name)]


class RunConfig(Section):
    """What every run says of itself; how its weights were trained may be unknown, where they came from elsewhere."""

    name: Name
    seed: Seed = 0
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    dataset: Annotated[data.DataOptions, data.FAMILY]
    model: Annotated[models.ModelOptions, models.FAMILY]
    loss: Annotated[losses.LossOptions, losses.FAMILY] = losses.LossOptions(name="cross_entropy")
    optimizer: Annotated[optimizers.OptimizerOptions, optimizers.FAMILY] | None = None
    schedule: Annotated[schedules.ScheduleOptions, schedules.FAMILY] | None = None
    training: Training | None = None
    teacher: Teacher | None = None
    """A net whose outputs are the targets of training; null: the data's labels are."""
    init_from: Annotated[InitFrom | None, SPARSE] = None
    """A net whose values training begins with; null: those of `model.init`."""
    metrics: Annotated[list[str] | None, SPARSE] = None
    """What is measured beside the loss: names, or `module:function`; null: accuracy, where there are classes."""
    output: Annotated[str | None, SPARSE] = None
    """Which of the model's outputs are the logits; null: those of this name, or the only ones."""
    _metric_code: list[tuple[str, Path | None]] = PrivateAttr(default_factory=list)
    """The user's own among the metrics, as of `metrics.code_of`."""

    @model_validator(mode="after")
    def _find_metrics(self, info: ValidationInfo) -> Self:
        self._metric_code += measures.code_of(self.metrics or (), (info.context or {}).get("folder"))
        return self

    @model_validator(mode="after")
    def _check_stopping(self) -> Self:
        stopping = None if self.training is None else self.training.early_stopping
        if stopping is None:
            return self
        at = ("training", "early_stopping")
        names = ["accuracy"] if self.metrics is None else [name.rpartition(":")[2] for name in self.metrics]
        allowed = [f"{split}_{name}" for split in ("test", "train") for name in ("loss", *names)]
        if stopping.metric not in allowed:
            raise error_at((*at, "metric"), one_of("value", stopping.metric, allowed), stopping.metric)
        if stopping.mode is None and stopping.metric.partition("_")[2] not in ("loss", *measures.METRICS):
            raise error_at((*at, "mode"), "is required for a metric of your own; allowed: min, max", None)
        return self

    @field_validator("metrics")
    @classmethod
    def _are_metrics(cls, names: list[str] | None, info: ValidationInfo) -> list[str] | None:
        context = info.context or {}
        try:
            measures.chosen(names or (), context.get("folder"), context.get("guard"))
        except BadInput as error:
            raise whole_message(str(error)) from error
        return names

    def metric_functions(self) -> dict[str, measures.Metric] | None:
        """What is measured beside the loss, by column; None for what is usual for the loss and the targets."""
        if self.metrics is None:
            return None
        files = {name: f"{file}:{usercode.parts(name)[1]}" for name, file in self._metric_code if file is not None}
        return measures.chosen([files.get(name, name) for name in self.metrics])

    @model_validator(mode="after")
    def _no_smoothing_of_outputs(self) -> Self:
        if self.teacher is not None and self.loss.label_smoothing:
            raise ValueError("loss.label_smoothing smooths labels, and teacher replaces them: leave one out")
        return self

    @model_validator(mode="after")
    def _no_metrics_of_hints(self) -> Self:
        if self.teacher is not None and self.teacher.hint is not None and self.metrics:
            raise ValueError("metrics are of a net's outputs, and teacher.hint trains a hidden layer: leave one out")
        return self

    def resolved(self, folder: Path | None = None) -> dict[str, Any]:
        """Plain data with every default filled in.

        folder: whose config.yaml this is to be, so that it names files by their way from there; by default they are
        named as they were given.
        """
        data = self.model_dump(mode="python", serialize_as_any=True)
        data |= {key: component_data(value, folder) for key, value in self if isinstance(value, Component)}
        if folder is not None and self.metrics is not None:
            found = {name: named_from(folder, name, file) for name, file in self._metric_code if file is not None}
            data["metrics"] = [found.get(name, name) for name in self.metrics]
        return _listed(data)

    def metric_code(self) -> list[tuple[str, Path | None]]:
        """The user's code that `metrics` name, as of `metrics.code_of`."""
        return self._metric_code

    def code(self) -> dict[str, list[tuple[str, Path | None]]]:
        """The user's code that it names, by section: (name, file), the file None for a module."""
        found = {key: code_of(value) for key, value in self if isinstance(value, Component)}
        found["metrics"] = self._metric_code
        return {key: codes for key, codes in found.items() if codes}

    def code_digests(self) -> dict[str, str]:
        """SHA-256 of that code as it is now, by section."""
        return {key: trust.digest_of(codes) for key, codes in self.code().items()}

    def points(self) -> list[tuple[str, str]]:
        """The nets that it learns or begins from: the key of each, and RUN[@CHECKPOINT] or a file of weights."""
        origin = [] if self.init_from is None else [("init_from.run", self.init_from.run)]
        return [*origin, *(("teacher.run", run) for run in (self.teacher.runs if self.teacher else ()))]

    def sources(self) -> list[Path] | None:
        """The files and folders that its data, the user's code and other nets are read from; None where not all are
        known.
        """
        code = [file for codes in self.code().values() for _, file in codes]
        of_data = data.sources(self.dataset)
        if of_data is None or None in code:
            return None
        nets = [path for _, point in self.points() for path in files_of_point(point)]
        return [*of_data, *filter(None, code), *nets]


class Experiment(RunConfig):
    """Everything that a training run is made from."""

    optimizer: Annotated[optimizers.OptimizerOptions, optimizers.FAMILY]
    schedule: Annotated[schedules.ScheduleOptions, schedules.FAMILY] = schedules.ScheduleOptions(name="constant")
    training: Training

    @model_validator(mode="after")
    def _temperature_is_of_soft_targets(self) -> Self:
        """Of training alone: runs that were trained with a temperature without effect are read as before."""
        if self.teacher is not None and self.teacher.targets == "hard" and self.teacher.temperature != 1.0:
            why = (
                "is of soft targets, and has no effect on hard ones, which are classes: leave it out, or targets: soft"
            )
            raise error_at(("teacher", "temperature"), why, self.teacher.temperature)
        return self

    @model_validator(mode="before")
    @classmethod
    def _takes_all(cls, data: Any) -> Any:
        """A full-batch method takes all training samples a step where the config gives no other number."""
        given = data if isinstance(data, dict) else {}
        optimizer, training = given.get("optimizer"), given.get("training")
        if not (isinstance(optimizer, dict) and isinstance(training, dict)):
            return data
        name = optimizer.get("name")
        if isinstance(name, str) and name in optimizers.FULL_BATCH and "batch_size" not in training:
            return data | {"training": training | {"batch_size": "all"}}
        return data


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
    check_kind(document.data, Path(path), "config")
    origins = lay_over(document.data, settings or [])
    for key, value in (("name", name), ("device", device)):
        if value is not None:
            document.data[key] = value
            origins[(key,)] = f"--{key} {shortened(value, LONGEST)}"
    try:
        guard = trust.guard(run or _run_around(Path(path)), trust_code)
        return kind.model_validate(document.data, context={"folder": Path(path).parent, "guard": guard})
    except ValidationError as error:
        raise refusal_of(error, Experiment, lambda location: _where(location, document, origins)) from None


def _run_around(config: Path) -> Path | None:
    """The run directory that a config is the config.yaml of."""
    run = RunFiles(config.parent)
    signs = (run.environment_file, run.state_file, run.metrics_file, run.resume_file, run.epoch_file(0).parent)
    return run.path if config.name == run.config_file.name and any(sign.exists() for sign in signs) else None


def config_of(
    kind: type[Config], data: dict[str, Any], source: str, folder: Path, origins: Mapping[Location, str] | None = None
) -> Config:
    """The config of plain data that stands in no file.

    source: said in errors; folder: where files are looked for first; origins: of `lay_over`, said in errors of what
    these settings gave. Raises BadInput that lists every error.
    """
    try:
        return kind.model_validate(data, context={"folder": folder, "guard": trust.guard(None)})
    except ValidationError as error:
        raise refusal_of(error, Experiment, lambda at: origin_of(at, origins or {}) or source) from None


def experiment_from(data: dict[str, Any], folder: Path | None = None) -> Experiment:
    """The experiment of plain data; folder: where files are looked for first. Raises pydantic's ValidationError."""
    return Experiment.model_validate(data, context={"folder": folder, "guard": trust.guard(None)})


def lay_over(data: dict[str, Any], settings: list[str]) -> dict[Location, str]:
    """Apply `--set` texts to the data, in place; returns which one each location came from. Raises BadInput."""
    origins: dict[Location, str] = {}
    for text in settings:
        key, separator, value = text.partition("=")
        path, origin = tuple(key.strip().split(".")), f"--set {shortened(text, LONGEST)}"
        if not separator or not all(path):
            raise BadInput(f"{origin}: write key=value, as in --set optimizer.lr=0.1")
        section = data
        for step in path[:-1]:
            if not isinstance(section.get(step), dict):
                section[step] = {}
            section = section[step]
        section[path[-1]] = yamlfile.scalar(value, origin)
        origins[path] = origin
    return origins


def merged(data: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Two mappings as one, section by section; a section with another `name` replaces the old one."""
    result = dict(data)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            same = value.get("name", old.get("name")) == old.get("name")
            result[key] = merged(old, value) if same else value
        else:
            result[key] = value
    return result


def origin_of(location: Location, origins: Mapping[Location, str]) -> str | None:
    """Which --set gave what is at a location."""
    return next((origin for path, origin in origins.items() if location[: len(path)] == path), None)


def _where(location: Location, document: yamlfile.Document, origins: dict[Location, str]) -> str:
    if origin := origin_of(location, origins):
        return origin
    section = location[:-1] or location
    if section not in document and (made := [o for path, o in origins.items() if path[: len(section)] == section]):
        return made[0]  # a --set that made the section
    return document.position(location)


def json_schema() -> dict[str, Any]:
    """The JSON schema of a config file, for editors."""
    return Experiment.model_json_schema()
