"""Study files: which nets a study trains, with what laid over their configs, and how much of it at each scale."""

import copy
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from lossscape import yamlfile
from lossscape.config import Experiment, config_of, lay_over, merged
from lossscape.errors import BadInput, one_of
from lossscape.families import FITS, Count, Fraction, NonNegative, Probability, Rate, Section, Seed
from lossscape.refusals import all_errors, check_kind
from lossscape.runs import Run
from lossscape.studies.again import name_of


def _once(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("a value stands there twice")
    return values


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("an odd number is needed, so that the centre lies on the grid")
    return value


Start = Literal["first", "1"]


class Study(Section):
    """What every study has."""

    nets: Annotated[dict[str, str], Field(min_length=1)]
    """A config file, from the study's folder, by the name of the net."""
    experiment: dict[str, Any] = Field(default_factory=dict)
    """Laid over the config of every net."""
    experiments: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Laid over that of one net."""
    varied: ClassVar[tuple[str, ...]] = ("name", "device")
    """Keys of the configs that the study sets."""
    sparse: ClassVar[tuple[str, ...]] = ()
    """Keys of the study that settings.yaml leaves out where nothing is given."""

    def mistake(self, net: str, experiment: Experiment) -> str | None:
        """Why the study cannot be made with the experiment of a net."""
        return None


class InterpolationStudy(Study):
    """Goodfellow, Vinyals and Saxe (arXiv:1412.6544), and a replication."""

    study: Literal["interpolation"]
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_once)]
    starts: Annotated[list[Start], Field(min_length=1), AfterValidator(_once)]
    """Where the lines to the last checkpoint begin: after epoch 1, at the initial values."""
    points: Annotated[int, Field(ge=5, le=100_000)] = 1001
    keep_dropout: bool = True
    """Whether the lines are evaluated with dropout on, too."""
    varied = (*Study.varied, "seed")

    def mistake(self, net: str, experiment: Experiment) -> str | None:
        """Lines need checkpoints at both ends, and dropout that is kept on must be there."""
        training = experiment.training
        if "1" in self.starts and (training.epochs < 2 or training.checkpoint_every != 1):
            return "starts: a line from epoch 1 needs training.checkpoint_every 1 and at least 2 epochs"
        if self.keep_dropout and getattr(experiment.model, "dropout", None) == 0:
            return "keep_dropout: the net has no dropout (model.dropout); give keep_dropout: false"
        return None


class MinimumStudy(Study):
    """Wang and Thawonmas (IPSJ), with the directions of Li et al. (arXiv:1712.09913)."""

    study: Literal["minimum"]
    seeds: Annotated[list[Seed], AfterValidator(_once)] = Field(default_factory=list)
    """Of the trainings, each with surfaces of its own; none: the one of the nets' configs."""
    learning_rates: Annotated[list[Rate], Field(min_length=1), AfterValidator(_once)]
    """Each net is trained with the first at which its loss falls."""
    probe_epochs: Count = 1
    """After which a learning rate is judged."""
    targets: Literal["soft", "hard"] = "soft"
    planes: Annotated[int, Field(ge=1, le=1000)] = 5
    grid: Annotated[int, Field(ge=3, le=1001), AfterValidator(_odd)] = 21
    printed: Annotated[int, Field(ge=2, le=1001)] | None = None
    """Steps 0 … K − 1 of unit length of the plane that is drawn as Algorithm 2 is printed; null: none is."""
    samples: Count | None = None
    """Of the training data, for the surfaces; null: all."""
    varied = (*Study.varied, "optimizer.lr")
    sparse = ("seeds", "surface_tolerance")
    surface_tolerance: Annotated[float, Field(ge=1e-6, le=0.5), FITS] | None = None
    """Part of the loss to which points of the surfaces may be predicted; null: all are evaluated."""
    tolerance: NonNegative = 0.01
    zero: NonNegative = 0.01
    window: Count = 3


class Critical(Section):
    """Critical points near the checkpoints of a net (Dauphin et al., arXiv:1406.2572)."""

    net: str
    """One of the study's, small and smooth."""
    displacements: Annotated[int, Field(ge=0, le=100_000)] = 1
    sizes: Annotated[list[Rate], Field(min_length=1), AfterValidator(_once)]
    weight_decay: Literal["exclude", "include"] = "include"
    """As of `lossscape saddles`."""
    p_value: Fraction = 0.05
    """The largest of a correlation that counts."""
    least: Annotated[int, Field(ge=4, le=100_000)] = 8
    """Distinct critical points that a seed needs to be judged."""


class CurvatureStudy(Study):
    """Cohen et al. (arXiv:2103.00065): gradient descent at the edge of stability; and critical points."""

    study: Literal["curvature"]
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_once)]
    learning_rates: Annotated[list[Rate], Field(min_length=1), AfterValidator(_once)]
    """Each net is trained with each."""
    largest: Count = 2
    """Eigenvalues at every checkpoint."""
    trace_vectors: Annotated[int, Field(ge=6, le=1_000_000)] = 6
    tolerance: Rate = 1e-3
    """Residual of an eigenvalue, relative to it."""
    band: Fraction = 0.1
    """λmax is at 2/η where it is within this part of it."""
    late: Fraction = 0.5
    """The last part of training, in which it hovers or does not."""
    share: Fraction = 0.9
    """Of the late checkpoints, so many must be within the band."""
    critical: Critical | None = None
    """Whose index and loss are looked at; null: none are."""
    varied = (*Study.varied, "seed", "optimizer.lr")

    @model_validator(mode="after")
    def _knows_its_net(self) -> "CurvatureStudy":
        if self.critical is not None and self.critical.net not in self.nets:
            raise ValueError("critical.net: " + one_of("net", self.critical.net, self.nets))
        return self

    @property
    def descended(self) -> list[str]:
        """The nets whose gradient descent is looked at."""
        return [net for net in self.nets if self.critical is None or net != self.critical.net]

    def mistake(self, net: str, experiment: Experiment) -> str | None:
        """The limit 2/η is of plain gradient descent at a constant rate."""
        if net not in self.descended:
            return None
        if (name := experiment.optimizer.name) != "sgd":
            return f"optimizer.name {name}: the limit of stability 2/η is of gradient descent, sgd"
        if experiment.schedule.name != "constant":
            return f"schedule.name {experiment.schedule.name}: the limit of stability 2/η is of a constant rate"
        return None


