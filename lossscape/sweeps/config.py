"""Sweep files: a base config, what is laid over it, and lists of values that are varied.

    name: rates
    base: ../digits_mlp.yaml              # a config file, from this file's folder, or a config itself
    set: {training: {epochs: 5}}          # laid over it
    product:                              # every combination of the values
      seed: [0, 1, 2]
    zip:                                  # lists of one length, value by value
      model.hidden: [[100], [100, 100]]
      training.epochs: [10, 5]
    cases:                                # alternatives by name, each with a set, product and zip of its own
      sgd: {set: {optimizer: {name: sgd}}, product: {optimizer.lr: [0.01, 0.1]}}
      adam: {set: {optimizer: {name: adam}}, product: {optimizer.lr: [0.001, 0.01]}}

A value may be a whole section, `optimizer: [{name: sgd, lr: 0.1}, {name: adam, lr: 0.001}]`, which replaces one of
another name and is merged into one of the same.
"""

import copy
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from lossscape import usercode, yamlfile
from lossscape.config import Experiment, Name, experiment_from, lay_over, merged, origin_of
from lossscape.errors import BadInput
from lossscape.families import Section, whole_message
from lossscape.refusals import all_errors, check_kind, refusal_of
from lossscape.yamlfile import Location

MOST_CELLS = 10_000
NAME_LENGTH = 80
"""Characters of a cell's name, beyond which it is cut and told apart by a hash."""
_UNSAFE = re.compile(r"[^\w.+-]+")
Values = Annotated[list[Any], Field(min_length=1)]


