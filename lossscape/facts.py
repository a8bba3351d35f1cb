"""What the JSON files of runs and results hold, by their names, so that one of another structure is refused clearly.

Nothing is required that results of before do not have, and what is not known here is left as it is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from lossscape.errors import BadInput, short

Count = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MOST_SAID = 3
"""Fields that a refusal names."""


class Facts(BaseModel):
    """Facts by name; numbers are not read from texts."""

    model_config = ConfigDict(extra="allow", strict=True)


class Plan(Facts):
    """A plan of engine.json."""

    model_config = ConfigDict(extra="forbid", strict=True)
    chunk: Annotated[int, Field(ge=1, lt=2**31)]
    channels_last: bool = False
    name: Literal["dense", "folded", "factored", "stacked"] = "dense"
    points: Annotated[int, Field(ge=1, lt=2**31)] = 1
    compiled: bool = False
    graphed: bool = False
    onednn: bool = False
    by_class: bool = False
    packed: bool = False
    lowered: bool = False
    pool: bool = False


class Engine(Facts):
    """engine.json"""

    plan: Plan | None = None
    chosen: str = ""
    seconds_per_point: float | None = None
    predicted_seconds: float | None = None
    tried: list[dict[str, Any]] = []
    threads: Count | None = None
    device: dict[str, Any] | str | None = None


class Timed(Facts):
    """A plan that was timed before, in the cache folder."""

    plan: Plan
    seconds: Positive
    tried: list[dict[str, Any]]


class Range(Facts):
    """range.json"""

    factor: Positive
    level: Annotated[float, Field(allow_inf_nan=False)]
    reach: Annotated[list[Positive], Field(min_length=1, max_length=2)]
    probes: Count = 0


class Trail(Facts):
    """A run of path.json."""

    run: str
    share_of_length: float | None = None
    share_of_squares: float | None = None
    extent: float | None = None
    farthest_off: float | None = None
    unlike: list[str] = []


class Trails(Facts):
    """path.json"""

    runs: list[Trail] = []
    inner_products: list[list[float]] = []


class Curve(Facts):
    """A split of measures.json."""

    monotone: bool
    bump_height: float
    barrier_chord: float
    barrier_mean: float
    convex_fraction: float | None = None
    unresolved: list[str] = []


class Measures(Facts):
    """measures.json"""

    distance: float | None = None
    distance_moved: float | None = None
    gauss_length: float | None = None
    train: Curve | None = None
    test: Curve | None = None


class Check(Facts):
    """A check of certificate.json."""

    name: str
    value: float
    reference: float
    tolerance: float | None = None
    passed: bool | None


class Rounding(Facts):
    """The error of a precision in certificate.json."""

    points: Count
    largest_relative_error: float | None
    mean_relative_error: float | None


class NotFinite(Facts):
    """What certificate.json says of points that are not finite."""

    words: str


class Shares(Facts):
    """What certificate.json says of the principal components of several runs and one of these."""

    run: str
    shares: list[float]


class Certificate(Facts):
    """certificate.json"""

    passed: bool = False
    checks: list[Check] = []
    model_unchanged: bool | None = None
    samples_checked: dict[str, Count] = {}
    points_checked: Count = 0
    centre_norm: float = 0.0
    direction_norms: list[float] = []
    cosine: float | None = None
    precision_check: Rounding | None = None
    explained_variance: list[float] = []
    explained_variance_of_each: list[Shares] = []
    not_checked: dict[str, str] | None = None
    not_finite: NotFinite | None = None
    changed_by_hand: list[str] = []


class State(Facts):
    """state.json"""

    state: str = ""
    epoch: Count = 0
    step: Count = 0
    message: str = ""


class Data(Facts):
    """What environment.json says of the data."""

    shape: list[Count] = []
    classes: Count = 0
    outputs: Count = 0
    train_size: Count = 0
    test_size: Count = 0
    note: str = ""


class Model(Facts):
    """What environment.json says of the net."""

    parameters: Count = 0


class Adopted(Facts):
    """A checkpoint of environment.json that was trained elsewhere."""

    epoch: Count


class Environment(Facts):
    """environment.json"""

    data: Data | None = None
    model: Model | None = None
    adopted: list[Adopted] = []
    resumed: list[dict[str, Any]] = []
    teacher: dict[str, Any] | list[dict[str, Any]] | None = None
    init_from: dict[str, Any] | None = None


class Runs(RootModel[dict[str, str]]):
    """runs.json"""


MODELS: Mapping[str, type[BaseModel]] = {
    "certificate.json": Certificate,
    "engine.json": Engine,
    "environment.json": Environment,
    "measures.json": Measures,
    "path.json": Trails,
    "range.json": Range,
    "runs.json": Runs,
    "state.json": State,
}
"""By the names of files."""


def check(path: Path, value: dict[str, Any], model: type[BaseModel] | None = None) -> None:
    """Raise BadInput that names the file, the fields and the remedy where a JSON file has another structure.

    model: of a file whose name does not tell.
    """
    model = model or MODELS.get(path.name)
    if model is None or not value:
        return
    try:
        model.model_validate(value)
    except ValidationError as error:
        said = [_words(detail) for detail in error.errors(include_url=False)]
        more = f" and {len(said) - MOST_SAID} more" if len(said) > MOST_SAID else ""
        raise BadInput(
            f"{path}: {'; '.join(said[:MOST_SAID])}{more}: not as lossscape writes it; restore it, or make it again "
            "with --overwrite"
        ) from None


def _words(detail: Mapping[str, Any]) -> str:
    where = ".".join(map(str, detail["loc"]))
    given = "" if detail["type"] == "missing" else f", not {short(detail['input'])}"
    return f"{where}: {detail['msg'][0].lower()}{detail['msg'][1:]}{given}"