LARGE = "large"


class DistillStudy(Study):
    """Hinton, Vinyals and Dean (arXiv:1503.02531), section 3: a net called `large`, and others that learn from it."""

    study: Literal["distill"]
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_once)]
    temperatures: Annotated[list[Rate], Field(min_length=1), AfterValidator(_once)]
    """At each of which the other nets learn from the large one."""
    weight: Annotated[float, Field(gt=0.0, le=1.0), FITS] = 0.9
    """Of the large net's outputs, the rest being that of the labels: `teacher.weight`."""
    level: Annotated[float, Field(gt=0.0, lt=1.0), FITS] = 0.95
    """Of the intervals by which statements are judged."""
    varied = (*Study.varied, "seed", "teacher", "teacher.run", "teacher.temperature", "teacher.weight")

    @model_validator(mode="after")
    def _has_a_large_net(self) -> "DistillStudy":
        if LARGE not in self.nets or len(self.nets) < 2:
            raise ValueError(f"nets: one is called {LARGE}, beside at least one that learns from it")
        return self

    @property
    def small(self) -> list[str]:
        """The nets that learn from the large one."""
        return [net for net in self.nets if net != LARGE]


class Method(Section):
    """An optimizer with the learning rates that it is tried with."""

    optimizer: dict[str, Any]
    """Without the learning rate."""
    learning_rates: Annotated[list[Rate], AfterValidator(_once)] = Field(default_factory=list)
    """None of a method without one."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Laid over that of the net: a full-batch method takes other batches, and more epochs."""


