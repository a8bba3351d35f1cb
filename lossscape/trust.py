"""Whose code is run: a run directory that came from somewhere else may name Python that does anything.

A config that the user gives is the user's own word, and what it names is run. A run's config.yaml is not: before a file
or module that it names is imported, it must be one that this machine has trained, adopted or recorded with, byte for
byte, and lie outside of that run's folder; else it takes `--trust-code`, LOSSSCAPE_TRUST_CODE=1 or `trust_code=True`.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from lossscape import usercode
from lossscape.errors import BadInput, Page, see
from lossscape.files import cache_folder

ENVIRONMENT = "LOSSSCAPE_TRUST_CODE"
REMEDY = f"if you trust it, give --trust-code or set {ENVIRONMENT}=1{see(Page.TRUST)}"
_GRANTED = ContextVar("granted", default=False)
_GIVEN: set[tuple[str, str]] = set()
"""Code that this process was given by the user, as in the store."""


@contextmanager
def granted(yes: bool) -> Iterator[None]:
    """Trust all code while this lasts, where `yes` says so."""
    token = _GRANTED.set(yes)
    try:
        yield
    finally:
        _GRANTED.reset(token)


def guard(run: Path | None, trusted: bool = False, *, said: bool = False) -> usercode.Guard:
    """What asks before code is imported that a config of the user's (None), or of a run directory, names.

    said: the user names the code, beside a run: only what lies in the run's folder is asked about then.
    """

    def given(name: str, file: Path | None) -> None:
        _GIVEN.add(_identity(name, file))

    def asked(name: str, file: Path | None) -> None:
        assert run is not None
        files = [file] if file is not None else _files_of(usercode.parts(name)[0])
        what = ", ".join(map(str, files)) or name
        if any(each.is_relative_to(run.resolve()) for each in files):
            raise BadInput(f"{name!r} would run code of the run's own folder, {what}: {REMEDY}")
        code = _identity(name, file)
        if said:
            _GIVEN.add(code)
        elif code not in _GIVEN and code not in _store():
            raise BadInput(
                f"{name!r} would run code that this machine has not trained or adopted with as it is now, {what}: "
                f"{REMEDY}"
            )

    if trusted or _GRANTED.get() or os.environ.get(ENVIRONMENT, "0") not in ("", "0"):
        return lambda name, file: None
    return given if run is None else asked


def remember(codes: Iterable[tuple[str, Path | None]]) -> None:
    """Note (name, file) of code that a run is made with on this machine."""
    known = _store()
    new = [code for code in dict.fromkeys(_identity(*each) for each in codes) if code not in known]
    if not new:
        return
    lines = "".join(json.dumps({"code": name, "sha256": digest}) + "\n" for name, digest in new)
    with suppress(OSError):  # what cannot be noted is asked about
        _file().parent.mkdir(parents=True, exist_ok=True)
        with _file().open("a", encoding="utf-8") as file:
            file.write(lines)


def _file() -> Path:
    return cache_folder() / "trusted_code.jsonl"


def _store() -> set[tuple[str, str]]:
    try:
        lines = _file().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    found = set()
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):  # a line that was torn
            entry = json.loads(line)
            found.add((str(entry["code"]), str(entry["sha256"])))
    return found


def _identity(name: str, file: Path | None) -> tuple[str, str]:
    """A file by its path, a function of a module by its name, and the SHA-256 of what an import would run."""
    return (name if file is None else str(file)), digest_of([(name, file)])


def digest_of(codes: Iterable[tuple[str, Path | None]]) -> str:
    """SHA-256 of what imports of files, or of the functions of modules (None), would run; not of what those import."""
    digest = hashlib.sha256()
    for name, file in codes:
        for each in [file] if file is not None else _files_of(usercode.parts(name)[0]):
            with suppress(OSError):  # its import will tell
                digest.update(each.read_bytes())
    return digest.hexdigest()


def _files_of(module: str) -> list[Path]:
    """The files of a module and of the packages around it, without importing any; none of what is built in."""
    usercode.see_working_directory()
    files, path = [], None
    names = module.split(".")
    for index in range(len(names)):
        finders = [finder.find_spec for finder in sys.meta_path if hasattr(finder, "find_spec")]
        name = ".".join(names[: index + 1])
        spec = next((spec for find in finders if (spec := find(name, path)) is not None), None)
        if spec is None:
            break
        path = spec.submodule_search_locations
        if spec.has_location and spec.origin is not None:
            files.append(Path(spec.origin).resolve())
    return files