class Varied(Section):
    """What is laid over a config, and values of which each gives a cell. Keys are dotted, as in optimizer.lr."""

    set: dict[str, Any] = Field(default_factory=dict)
    product: dict[str, Values] = Field(default_factory=dict)
    zip: dict[str, Values] = Field(default_factory=dict)

    @field_validator("set", "product", "zip")
    @classmethod
    def _keys_are_of_configs(cls, given: dict[str, Any]) -> dict[str, Any]:
        for key in given:
            if key == "name":
                raise whole_message("name: every run is named after its values; leave it out")
            if not all(key.split(".")):
                raise whole_message(f"{key}: write keys as in optimizer.lr")
        return given

    @field_validator("zip")
    @classmethod
    def _lists_fit(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if len({len(values) for values in given.values()}) > 1:
            lengths = ", ".join(f"{key} has {len(values)}" for key, values in given.items())
            raise whole_message(f"lists of one length are taken value by value, and {lengths}")
        if both := given.keys() & info.data.get("product", {}).keys():
            raise whole_message(f"{min(both)} stands in product too")
        return given

    @property
    def keys(self) -> list[str]:
        """What is varied."""
        return [*self.product, *self.zip]

    def choices(self) -> Iterator[list[tuple[str, int]]]:
        """For each combination the index of the value of each key, the last key running fastest."""
        together = range(len(next(iter(self.zip.values()), [None])))
        ranges = [range(len(values)) for values in self.product.values()]
        for *indices, row in itertools.product(*ranges, together):
            yield [*zip(self.product, indices, strict=True), *((key, row) for key in self.zip)]

    def value(self, key: str, index: int) -> tuple[str, Any]:
        """Where a value stands, product or zip, and what it is."""
        part = "product" if key in self.product else "zip"
        return part, getattr(self, part)[key][index]


class Sweep(Varied):
    """A sweep file."""

    name: Name
    base: str | dict[str, Any]
    threads: Annotated[int, Field(ge=1, le=4096)] = 1
    """Of torch for each run; its bits depend on them."""
    cases: dict[str, Varied] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _knows_what_is_varied(self) -> "Sweep":
        for name, case in self.cases.items():
            if both := set(case.keys) & set(self.keys):
                raise whole_message(f"cases.{name}: {min(both)} is varied there and for all cases")
        if not self.keys and not self.cases:
            raise whole_message("nothing is varied: give product, zip or cases")
        return self


@dataclass(frozen=True)
class Laid:
    """A value of the sweep file in a config."""

    at: Location
    """Where in the config."""
    value: Any
    source: Location
    """Where in the sweep file."""


@dataclass(frozen=True)
class Cell:
    """A run of a sweep."""

    name: str
    values: Mapping[str, Any]
    """What is varied: `case`, where there are cases, and values by dotted key."""
    experiment: Experiment


class Opened:
    """A sweep file with its cells."""

    def __init__(self, path: Path, settings: Sequence[str] = (), name: str | None = None, device: str | None = None):
        """settings: key=value texts laid over every cell; name, device: in place of the file's. Raises BadInput."""
        self.path, self._document = path, yamlfile.read(path)
        if not isinstance(self._document.data, dict):
            raise BadInput(f"{path}:1:1: a sweep is a mapping with name, base and product, zip or cases")
        check_kind(self._document.data, path, "sweep")
        if name is not None:
            self._document.data["name"] = name
        try:
            self.sweep = Sweep.model_validate(self._document.data)
        except ValidationError as error:
            raise refusal_of(error, Sweep, self._document.position) from None
        self._settings = [*settings, *([] if device is None else [f"device={device}"])]
        self._base, self._folder, self._based = self._read_base()
        self._check_settings()
        self.cells = self._cells()

    def _read_base(self) -> tuple[dict[str, Any], Path, yamlfile.Document]:
        """The base config, the folder that its files are looked for from, and where its keys stand."""
        given = self.sweep.base
        if isinstance(given, dict):
            return given, self.path.parent, self._document
        try:
            file = usercode.find_file(given, self.path.parent)
        except BadInput as error:
            raise BadInput(f"{self._document.position(('base',))}: base: {error}") from None
        document = yamlfile.read(file)
        if not isinstance(document.data, dict):
            raise BadInput(f"{file}:1:1: a config is a mapping")
        check_kind(document.data, file, "config")
        return document.data, file.parent, document

    def _check_settings(self) -> None:
        varied = {*self.sweep.keys, *(key for case in self.sweep.cases.values() for key in case.keys)}
        for text in self._settings:
            key = text.partition("=")[0].strip()
            if any(f"{each}.".startswith(f"{key}.") or f"{key}.".startswith(f"{each}.") for each in varied):
                raise BadInput(f"--set {text}: the sweep varies {key}; change {self.path}")

    def sources(self) -> list[Path] | None:
        """The files and folders that the sweep is made from; None where not all are known."""
        each = [cell.experiment.sources() for cell in self.cells]
        known = [paths for paths in each if paths is not None]
        files = [Path(document.source) for document in (self._document, self._based)]
        return list(dict.fromkeys([*files, *itertools.chain(*known)])) if len(known) == len(each) else None

    def _cells(self) -> list[Cell]:
        cells: dict[str, Cell] = {}
        wrong: dict[str, None] = {}
        for case, values, laid in self._combinations():
            known = {"case": case} if case else {}
            name = self._name(case, values)
            if name.casefold() in map(str.casefold, cells):
                raise BadInput(f"{self.path}: two cells would be the run {name}: a value stands there twice")
            if len(cells) == MOST_CELLS:
                raise BadInput(f"{self.path}: more than {MOST_CELLS:,} runs; make several sweeps of it")
            try:
                experiment = self._experiment(name, laid)
            except BadInput as error:
                wrong |= dict.fromkeys(error.args[1:])
                continue
            cells[name] = Cell(name, known | values, experiment)
        if wrong:
            raise all_errors(list(wrong))
        return list(cells.values())

    def _combinations(self) -> Iterator[tuple[str, dict[str, Any], list[Laid]]]:
        """Case, values by key, and all that is laid over the base, in its order."""
        own = [Laid(tuple(k.split(".")), v, ("set", k)) for k, v in self.sweep.set.items()]
        for name, case in (self.sweep.cases or {"": Varied()}).items():
            where: Location = ("cases", name) if name else ()
            of_case = [Laid(tuple(k.split(".")), v, (*where, "set", k)) for k, v in case.set.items()]
            for choice, common in itertools.product(case.choices(), self.sweep.choices()):
                values: dict[str, Any] = {}
                laid = []
                for varied, at, keys in ((case, where, choice), (self.sweep, (), common)):
                    for key, index in keys:
                        part, values[key] = varied.value(key, index)
                        laid.append(Laid(tuple(key.split(".")), values[key], (*at, part, key, index)))
                laid.sort(key=lambda each: len(each.at))  # a section before what is varied in it
                yield name, values, [*own, *of_case, *laid]

    def _experiment(self, name: str, laid: Sequence[Laid]) -> Experiment:
        data = copy.deepcopy(self._base)
        for each in laid:
            over: Any = each.value
            for step in reversed(each.at):
                over = {step: over}
            data = merged(data, copy.deepcopy(over))
        origins = lay_over(data, self._settings)
        data["name"] = name

        def where(location: Location) -> str:
            if origin := origin_of(location, origins):
                return origin
            for each in reversed(laid):
                if location[: len(each.at)] == each.at:
                    return self._document.position((*each.source, *location[len(each.at) :]))
            return self._based.position((*(("base",) if self._based is self._document else ()), *location))

        try:
            return experiment_from(data, self._folder)
        except ValidationError as error:
            raise refusal_of(error, Experiment, where) from None

    def _name(self, case: str, values: Mapping[str, Any]) -> str:
        """Of what differs: sgd-lr-0.1-seed-0. Safe for every file system, and short."""
        every = {*self.sweep.keys, *(key for each in self.sweep.cases.values() for key in each.keys)}
        lasts = [key.rpartition(".")[2] for key in every]
        words = [case] if case else []
        for key, value in values.items():
            last = key.rpartition(".")[2]
            words.append(words_of(key if lasts.count(last) > 1 else last, value))
        whole = "-".join(words)
        safe = _UNSAFE.sub("-", whole).strip("-.")
        if safe == whole and len(safe.encode()) <= NAME_LENGTH:
            return safe
        digest = hashlib.sha256(json.dumps([case, values], sort_keys=True).encode()).hexdigest()[:8]
        return f"{safe.encode()[: NAME_LENGTH - 9].decode(errors='ignore')}-{digest}"


def words_of(key: str, value: Any) -> str:
    """A value in a name, with its key where it does not speak for itself: lr-0.1, hidden-100+50, adam-lr-0.001."""
    if isinstance(value, Mapping):
        name = [str(value["name"])] if "name" in value else [key]
        return "-".join([*name, *(words_of(str(k), v) for k, v in value.items() if k != "name")])
    return f"{key}-{value_text(value)}"


def value_text(value: Any) -> str:
    """A value in words, the same for the same value."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return short if float(short := f"{value:g}") == value else repr(value)
    if isinstance(value, list):
        return "+".join(map(value_text, value))
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)