class OptimizersStudy(Study):
    """A course's exercise, methods side by side, and the accuracy on MNIST that it has nets checked by."""

    study: Literal["optimizers"]
    compared: str
    """The net that all methods train."""
    methods: Annotated[dict[str, Method], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_once)]
    """Of every method and learning rate."""
    until: list[str] = Field(default_factory=list)
    """What is to be reached, as of `lossscape compare`."""
    judged_seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_once)]
    """Of the other nets, whose accuracy is judged."""
    accuracy: Annotated[list[Probability], Field(min_length=2, max_length=2)] = Field(default=[0.95, 0.97])
    """The published test accuracy."""
    varied = (*Study.varied, "seed", "optimizer", "optimizer.name", "optimizer.lr")

    @model_validator(mode="after")
    def _knows_its_net(self) -> "OptimizersStudy":
        if self.compared not in self.nets:
            raise ValueError("compared: " + one_of("net", self.compared, self.nets))
        return self

    @property
    def judged(self) -> list[str]:
        """The nets whose accuracy is judged."""
        return [net for net in self.nets if net != self.compared]


class InitialStudy(Study):
    """How nets begin under schemes of initial values, and short trainings from there: `lossscape initial-values`."""

    study: Literal["initial"]
    schemes: Annotated[list[str], Field(min_length=1), AfterValidator(_once)]
    """As of --schemes."""
    activations: Annotated[list[str], Field(min_length=1), AfterValidator(_once)]
    seeds: Count = 5
    """From the net's own on."""
    samples: Annotated[int, Field(ge=2)] = 1000
    epochs: Count = 5
    varied = (*Study.varied, "training.epochs", "model.init", "model.activation")


class RaceStudy(Study):
    """Which methods leave saddles, of a function and of nets: `lossscape race`."""

    study: Literal["race"]
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_once)]
    """Of the nets, and of the noise on the function."""
    methods: Annotated[list[dict[str, Any]], Field(min_length=2)]
    """Optimizers, plain descent first."""
    steps: Count = 300
    surface_noise: Annotated[list[NonNegative], Field(min_length=1), AfterValidator(_once)]
    """As of --noise, on the function."""
    noise: Annotated[list[NonNegative], Field(min_length=1), AfterValidator(_once)]
    """As of --noise, from saddles of nets."""
    displace: NonNegative = 1e-4
    """As of --displace."""
    displacements: Annotated[int, Field(ge=0)] = 1
    """As of `lossscape saddles`."""
    weight_decay: Literal["exclude", "include"] = "include"
    curvature: NonNegative = 0.0
    """Saddles of nets count whose most negative eigenvalue is at least so large in size."""
    varied = (*Study.varied, "seed")

    @property
    def names(self) -> list[str]:
        """The names of the methods."""
        return [str(method.get("name")) for method in self.methods]


STUDIES: dict[
    str,
    type[
        InterpolationStudy | MinimumStudy | CurvatureStudy | DistillStudy | OptimizersStudy | InitialStudy | RaceStudy
    ],
] = {
    "interpolation": InterpolationStudy,
    "minimum": MinimumStudy,
    "curvature": CurvatureStudy,
    "distill": DistillStudy,
    "optimizers": OptimizersStudy,
    "initial": InitialStudy,
    "race": RaceStudy,
}


