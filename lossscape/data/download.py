"""Published archives: fetched, checked, unpacked; without a network, an answer within seconds."""

import contextlib
import errno
import gzip
import hashlib
import http.client
import os
import queue
import shutil
import socket
import sys
import tarfile
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lossscape.data.vision import torchvision
from lossscape.errors import BadInput, RunFailed

PATIENCE = 5.0
"""Seconds for a server's first answer, and for each piece of a download."""


class NotFetched(Exception):
    """No server gave the file; the text says what each of them said."""


@dataclass(frozen=True)
class Archive:
    """A packed file as it is published: where it may lie already, and the files that it holds."""

    path: Path
    urls: list[str]
    md5: str
    folder: Path
    files: tuple[str, ...]


def fetch(archives: list[Archive], what: str, patience: float = PATIENCE) -> None:
    """Put the files of all archives in their folders; an archive that is not there is downloaded.

    Work is done in a folder beside the data that is gone afterwards, and whole files are moved from there, so
    nothing half-written is ever taken for whole. what: the name that errors begin with; patience: seconds for a
    server's first answer, and for each piece of a download.
    Raises NotFetched where no server gives a file, BadInput where an archive is corrupt or the folder is not
    writable, RunFailed where the disk is full.
    """
    for archive in archives:
        if archive.path.is_file() and digest(archive.path, like=archive.md5) != archive.md5:
            raise corrupt(what, archive.path, "its MD5 sum is not the published one")
    absent = [archive for archive in archives if not archive.path.is_file()]
    if absent and (reason := unreachable(absent[0].urls, patience)):
        raise NotFetched(reason)
    for archive in archives:
        with _work_folder(archive.path.parent, what) as work:
            packed = archive.path
            if archive in absent:
                packed = work / archive.path.name
                _download(archive, work, patience)
            for file in _unpack(packed, archive.files, work):
                archive.folder.mkdir(parents=True, exist_ok=True)
                os.replace(file, archive.folder / file.name)


def digest(path: Path, like: str) -> str:
    """The checksum of a file as it is published: MD5, as torchvision has them, or SHA-256, by the length of `like`."""
    kind = "md5" if len(like) == 32 else "sha256"
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def corrupt(what: str, path: Path, why: str, or_else: str = "") -> BadInput:
    """The error for a file that is there but is not what it should be; or_else: another remedy, after a semicolon."""
    return BadInput(
        f"{what}: {path} is corrupt ({why}); remove it to have it fetched again, or put a whole copy there{or_else}"
    )


def unreachable(urls: list[str], patience: float) -> str | None:
    """Why none of the servers answers within so many seconds; None where one does.

    All are asked at once, in threads, so that a hanging look-up of a name cannot hold the program.
    """
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for url in urls:
        threading.Thread(target=_ask, args=(url, patience, answers), daemon=True).start()
    reasons = []
    try:
        for _ in urls:
            reason = answers.get(timeout=patience)
            if reason is None:
                return None
            reasons.append(reason)
    except queue.Empty:
        reasons.append(f"no answer within {patience:g} s")
    return "; ".join(reasons)


def _ask(url: str, patience: float, answers: "queue.SimpleQueue[str | None]") -> None:
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "lossscape"})
    try:
        urllib.request.urlopen(request, timeout=patience).close()
        answers.put(None)
    except urllib.error.HTTPError:
        answers.put(None)  # it answers; whether it gives the file is seen when asked for it
    except (OSError, ValueError, http.client.HTTPException) as error:
        answers.put(f"{urlsplit(url).netloc}: {getattr(error, 'reason', error)}")


def _download(archive: Archive, folder: Path, patience: float) -> None:
    """Fetch an archive from the first of its mirrors that gives it whole, with a progress bar on stderr."""
    reasons = []
    with _timeout(patience), contextlib.redirect_stdout(sys.stderr):
        for url in archive.urls:
            print(f"lossscape: downloading {url}", file=sys.stderr)
            try:
                torchvision().datasets.utils.download_url(url, str(folder), archive.path.name, archive.md5)
                return
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise RunFailed(f"{folder.parent}: {error.strerror} while downloading {url}") from error
                reasons.append(f"{urlsplit(url).netloc}: {error}")
    raise NotFetched("; ".join(reasons))


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _work_folder(folder: Path, what: str) -> Iterator[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise BadInput(
            f"{what}: {folder} cannot be written ({error.strerror}); give another folder as dataset.root or "
            "LOSSSCAPE_DATA"
        ) from None
    with work:
        yield Path(work.name)


def _unpack(packed: Path, files: tuple[str, ...], work: Path) -> list[Path]:
    """The files of a .tar.gz (found by name, in any folder of it) or the single file of a .gz, in `work`."""
    if not packed.name.endswith(".tar.gz"):
        with gzip.open(packed) as source, (work / files[0]).open("wb") as target:
            shutil.copyfileobj(source, target)
        return [work / files[0]]
    with tarfile.open(packed) as archive:
        for member in archive:
            name = Path(member.name).name
            source_file = archive.extractfile(member) if name in files else None
            if source_file is not None:
                with (work / name).open("wb") as target:
                    shutil.copyfileobj(source_file, target)
    return [work / file for file in files]
