"""Opens a cluster: worker processes of this machine, or the scheduler that a user names."""

import asyncio
import json
import logging
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import dask.config
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Security
from distributed.comm import connect as comm_connect

from lossscape.errors import BadInput, Page, see
from lossscape.evaluate.cluster.blocks import PATIENCE_SECONDS, Workers, first_line
from lossscape.evaluate.cluster.cores import threads_each
from lossscape.evaluate.cluster.processes import Processes
from lossscape.files import read_plain

T = TypeVar("T")
CLOSE_SECONDS = 3.0
LOOPBACK = "127.0.0.1"
LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "asyncio")


@contextmanager
def local(
    workers: int, threads: int | None, connect_seconds: float, stop: Callable[[], None], tell: Callable[[str], None]
) -> Iterator[Workers]:
    """Worker processes of this machine, whose scheduler is a thread of this process."""
    threads = threads or threads_each(workers, CPU_COUNT)
    security = _secret()
    folder = Path(tempfile.mkdtemp(prefix="lossscape-workers-"))
    with ExitStack() as closing:
        closing.callback(shutil.rmtree, folder, ignore_errors=True)
        closing.enter_context(_quiet())
        with dask.config.set({"distributed.scheduler.http.routes": [], "temporary-directory": str(folder)}):
            cluster = LocalCluster(
                n_workers=0, processes=True, host=LOOPBACK, protocol="tls", scheduler_port=0, security=security,
                dashboard_address=None, silence_logs=logging.CRITICAL + 1,
                scheduler_kwargs={"dashboard_address": f"{LOOPBACK}:0"},
            )  # fmt: skip
        closing.callback(_close, cluster)
        address = cluster.scheduler_address
        client = Client(address, set_as_default=False, security=security, timeout=connect_seconds)
        closing.callback(_close, client)
        processes = Processes(workers, address, threads, folder, _told(security))
        closing.callback(processes.kill)
        yield Workers(client, threads, stop, tell, processes)


def _secret() -> Security:
    """A key of this call alone: whoever does not know it is turned away, also on this machine.

    Dask runs what whoever connects sends it. Raises BadInput where the key cannot be made.
    """
    try:
        return Security.temporary()
    except ImportError:
        raise BadInput("--workers needs cryptography for a key: pip install lossscape[cluster]") from None


def _told(security: Security) -> str:
    """The key as a line for a worker's stdin."""
    names = ("tls_ca_file", "tls_worker_key", "tls_worker_cert")
    return json.dumps({name: getattr(security, name) for name in names})


@contextmanager
def remote(
    scheduler: str, threads: int | None, connect_seconds: float, stop: Callable[[], None], tell: Callable[[str], None]
) -> Iterator[Workers]:
    """The workers of a scheduler that runs. Raises BadInput where it cannot be reached or has no workers."""
    address = address_of(scheduler)
    with ExitStack() as closing:
        closing.enter_context(_quiet())
        client = _client(address, connect_seconds, stop)
        closing.callback(_close, client)
        cluster = Workers(client, threads or min(_first_workers(client, address, stop).values()), stop, tell)
        closing.callback(_forget, cluster)
        yield cluster


def address_of(scheduler: str) -> str:
    """The address that --scheduler FILE|ADDRESS names. Raises BadInput."""
    if "://" in scheduler:
        return scheduler
    try:
        text = read_plain(Path(scheduler))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"--scheduler {scheduler}: no address (tcp://HOST:PORT, tls://HOST:PORT), and no readable file either "
            f"({getattr(error, 'strerror', None) or 'not text'}); `dask scheduler --scheduler-file FILE` writes one"
        ) from None
    try:
        address = json.loads(text)["address"]
    except (ValueError, KeyError, TypeError):
        address = None
    if not isinstance(address, str):
        raise BadInput(f"--scheduler {scheduler}: not a file that `dask scheduler --scheduler-file` wrote")
    return address


def patiently(act: Callable[[], T], stop: Callable[[], None], seconds: float = float("inf")) -> T:
    """What `act` gives, computed in a thread while `stop` is called; raises TimeoutError after `seconds`."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(act())
        except BaseException as error:  # raised anew in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    end = time.monotonic() + seconds
    while thread.is_alive():
        stop()
        thread.join(0.05)
        if time.monotonic() > end:
            raise TimeoutError(f"no answer within {seconds:.0f} s")
    if errors:
        raise errors[0]
    return results[0]


def _client(address: str, seconds: float, stop: Callable[[], None]) -> Client:
    """A client of a scheduler; one that cannot connect would hang when it is collected, so knock first."""

    def connect() -> Client:
        try:
            asyncio.run(_knock(address, seconds))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions, which every worker is asked for
                return Client(address, set_as_default=False, timeout=seconds)
        except Exception as error:  # whatever listens there, and whatever its certificates
            raise _unreachable(address, error) from None

    try:
        return patiently(connect, stop, seconds + 1)
    except TimeoutError as error:
        raise _unreachable(address, error) from None


def _unreachable(address: str, error: Exception) -> BadInput:
    return BadInput(
        f"--scheduler {address}: cannot be reached ({first_line(error)}); is `dask scheduler` running there, and for "
        f"tls:// does Dask's configuration name the certificates?{see(Page.CLUSTER)}"
    )


async def _knock(address: str, seconds: float) -> None:
    comm = await comm_connect(address, timeout=seconds, **Security().get_connection_args("client"))
    await comm.close()


def _first_workers(client: Client, address: str, stop: Callable[[], None]) -> dict[str, int]:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            found = patiently(client.nthreads, stop)
        except OSError as error:
            raise _unreachable(address, error) from None
        if found:
            return dict(found)
        time.sleep(0.1)
    raise BadInput(
        f"--scheduler {address}: has no workers; start some: dask worker {address} --nthreads CORES{see(Page.CLUSTER)}"
    )


def _close(opened: Client | LocalCluster) -> None:
    with suppress(Exception):  # what is left ends with this process
        opened.close(timeout=CLOSE_SECONDS)


def _forget(cluster: Workers) -> None:
    with suppress(Exception):  # workers may be gone, and the scheduler too
        patiently(cluster.forget, lambda: None, CLOSE_SECONDS)


@contextmanager
def _quiet() -> Iterator[None]:
    """No words of Dask's on the terminal: we say what matters."""
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in LOGGERS}
    for logger in levels:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