class Opened:
    """A study at one scale, with the experiments of its nets."""

    def __init__(self, path: Path, scale: str, settings: list[str] | None = None, workers: int | None = None) -> None:
        """settings: key=value texts laid over every experiment; workers: runs that are trained at a time.

        Raises BadInput.
        """
        self.workers = workers
        document = yamlfile.read(path)
        data: Any = document.data
        if not isinstance(data, dict):
            raise BadInput(f"{path}: a study is a mapping with study, nets and scales")
        check_kind(data, path, "study")
        if data.get("study") is None:
            raise BadInput(f"{document.position(('study',))}: study: is required; allowed: {', '.join(STUDIES)}")
        if not isinstance(data["study"], str) or data["study"] not in STUDIES:
            raise BadInput(f"{document.position(('study',))}: " + one_of("study", data["study"], STUDIES))
        scales = data.pop("scales", None)
        if not isinstance(scales, dict) or not scales:
            raise BadInput(f"{path}: a study names its scales: `scales: {{smoke: {{...}}, full: {{}}}}`")
        if scale not in scales:
            raise BadInput(f"{path}: " + one_of("--scale", scale, scales))
        own = {} if scales[scale] is None else scales[scale]
        if not isinstance(own, dict):
            raise BadInput(f"{document.position(('scales', scale))}: scales.{scale}: a scale is a mapping")
        self.path, self.scale, self.settings = path, scale, list(settings or [])
        try:
            self.study = STUDIES[data["study"]].model_validate(merged(data, own))
        except ValidationError as error:
            raise _refusal_of(document, scale, error) from None
        for text in self.settings:
            key = text.partition("=")[0].strip()
            if key in self.study.varied or (key == "seed" and getattr(self.study, "seeds", None)):
                raise BadInput(f"--set {text}: the study itself sets {key}; change its file")
        for net in self.study.experiments:
            if net not in self.study.nets:
                raise BadInput(f"{path}: experiments: " + one_of("net", net, self.study.nets))
        self.configs = {net: self._config(net) for net in self.study.nets}
        for net in self.configs:  # every mistake is said before anything is trained
            if mistake := self.study.mistake(net, self.experiment(net, {})):
                raise BadInput(f"{path}, scale {scale}, net {net}: {mistake}")

    @property
    def name(self) -> str:
        """Of the folder that a study writes."""
        return name_of(self.study.study, self.scale)

    def sources(self) -> list[Path] | None:
        """The files and folders, beside its own, that the study is made from; None where not all are known."""
        each = [self.experiment(net, {}).sources() for net in self.configs]
        known = [paths for paths in each if paths is not None]
        files = [self.path, *map(self._file, self.configs)]
        return [*files, *chain(*known)] if len(known) == len(each) else None

    def described(self) -> dict[str, Any]:
        """What settings.yaml of the study says."""
        study = self.study.model_dump()
        given = {key: value for key, value in study.items() if key not in self.study.sparse or value not in (None, [])}
        return {**given, "scale": self.scale, "set": self.settings}

    def experiment(self, net: str, more: dict[str, Any]) -> Experiment:
        """The experiment of a net with `more` laid over it, last. Raises BadInput."""
        data = copy.deepcopy(self.configs[net])
        origins = lay_over(data, self.settings)
        source = f"{self.path}, scale {self.scale}, net {net}"
        return config_of(Experiment, merged(data, more), source, self._file(net).parent, origins)

    def begun(self, net: str, more: dict[str, Any], home: Path, device: str) -> Experiment:
        """The same for a run in `home`, on the device that the run has if it exists, else on `device`."""
        run = Run(home / str(more["name"]))
        return self.experiment(net, more | {"device": run.config.device if run.config_file.exists() else device})

    def _file(self, net: str) -> Path:
        return self.path.parent / self.study.nets[net]

    def _config(self, net: str) -> dict[str, Any]:
        file = self._file(net)
        data = yamlfile.read(file).data
        if not isinstance(data, dict):
            raise BadInput(f"{file}: a config is a mapping")
        check_kind(data, file, "config")
        for over in (self.study.experiment, self.study.experiments.get(net, {})):
            data = merged(data, over)
        return data


def _refusal_of(document: yamlfile.Document, scale: str, error: ValidationError) -> BadInput:
    """Every error of a study file, one a line, with its position in the scale or, where it is not there, above it."""
    lines = []
    for detail in error.errors(include_url=False):
        own: yamlfile.Location = ("scales", scale, *detail["loc"])
        where = document.position(own if own in document else detail["loc"])
        message = "is required" if detail["type"] == "missing" else detail["msg"]
        lines.append(f"{where}: {'.'.join(map(str, detail['loc']))}: {message[0].lower()}{message[1:]}")
    return all_errors(lines)
