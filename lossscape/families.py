"""A family (data sets, models, optimizers, …) is a dict of plain functions whose signature is its schema.

The keyword-only parameters of a function, with their annotations and defaults, become the keys that a
config may give: `options_of` makes a pydantic model of them. The signature of a user's own function, named
`package.module:function` or `path/to/file.py:function`, is checked the same way.
"""

import functools
import inspect
import typing
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from lossscape import usercode
from lossscape.errors import BadInput
from lossscape.files import relative_path
from lossscape.numerals import why_not

Size = Annotated[int, Field(ge=1, le=1_000_000)]
"""A width, a number of channels, a batch: at least 1, and small enough to be meant."""
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _fits(value: float) -> float:
    if why := why_not(value):
        raise ValueError(why)
    return value


FITS = AfterValidator(_fits)
"""That float32 holds a number, and what it is multiplied with: every number of a config is 0, or neither too large nor
too small for that."""
Number = Annotated[float, Field(allow_inf_nan=False), FITS]
Rate = Annotated[float, Field(gt=0.0, allow_inf_nan=False), FITS]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False), FITS]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0), FITS]
"""A dropout probability, a momentum, a decay factor: from 0 to just under 1."""
Probability = Annotated[float, Field(ge=0.0, le=1.0), FITS]
_NAMED = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class _IsFile:
    """Marks an option that names a file."""


File = Annotated[str, Field(min_length=1), _IsFile()]
"""A file, looked for from the config's folder first, then from the working directory."""


class _Sparse:
    """Marks a key that plain data leave out where it is its default."""


SPARSE = _Sparse()
"""Annotates a key that came later: configs that do not use it are written as they were before there was one."""


class Section(BaseModel):
    """A mapping of a config: unknown keys are refused, types are not bent (no "5" for 5, no true for 1)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_serializer(mode="wrap")
    def _without_sparse(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        for key, field in type(self).model_fields.items():
            if SPARSE in field.metadata and getattr(self, key) == field.default:
                data.pop(key, None)
        return data


class Component(Section):
    """A member of a family, chosen by name, with its options."""

    name: str
    _files: dict[str, Path] = PrivateAttr(default_factory=dict)
    """By key of an option: the file that it names by a path that is not absolute, as it was found."""

    @model_validator(mode="after")
    def _find_files(self, info: ValidationInfo) -> Self:
        for key, field in type(self).model_fields.items():
            if any(isinstance(each, _IsFile) for each in field.metadata):
                try:
                    found = usercode.find_file(getattr(self, key), (info.context or {}).get("folder"))
                except BadInput as error:
                    raise whole_message(str(error)) from error
                if not Path(getattr(self, key)).is_absolute():
                    self._files[key] = found
        return self


def whole_message(why: str) -> PydanticCustomError:
    """An error that is shown as it is."""
    return PydanticCustomError("whole_message", "{why}", {"why": why})


def error_at(location: tuple[str | int, ...], why: str, given: object) -> ValidationError:
    """An error of what lies inside of what is validated, shown as it is."""
    detail = InitErrorDetails(type=whole_message(why), loc=location, input=given)
    return ValidationError.from_exception_data("config", [detail])


def component_data(component: Component, folder: Path | None = None) -> dict[str, Any]:
    """A component as plain data.

    folder: from where the paths of files are written, by default as they were given.
    """
    data = component.model_dump(mode="python", serialize_as_any=True)
    for key, value in component:
        if isinstance(value, Component):
            data[key] = component_data(value, folder)
    if folder is not None:
        data |= {key: named_from(folder, data[key], file) for key, file in component._files.items()}
    return data


def named_from(folder: Path, name: str, file: Path) -> str:
    """The name of a file, or of a function in it, as it is found from a folder: `../mine.py:net`.

    An absolute path stays.
    """
    if Path(name).is_absolute():
        return name
    function = f":{usercode.parts(name)[1]}" if is_custom(name) else ""
    return relative_path(file, folder) + function


def named_code(name: str, found: Path | None) -> tuple[str, Path | None]:
    """A name of the user's code with its file, None for a module; found: the file, where its path is not absolute."""
    path = usercode.parts(name)[0]
    return name, (found or Path(path).resolve()) if path.endswith(".py") else None


def code_of(component: Component) -> list[tuple[str, Path | None]]:
    """The user's code that a component and the components in it name: (name, file), the file None for a module."""
    found = [code for _, value in component if isinstance(value, Component) for code in code_of(value)]
    own = [named_code(component.name, component._files.get("name"))] if is_custom(component.name) else []
    return found + own


def options_of(name: str, function: Callable[..., Any], base: type[Component]) -> type[Component]:
    """The pydantic model of a function's keyword-only parameters, on top of a family's common keys."""
    hints = typing.get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {"name": (Literal[name], ...)}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (hints.get(parameter.name, Any), default)
    return create_model(name, __base__=base, __doc__=inspect.getdoc(function), **fields)


