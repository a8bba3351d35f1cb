"""Study files: which nets a study trains, with what laid over their configs, and how much of it at each scale."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from lossscape import yamlfile
from lossscape.config import Experiment, experiment_at
from lossscape.errors import BadInput, one_of
from lossscape.families import Count, Rate, Section

Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1)]
Start = Literal["first", "1"]


class Study(Section):
    """What every study has."""

    nets: Annotated[dict[str, str], Field(min_length=1)]
    """A config file, from the study's folder, by the name of the net."""
    experiment: dict[str, Any] = Field(default_factory=dict)
    """Laid over the config of every net."""
    experiments: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Laid over that of one net."""


class InterpolationStudy(Study):
    """Goodfellow, Vinyals and Saxe (arXiv:1412.6544), and a replication."""

    study: Literal["interpolation"]
    seeds: Seeds
    starts: Annotated[list[Start], Field(min_length=1)]
    """Where the lines to the last checkpoint begin: after epoch 1, at the initial values."""
    points: Annotated[int, Field(ge=5, le=100_000)] = 1001
    keep_dropout: bool = True
    """Whether the lines are evaluated with dropout on, too."""


class MinimumStudy(Study):
    """Wang and Thawonmas (IPSJ), with the directions of Li et al. (arXiv:1712.09913)."""

    study: Literal["minimum"]
    learning_rates: Annotated[list[Rate], Field(min_length=1)]
    """Each net is trained with the first at which its loss falls."""
    probe_epochs: Count = 1
    """After which a learning rate is judged."""
    targets: Literal["soft", "hard"] = "soft"
    planes: Annotated[int, Field(ge=1, le=1000)] = 5
    grid: Annotated[int, Field(ge=3, le=1001)] = 21
    printed: Annotated[int, Field(ge=2, le=1001)] | None = None
    """Steps 0 … K − 1 of unit length of the plane that is drawn as Algorithm 2 is printed; null: none is."""
    samples: Count | None = None
    """Of the training data, for the surfaces; null: all."""
    tolerance: Annotated[float, Field(ge=0)] = 0.01
    zero: Annotated[float, Field(ge=0)] = 0.01
    window: Count = 3


STUDIES: dict[str, type[InterpolationStudy] | type[MinimumStudy]] = {
    "interpolation": InterpolationStudy,
    "minimum": MinimumStudy,
}


class Opened:
    """A study at one scale, with the experiments of its nets."""

    def __init__(self, path: Path, scale: str, settings: list[str] | None = None) -> None:
        """settings: key=value texts laid over every experiment. Raises BadInput."""
        document = yamlfile.read(path)
        data: Any = document.data
        if not isinstance(data, dict):
            raise BadInput(f"{path}: a study is a mapping with study, nets and scales")
        if data.get("study") not in STUDIES:
            raise BadInput(f"{path}: " + one_of("study", data.get("study"), STUDIES))
        scales = data.pop("scales", None)
        if not isinstance(scales, dict) or not scales:
            raise BadInput(f"{path}: a study names its scales: `scales: {{smoke: {{...}}, full: {{}}}}`")
        if scale not in scales:
            raise BadInput(f"{path}: " + one_of("--scale", scale, scales))
        self.path, self.scale, self.settings = path, scale, list(settings or [])
        try:
            self.study = STUDIES[data["study"]].model_validate(merged(data, scales[scale] or {}))
        except ValidationError as error:
            raise BadInput(_told(document, scale, error)) from None
        self.configs = {net: self._config(net) for net in self.study.nets}
        for net in self.configs:
            self.experiment(net, {})  # every slip is told before anything is trained

    @property
    def name(self) -> str:
        """Of the folder that a study writes."""
        return f"study-{self.study.study}-{self.scale}"

    def experiment(self, net: str, more: dict[str, Any]) -> Experiment:
        """The experiment of a net with `more` laid over it. Raises BadInput."""
        place = f"{self.path}, scale {self.scale}, net {net}"
        return experiment_at(merged(self.configs[net], more), self.settings, place)

    def _config(self, net: str) -> dict[str, Any]:
        file = self.path.parent / self.study.nets[net]
        data = yamlfile.read(file).data
        if not isinstance(data, dict):
            raise BadInput(f"{file}: a config is a mapping")
        for over in (self.study.experiment, self.study.experiments.get(net, {})):
            data = merged(data, over)
        return data


def merged(data: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Two mappings as one, section by section; a section with another `name` takes the place of the old one."""
    result = dict(data)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            same = value.get("name", old.get("name")) == old.get("name")
            result[key] = merged(old, value) if same else value
        else:
            result[key] = value
    return result


def _told(document: yamlfile.Document, scale: str, error: ValidationError) -> str:
    """Every error of a study file, one a line, with its place in the scale or, where it is not there, above it."""
    lines = []
    for detail in error.errors(include_url=False):
        place: yamlfile.Location = detail["loc"]
        own: yamlfile.Location = ("scales", scale, *place)
        where = document.position(own if own in document else place)
        message = "is required" if detail["type"] == "missing" else detail["msg"]
        lines.append(f"{where}: {'.'.join(map(str, place))}: {message[0].lower()}{message[1:]}")
    return "\n".join([f"{len(lines)} error{'s' * (len(lines) > 1)} in the config", *lines])
