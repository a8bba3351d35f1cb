"""The user's own Python, as configs name it: `package.module:function` or `path/to/file.py:function`."""

import ast
import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from lossscape.errors import BadInput

Guard = Callable[[str, Path | None], None]
"""(name, file) before the code that a config names is imported; file: None for a module. Raises BadInput."""
PREFIX = "lossscape_user_"
"""Begins the names of modules that were loaded from a file, which nothing can import by name."""
_NEIGHBOURS: set[str] = set()
"""Names of modules that such files imported from their own folders."""


def parts(name: str) -> tuple[str, str]:
    """The file or module, and the function in it. Raises BadInput for another form."""
    module, _, function = name.rpartition(":")
    if not module or not function.isidentifier():
        raise BadInput(f"{name!r} is not of the form package.module:function or path/to/file.py:function")
    return module, function


def find_file(path: str, folder: Path | None) -> Path:
    """A file that a config names, looked for from `folder` (the config's) first, then from the working directory.

    Raises BadInput that names both.
    """
    looked = dict.fromkeys([(folder or Path()).resolve(), Path.cwd()])
    for start in looked:
        for file in (start / path, Path(os.path.normpath(start / path))):  # the folder may not be there yet
            if file.is_file():
                return file.resolve()
    raise BadInput(f"there is no file {path!r} (looked from {' and '.join(map(str, looked))})")


def load(name: str, folder: Path | None = None, guard: Guard | None = None) -> Callable[..., Any]:
    """The function that `package.module:function` or `path/to/file.py:function` names.

    folder: where the file is looked for first; guard: is asked before anything is imported. Raises BadInput with what
    was tried: a missing file or module, an error while importing it, no such name.
    """
    module_name, function_name = parts(name)
    file = find_file(module_name, folder) if module_name.endswith(".py") else None
    if guard is not None:
        guard(name, file)
    try:
        module = _module_named(module_name) if file is None else _module_at(file)
    except (Exception, SystemExit) as error:  # whatever the user's module raises is the user's to read
        raise BadInput(f"importing {module_name!r} failed: {type(error).__name__}: {error}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise BadInput(f"{module_name!r} has no function {function_name!r}; it has: {', '.join(names) or 'none'}")
    return function


@contextmanager
def blamed(what: str, own: bool = True) -> Iterator[None]:
    """Whatever the user's own code raises is the user's to read: BadInput that begins with `what`.

    own: False where the code is of this package, whose errors are passed on.
    """
    try:
        yield
    except Exception as error:
        if not own or isinstance(error, BadInput):
            raise
        raise BadInput(f"{what} {type(error).__name__}: {error}") from error


def loaded() -> list[ModuleType]:
    """The modules that another process cannot import by name: users' files, and what they import beside them."""
    return [module for name, module in sys.modules.items() if name.startswith(PREFIX) or name in _NEIGHBOURS]


def imported_by(files: Iterable[Path]) -> list[Path]:
    """What the user's code in some files imports from its own folders and the working directory, and these in turn.

    Found in the text, so that it is told before it is run, also where a function imports; and in what was imported
    below these folders. Files are among them that are not there, and would be imported if they were.
    """
    found = dict.fromkeys(file.resolve() for file in files)
    if not found:
        return []
    folders = list(dict.fromkeys([*(file.parent for file in found), Path.cwd()]))
    todo = [*found, *_imported_below(folders)]
    looked = set[Path]()
    while todo:
        file = todo.pop()
        if _is_installed(file):
            continue
        found.setdefault(file)
        if file not in looked and file.is_file():
            looked.add(file)
            todo += [each for name, above in _names_imported(file) for each in _places(name, above or folders)]
    return list(found)


def _imported_below(folders: list[Path]) -> list[Path]:
    """The files of modules that this process has imported from some folders, or from what lies in them."""
    known = [Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))]
    return [file for file in known if any(file.is_relative_to(folder) for folder in folders)]


def _is_installed(file: Path) -> bool:
    """Whether a file is of this package or another one, whose environment may lie in the user's folder."""
    return any(file.is_relative_to(folder) for folder in (str(Path(__file__).parent), *sysconfig.get_paths().values()))


def _names_imported(file: Path) -> Iterator[tuple[str, list[Path]]]:
    """The modules that the text of a file imports, and where those with leading dots lie; none of what is no Python."""
    nodes: Iterable[ast.AST] = ()
    with suppress(OSError, SyntaxError, ValueError):
        nodes = ast.walk(ast.parse(file.read_bytes()))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((each.name, []) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = [file.parents[node.level - 1]] if 0 < node.level <= len(file.parents) else []
            yield from ((".".join(filter(None, (node.module, each.name))), above) for each in node.names)


def _places(name: str, folders: list[Path]) -> Iterator[Path]:
    """The files that `import a.b` runs, a package before what is in it, or would run if they were there."""
    for folder in folders:
        place = folder
        for part in name.split("."):
            yield from (place / f"{part}.py", place / part / "__init__.py")
            place = place / part
            if not place.is_dir():
                break


def see_working_directory() -> None:
    """Let modules be imported from the current folder, which a console script does not see by itself."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def _module_named(name: str) -> ModuleType:
    see_working_directory()
    return importlib.import_module(name)


def _module_at(path: Path) -> ModuleType:
    # a file that was changed while this process runs is another module
    name = f"{PREFIX}{path.stem}_{abs(hash((str(path), path.read_bytes()))):x}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            with _importable(path.parent):
                spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let `import helpers` find a file's neighbours first, and never a module of that name from elsewhere."""
    names = {file.stem for file in folder.glob("*.py")} | {file.parent.name for file in folder.glob("*/__init__.py")}
    names -= sys.stdlib_module_names
    aside = {
        name: sys.modules.pop(name)
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in names and not _lies_in(folder, module)
    }
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        new = set(sys.modules) - before - set(aside)
        _NEIGHBOURS.update(name for name in new if name.partition(".")[0] in names)
        sys.modules.update(aside)


def _lies_in(folder: Path, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(folder)