class Custom(Component):
    """Your own function, named `package.module:function` or `path/to/file.py:function`."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: Annotated[str, Field(pattern=r"^.+:[A-Za-z_]\w*$")]


def is_custom(name: str) -> bool:
    """Whether a name points to the user's own function."""
    return ":" in name


def _checked_custom(base: type[Component], skip: tuple[str, ...]) -> Any:
    def check(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Component:
        """Check the options of a user's function against its own signature."""
        if isinstance(value, Component):
            return value
        context = info.context or {}
        name, folder = str(value["name"]), context.get("folder")
        try:
            model = own_options(usercode.load(name, folder, context.get("guard")), base, skip)
        except BadInput as error:
            raise error_at(("name",), str(error), value["name"]) from error
        component = model.model_validate(value, context=info.context)
        file = usercode.parts(name)[0]
        if file.endswith(".py") and not Path(file).is_absolute():
            component._files["name"] = usercode.find_file(file, folder)
        return component

    return WrapValidator(check)


def own_options(function: Callable[..., Any], base: type[Component], skip: tuple[str, ...]) -> type[Component]:
    """Like options_of for a user's function, whose options may also be ordinary named parameters.

    Parameters called as in `skip` are what lossscape itself hands over (say shape and classes). One whose default
    no config can hold (a class, a tensor) keeps that default and is no option. Raises BadInput where the
    parameters cannot be made out.
    """
    fields: dict[str, Any] = {}
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:  # some functions written in C
        raise BadInput(f"the options of {function} cannot be made out: {error}") from error
    hints = _hints(function)
    more: Literal["allow", "forbid"] = "forbid"
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            more = "allow"
        elif parameter.name not in (*skip, *base.model_fields) and parameter.kind in _NAMED:
            default = ... if parameter.default is parameter.empty else parameter.default
            if default is ... or _is_plain(default):
                fields[parameter.name] = (_from_yaml(hints.get(parameter.name, Any)), default)
    # a type that pydantic does not know is checked with isinstance
    config = ConfigDict(extra=more, arbitrary_types_allowed=True, protected_namespaces=())
    own = type("Own", (base,), {"model_config": config, "__module__": __name__})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an option called as a method of pydantic, say `copy`
        return create_model("Custom", __base__=own, name=(str, ...), **fields)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a user's function; none where one of them is a name that only type checkers see."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}


def _is_plain(value: Any) -> bool:
    """Whether a config can hold a value."""
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, float, str)


def _from_yaml(hint: Any) -> Any:
    """The annotation of an option that a config gives as a list where the function wants a tuple."""
    is_tuple = hint is tuple or typing.get_origin(hint) is tuple
    return Annotated[hint, Field(strict=False)] if is_tuple else hint


def _tag(value: Any) -> str | None:
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)
    return "custom" if isinstance(name, str) and is_custom(name) else name


class Family:
    """The functions of a family, one pydantic model for each, and the type of a config field that takes any."""

    def __init__(
        self, members: Mapping[str, Callable[..., Any]], base: type[Component], *, given: tuple[str, ...] = ()
    ) -> None:
        """members: the functions by name; base: the keys that all share; given: what user functions are handed.

        As an annotation, Annotated[base, family], it is the type of a config's field that takes any member.
        """
        self.members = members
        self.base = base
        self.models = {name: options_of(name, function, base) for name, function in members.items()}
        choices: Any = typing.Union[  # noqa: UP007 (built from a list at run time)
            tuple(
                [Annotated[model, Tag(name)] for name, model in self.models.items()]
                + [Annotated[Custom, _checked_custom(base, given), Tag("custom")]]
            )
        ]
        self.type: Any = Annotated[choices, Discriminator(_tag)]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(self.type)

    def bound(self, spec: Component, **handed: Any) -> Callable[..., Any]:
        """The function that a spec names, with the options that it gives; handed: others, where it takes such."""
        function = self.function(spec)
        if handed:
            taken = inspect.signature(function).parameters
            handed = {key: value for key, value in handed.items() if key in taken}
        return functools.partial(function, **handed, **self.arguments(spec))

    def function(self, spec: Component) -> Callable[..., Any]:
        """The member that a spec names, or the user's own function."""
        if not is_custom(spec.name):
            return self.members[spec.name]
        file = spec._files.get("name")
        return usercode.load(spec.name if file is None else f"{file}:{usercode.parts(spec.name)[1]}")

    def arguments(self, spec: Component) -> dict[str, Any]:
        """The keyword arguments that a spec gives to its function (the shared keys are not among them)."""
        values = {key: getattr(spec, key) for key in type(spec).model_fields} | (spec.model_extra or {})
        files = {key: str(file) for key, file in spec._files.items()}
        return {key: files.get(key, value) for key, value in values.items() if key not in self.base.model_fields}
