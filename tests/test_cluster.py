"""Blocks on worker processes: the same bits as in one process, whatever is killed on the way."""

import asyncio
import math
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from cases_models import MODEL_CASES
from distributed import Security
from distributed.comm import connect as comm_connect
from torch import nn

from lossscape.errors import BadInput, RunFailed
from lossscape.evaluate import Subspace, Work, cluster
from lossscape.evaluate.cluster import (
    blocks,
    connect,
    cores,
    deliver,
    kept_open,
    open_workers,
    payload,
    some_workers,
    worker,
)
from lossscape.evaluate.cluster.cores import gain, pay, threads_each
from lossscape.evaluate.engine import blocks_of
from lossscape.execution import Execution
from lossscape.objective import Objective, Plan
from lossscape.results.engine import PlannedEngine
from lossscape.results.table import Table, fill, once
from lossscape.runs import split_state
from lossscape.signals import Interrupted
from lossscape.usercode import load

ROOT = Path(__file__).parents[1]
IMPORTS = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
SAMPLES = 50
PLANS = [
    Plan(16, channels_last=False, points=2),
    Plan(16, channels_last=False, name="stacked", points=3),
    Plan(8, channels_last=True, name="folded"),
]
POINTS = [(x / 4, y / 4) for x in range(-3, 4) for y in range(-2, 3)]
GONE_SECONDS = 60


class Cluster:
    """An open cluster of two processes with one thread each, and what it told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.stopped = False
        self.opened = open_workers(workers=2, threads=1, stop=self.stop, tell=self.told.append)
        self.workers = self.opened.__enter__()

    def stop(self) -> None:
        if self.stopped:
            raise Interrupted(signal.SIGINT, "again")

    def evaluate(self, work: Any, places: Sequence[Sequence[tuple[float, ...]]]) -> Iterator[tuple[int, Any]]:
        return self.workers.evaluate(work, PLANS[0], places)


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    """One cluster for all tests that do not close it."""
    opened = Cluster()
    yield opened
    opened.opened.__exit__(None, None, None)


def work_of(model: nn.Module, shape: tuple[int, ...], classes: int) -> Work:
    """A plane through a model's parameters, with a loss that no other process can import."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(SAMPLES, *shape, generator=generator)
    targets = torch.randint(classes, (SAMPLES,), generator=generator)

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return 2 * nn.functional.cross_entropy(outputs, targets, reduction="none")

    origin = split_state(model)[0]
    directions = [
        {name: 0.1 * torch.randn(value.shape, generator=generator) for name, value in origin.items()} for _ in "xy"
    ]
    objectives = {
        "train": Objective(model, loss, inputs, targets),
        "test": Objective(model, "cross_entropy", inputs[:20], targets[:20]),
    }
    return Work(objectives, Subspace(origin, directions, dict(model.named_buffers())))


def singles(count: int) -> list[list[tuple[float, ...]]]:
    """Blocks of one point each."""
    return [[(float(number),)] for number in range(count)]


def wait_for(true: Callable[[], bool], seconds: float = GONE_SECONDS) -> None:
    """Until something is so; an assertion fails after some seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


# --- values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_values_have_the_bits_of_one_process(shared: Cluster, plan: Plan) -> None:
    if plan.name == "folded":  # a user's own net, which workers cannot import
        model = load(f"{ROOT}/tests/nets.py:small_resnet")((3, 8, 8), 4)
        work = work_of(model, (3, 8, 8), 4)
    else:
        case = MODEL_CASES["mlp_batch_norm_prelu"]
        work = work_of(case.model(), case.shape, case.classes)
    places = blocks_of(POINTS, plan)
    one = [work.rows(block, plan) for block in places]
    found = list(shared.workers.evaluate(work, plan, places))
    assert sorted(index for index, _ in found) == list(range(len(places)))
    for index, values in found:
        assert values == one[index]
    for position, (index, _) in enumerate(found):  # coarse points come first
        assert index - position < 2 * blocks.IN_FLIGHT + len(places) / 2  # less the bundles of the other worker


def test_the_work_travels_once_to_each_worker(shared: Cluster, tmp_path: Path) -> None:
    class Counts:
        def __reduce__(self) -> Any:
            return arrive, (str(tmp_path),)

        def rows(self, keys: Any, plan: Any) -> Any:
            return [os.getpid() for _ in keys]

    def arrive(folder: str) -> Counts:
        with Path(folder, str(os.getpid())).open("a") as file:
            file.write("x")
        return Counts()

    work = Counts()
    for _ in range(2):
        wait_for(lambda: len(shared.workers.client.nthreads()) == 2)
        assert len(list(shared.evaluate(work, singles(8)))) == 8
    assert [file.read_text() for file in tmp_path.iterdir()] == ["x", "x"]


def test_a_loop_that_is_left_leaves_the_cluster_usable(shared: Cluster) -> None:
    class Slow:
        def rows(self, keys: Any, plan: Any) -> Any:
            time.sleep(0.05)
            return keys

    work = Slow()
    found = shared.evaluate(work, singles(20))
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert dict(shared.evaluate(work, singles(5))) == dict(enumerate(singles(5)))


# --- who may connect ----------------------------------------------------------------------------------------


class Sprung:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize(("whom", "op"), [("scheduler", "run_function"), ("worker", "run")])
def test_who_does_not_know_the_key_is_turned_away(shared: Cluster, whom: str, op: str, tmp_path: Path) -> None:
    """As another user of the machine would: plainly, by TLS without a key, and with another; then as we ourselves."""
    wait_for(lambda: len(shared.workers.client.nthreads()) == 2)
    scheduler = shared.workers.client.scheduler
    address = {"scheduler": scheduler.address, "worker": next(iter(shared.workers.client.nthreads()))}[whom]
    assert address.startswith("tls://127.0.0.1:")
    sprung = tmp_path / "sprung"
    message = {"op": op, "function": pickle.dumps(Sprung(sprung)), "wait": True, "reply": True}
    for stranger, port in (
        (Security(require_encryption=False), address.replace("tls:", "tcp:")),
        (Security(require_encryption=True), address),
        (Security.temporary(), address),
    ):
        with pytest.raises((OSError, TypeError)):
            asyncio.run(send(port, stranger, message))
        assert not sprung.exists()
    asyncio.run(send(address, shared.workers.client.security, message))
    assert sprung.exists()


async def send(address: str, security: Security, message: dict[str, Any]) -> None:
    """Say something to a part of a cluster, and be answered."""
    comm = await comm_connect(address, timeout=1, **security.get_connection_args("client"))
    try:
        await comm.write(message)
        await asyncio.wait_for(comm.read(), 5)
    finally:
        comm.abort()


# --- deaths and errors --------------------------------------------------------------------------------------


class Answers:
    """Gives the number of the process; blocks listed kill it, or raise."""

    def __init__(self, seconds: float, kills: set[float] = frozenset(), raises: set[float] = frozenset()) -> None:  # type: ignore[assignment]
        self.seconds, self.kills, self.raises = seconds, kills, raises

    def rows(self, keys: Any, plan: Any) -> Any:
        time.sleep(self.seconds)
        if keys[0][0] in self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if keys[0][0] in self.raises:
            raise ArithmeticError("odd\nnumbers")
        return [(os.getpid(), *keys[0])]


@pytest.mark.slow
@pytest.mark.parametrize("looked_at_every", [None, 3.0])
def test_what_a_killed_worker_had_is_done_again(
    shared: Cluster, looked_at_every: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if looked_at_every is not None:  # the rows are missed before the worker is
        monkeypatch.setattr(deliver.Deliverer, "every", looked_at_every)
    told = len(shared.told)
    found: dict[int, Any] = {}
    for index, values in shared.evaluate(Answers(0.02), singles(60)):
        assert index not in found
        found[index] = values
        if len(found) == 20:
            time.sleep(0.5)  # until it has finished what it was sent, so that rows are lost that it has not handed over
            os.kill(values[0][0], signal.SIGKILL)
            time.sleep(0.05)
    assert {index: values[0][1] for index, values in found.items()} == {n: float(n) for n in range(60)}
    wait_for(lambda: any("killed by SIGKILL" in text for text in shared.told[told:]))


def test_a_worker_that_lost_the_work_gets_it_again(shared: Cluster) -> None:
    found: dict[int, Any] = {}
    work, client = Answers(0.02), shared.workers.client
    key = payload.pack(work).key
    for index, values in shared.evaluate(work, singles(30)):
        assert index not in found
        found[index] = values
        if len(found) == 10:
            assert any(has for _, has in client.run(worker.handshake, key).values())
            client.run(worker.forget, key)
    assert sorted(found) == list(range(30))


@pytest.mark.slow
def test_a_block_that_kills_and_one_that_raises_fail_alone(shared: Cluster) -> None:
    found: dict[int, Any] = {}
    work = Answers(0.01, kills={5.0}, raises={7.0})
    with pytest.raises(RunFailed) as raised:
        found.update(shared.evaluate(work, singles(12)))
    assert sorted(found) == [n for n in range(12) if n not in (5, 7)]
    assert "2 of 12 blocks failed, all others are done and kept" in str(raised.value)
    assert "at (5): 3 workers died over it; at (7): ArithmeticError: odd. " in str(raised.value)


def test_where_every_block_fails_the_first_few_suffice(shared: Cluster) -> None:
    with pytest.raises(RunFailed, match=r"[456] of 50 blocks failed, none was finished: at "):
        list(shared.evaluate(Answers(0.0, raises={float(n) for n in range(50)}), singles(50)))


def test_short_blocks_travel_together_and_are_computed_one_by_one(
    shared: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sizes:
        def rows(self, keys: Any, plan: Any) -> Any:
            if keys[0][0] == 300.0:
                raise ArithmeticError("odd")
            return [(len(keys), time.perf_counter()) for _ in keys]

    found: dict[int, Any] = {}
    sent: list[Any] = []
    submit = shared.workers.client.submit
    monkeypatch.setattr(shared.workers.client, "submit", lambda *a, **k: sent.append(submit(*a, **k)) or sent[-1])
    with pytest.raises(RunFailed, match=r"1 of 600 blocks failed, all others are done and kept: at \(300\): Arith"):
        found.update(shared.evaluate(Sizes(), singles(600)))
    assert len(sent) < 200
    assert sorted(found) == [number for number in range(600) if number != 300]
    assert {rows[0][0] for rows in found.values()} == {1}


def test_errors_of_the_user_are_told_as_in_one_process(shared: Cluster) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    work = work_of(model, (12,), 3)
    work.objectives["train"].scoring.loss = lambda outputs, targets: outputs.sum()
    with pytest.raises(BadInput, match="one loss each is needed"):
        list(shared.workers.evaluate(work, PLANS[0], [POINTS]))


def test_other_versions_are_refused(shared: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "versions", lambda: {"torch": "2.0.1", "lossscape": "0.0.9"})
    with pytest.raises(BadInput, match=r"of tls://.*: it has torch .*; here is torch 2\.0\.1, lossscape 0\.0\.9"):
        list(shared.evaluate(Answers(0.0), singles(3)))


def test_work_that_cannot_be_unpacked_is_told(shared: Cluster) -> None:
    class Stays:
        def __reduce__(self) -> Any:
            return fail, ()

    def fail() -> None:
        raise ModuleNotFoundError("No module named 'mine'")

    with pytest.raises(BadInput, match="ModuleNotFoundError: No module named 'mine'"):
        list(shared.evaluate(Stays(), singles(3)))


def test_a_signal_stops_at_once(shared: Cluster) -> None:
    found = shared.evaluate(Answers(10.0), singles(20))
    threading.Timer(0.5, lambda: setattr(shared, "stopped", True)).start()
    before = time.monotonic()
    try:
        with pytest.raises(Interrupted):
            next(found)
    finally:
        shared.stopped = False
    assert time.monotonic() - before < 8


# --- the process that drives ------------------------------------------------------------------------------------


DRIVER = """
    import os, sys, tempfile, time
    from lossscape.evaluate.cluster import open_workers
    from lossscape.signals import Interrupted, stop_on_signals

    assert not {"dask", "distributed", "cloudpickle"} & set(sys.modules)

    class Slow:
        def rows(self, keys, plan):
            time.sleep(0.05)
            return os.getpid()

    with stop_on_signals() as request:
        def stop():
            if request.number:
                raise Interrupted(request.number, "again")
        seen = set()
        blocks = [[(0.0,)]] * 10_000
        try:  # no guard of __main__: nothing imports this script again
            with open_workers(workers=int(sys.argv[1]), threads=1, stop=stop) as cluster:
                for _, pid in cluster.evaluate(Slow(), None, blocks):
                    if pid not in seen:
                        seen.add(pid)
                        print(pid, flush=True)
        except Interrupted as error:
            sys.exit(error.exit_code)
"""


def start_driver(folder: Path, workers: int) -> "tuple[subprocess.Popen[str], list[int]]":
    """A process that evaluates for minutes on workers, and their numbers."""
    folder.mkdir()
    (folder / "driver.py").write_text(textwrap.dedent(DRIVER))
    driver = subprocess.Popen(
        [sys.executable, "driver.py", str(workers)],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": IMPORTS, "TMPDIR": str(folder)},
    )
    assert driver.stdout is not None
    lines = [driver.stdout.readline() for _ in range(workers)]
    assert all(lines), driver.communicate()
    return driver, list(map(int, lines))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "count"), [(signal.SIGTERM, 1), (signal.SIGKILL, 2)])
def test_workers_go_with_their_driver(number: signal.Signals, count: int, tmp_path: Path) -> None:
    driver, workers = start_driver(tmp_path / "driver", count)
    assert all(map(is_alive, workers))
    driver.send_signal(number)
    out, err = driver.communicate(timeout=GONE_SECONDS)
    assert driver.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert (out, err) == ("", "")
    wait_for(lambda: not any(map(is_alive, workers)))
    wait_for(lambda: [file.name for file in (tmp_path / "driver").iterdir()] == ["driver.py"])


# --- a scheduler of the user's ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scheduler_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A scheduler that cannot import lossscape, and a worker that can."""
    folder = tmp_path_factory.mktemp("scheduler")
    file = folder / "scheduler.json"
    without = "import sys; sys.modules['lossscape'] = None; from dask.__main__ import main; main()"
    common = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
    commands = [["-c", without, "scheduler", "--port", "0"], ["-m", "dask", "worker", "--nthreads", "1", "--no-nanny"]]
    processes = [
        subprocess.Popen(
            [sys.executable, *command, *common],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": IMPORTS, "TMPDIR": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    yield file
    for process in reversed(processes):
        process.kill()
        process.wait()
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_scheduler_of_the_user(scheduler_file: Path) -> None:
    wait_for(scheduler_file.exists)
    case = MODEL_CASES["mlp_batch_norm_prelu"]
    work = work_of(case.model(), case.shape, case.classes)
    places = blocks_of(POINTS, PLANS[0])
    key = payload.pack(work).key
    with open_workers(scheduler=str(scheduler_file)) as cluster:
        found = dict(cluster.evaluate(work, PLANS[0], places))
        assert [has for _, has in cluster.client.run(worker.handshake, key).values()] == [True]
    assert [found[index] for index in range(len(places))] == [work.rows(b, PLANS[0]) for b in places]
    with open_workers(scheduler=connect.address_of(str(scheduler_file))) as cluster:
        assert cluster.threads == 1
        assert [has for _, has in cluster.client.run(worker.handshake, key).values()] == [False]  # it was dropped


@pytest.mark.slow
def test_work_of_several_pieces_travels_whole(scheduler_file: Path) -> None:
    class Long:
        def __init__(self) -> None:
            self.numbers = torch.arange(payload.PIECE_BYTES // 4 + 1000, dtype=torch.int32)

        def rows(self, keys: Any, plan: Any) -> Any:
            return [self.numbers.equal(torch.arange(len(self.numbers), dtype=torch.int32))]

    wait_for(scheduler_file.exists)
    assert len(list(payload.pack(Long()).pieces())) == 2
    with open_workers(scheduler=str(scheduler_file)) as cluster:
        assert list(cluster.evaluate(Long(), PLANS[0], singles(1))) == [(0, [True])]


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer() -> None:
    assert cluster.CONNECT_SECONDS <= 10
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (silent.getsockname()[1], 1):
            with (
                pytest.raises(BadInput, match=f"tcp://127.0.0.1:{port}: cannot be reached"),
                open_workers(scheduler=f"tcp://127.0.0.1:{port}", connect_seconds=0.5),
            ):
                pass


def test_tls_without_certificates() -> None:
    with pytest.raises(BadInput, match="certificates"), open_workers(scheduler="tls://127.0.0.1:1"):
        pass


def test_what_is_no_scheduler(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no readable file either"):
        connect.address_of(str(tmp_path / "none.json"))
    for text in ("", "[]", '{"address": 3}', '{"id": "x"}'):
        (tmp_path / "some.json").write_text(text)
        with pytest.raises(BadInput, match="not a file that"):
            connect.address_of(str(tmp_path / "some.json"))


def test_one_or_the_other() -> None:
    for given in ({}, {"workers": 2, "scheduler": "x"}, {"workers": 0}, {"workers": 1, "threads": 0}):
        with pytest.raises(BadInput, match=r"give either --workers N|needs at least 1"), open_workers(**given):  # type: ignore[arg-type]
            pass


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which this process was started with
    assert threads_each(2, 8) == torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert [threads_each(workers, 8) for workers in (2, 3, 9)] == [4, 2, 1]


def test_short_work_is_not_worth_the_start_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """On four cores that all belong to this process, then where both are told to use one core each."""
    monkeypatch.delenv("LOSSSCAPE_WORKERS", raising=False)
    monkeypatch.setattr(cores, "cores", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert [pay(2, seconds, start=3.0) for seconds in (1.0, 29.0, 31.0)] == [False, False, True]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert [pay(2, seconds, start=3.0) for seconds in (1.0, 4.9, 5.1)] == [False, False, True]
    assert pay(2, 1.0, start=0.0)  # they have started
    monkeypatch.setattr(cores, "cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS")
    # where threads wait for one another, 1.25 of two cores are used here, and all of both by processes
    assert [pay(2, seconds, start=3.0, gained=1.25) for seconds in (1.0, 6.3, 6.4)] == [False, False, True]
    assert not pay(2, 29.0, start=3.0, gained=2.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert not pay(2, 100.0, start=0.0, times=3)  # this process does not do it again
    assert pay(4, math.inf)
    monkeypatch.setenv("LOSSSCAPE_WORKERS", "always")
    assert pay(2, 0.0)


def test_what_threads_gain_is_timed_where_they_share_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows that two threads compute in two thirds of the time of one, and of those that nobody would wait for."""
    threads, asked = [2], []
    monkeypatch.setattr(cores, "cores", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda number: threads.__setitem__(0, number))
    clock = iter(range(10**6))
    monkeypatch.setattr(cores.time, "perf_counter", lambda: float(next(clock)))

    class Timed:
        subspace = Subspace({}, [{}, {}])

        def rows(self, block: Any, plan: Plan) -> None:
            asked.append((len(block), threads[0]))
            for _ in range(29 if threads[0] == 1 else 19):
                next(clock)

    plan = Plan(8, channels_last=False, name="factored", points=6, pool=True)
    for each in (plan, replace(plan, pool=False)):  # torch's own threads wait for one another too
        assert gain(Timed(), each, 1e-3) == 1.5  # type: ignore[arg-type]
        assert threads == [2]
        assert set(asked) == {(6, 1), (6, 2)}
        asked.clear()
        assert gain(Timed(), each, 1.0) == 2.0  # type: ignore[arg-type]
        assert not asked


def test_short_work_stays_in_this_process_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LOSSSCAPE_WORKERS", raising=False)
    case, execution = MODEL_CASES["mlp"], Execution(workers=2)
    work = work_of(case.model(), case.shape, case.classes)
    engine = PlannedEngine(tmp_path, work, execution)
    table = Table(tmp_path, "surface.csv", ["x", "y"])
    found = fill(table, work, once(POINTS), total=len(POINTS), execution=execution, engine=engine)
    assert len(found) == len(POINTS)
    assert "; in this process: 2 workers would take longer)" in capsys.readouterr().err
    assert not engine.begun_by_workers
    engine.note(workers=2)
    assert engine.begun_by_workers


def test_workers_that_are_kept_compute_one_table_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    @contextmanager
    def open_them(**given: Any) -> Iterator[Any]:
        opened.append(f"open {given['workers']}")
        yield SimpleNamespace(stop=given["stop"])
        opened.append(f"close {given['workers']}")

    monkeypatch.setattr(cluster, "open_workers", open_them)
    stops = [lambda: None for _ in range(3)]
    with kept_open(), kept_open():
        assert not cluster.are_open(2)
        with some_workers(2, None, None, stops[0]) as first:
            assert first.stop is stops[0]
        with some_workers(2, None, None, stops[1]) as again, some_workers(3, None, 1, stops[2]):
            assert again is first
            assert again.stop is stops[1]
        assert cluster.are_open(2)
        assert opened == ["open 2", "open 3"]
    assert opened == ["open 2", "open 3", "close 3", "close 2"]
    with some_workers(2, None, None, stops[0]):
        assert opened[4:] == ["open 2"]
    assert opened[4:] == ["open 2", "close 2"]


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cluster, "connect")
    for name in [name for name in sys.modules if name.startswith("lossscape.evaluate.cluster.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(BadInput, match=r"pip install lossscape\[cluster\]"), open_workers(workers=2):
        pass


# --- payloads ------------------------------------------------------------------------------------------------


def sent(content: Any, most: int = 10_000, device: torch.device | None = None) -> Any:
    """What arrives of something that is sent in pieces of at most so many bytes."""
    packed = payload.pack(content)
    stream = torch.full((payload.layout(packed.sizes)[1],), 255, dtype=torch.uint8)
    for offset, piece in packed.pieces(most):
        stream.numpy()[offset : offset + len(piece)] = list(piece)
    return payload.unpack(stream, packed.sizes, device)


@pytest.mark.parametrize("piece", [1, 100, 10_000])
def test_tensors_arrive_as_they_are(piece: int) -> None:
    base = torch.arange(24.0).reshape(2, 3, 2, 2)
    tensors = {
        "plain": base,
        "channels_last": base.contiguous(memory_format=torch.channels_last),
        "bf16": base.bfloat16(),
        "bool": base > 3,
        "complex": torch.complex(base, -base),
        "empty": torch.empty(0, 5),
        "number": torch.tensor(3),
        "transposed": torch.randn(3, 4).T,
        "every_second": base[:, ::2],
        "expanded": torch.ones(1).expand(5),
        "expanded_end": torch.arange(4.0)[2:].expand(2, 2),
        "conjugate": torch.complex(base, base).conj(),
    }
    arrived = sent(tensors, piece)
    for name, tensor in tensors.items():
        assert torch.equal(arrived[name], tensor), name
        assert arrived[name].dtype == tensor.dtype
        if name not in ("every_second", "expanded", "expanded_end"):
            assert arrived[name].stride() == tensor.stride(), name
        if tensor.numel():
            assert arrived[name].untyped_storage().data_ptr() % payload.ALIGNMENT == 0, name
        if tensor.is_contiguous():
            arrived[name].zero_()  # its memory is its own, to be written to


def test_shared_tensors_stay_shared_and_large_ones_stay_behind() -> None:
    layer = nn.Linear(30, 30)
    twice = nn.Sequential(layer, layer)
    flat = layer.weight.detach().flatten()  # other tensors of the same memory
    arrived, flat_arrived = sent((twice, flat))
    assert arrived[0].weight is arrived[1].weight
    assert isinstance(arrived[0].weight, nn.Parameter)
    assert arrived[0].weight.requires_grad
    flat_arrived[0] = 5.0
    assert arrived[0].weight[0, 0] == 5.0
    large = torch.zeros(100_000)
    assert sum(payload.pack({"few": large[:10]}).sizes) < 1000
    assert sum(payload.pack([large, large, large.reshape(10, -1)]).sizes) < 410_000


def test_work_of_a_gpu_arrives_on_the_workers_own() -> None:
    packed = payload.pack({"device": torch.device("cuda", 3)})
    assert packed.gpu
    assert not payload.pack({"device": torch.device("cpu"), "x": torch.ones(2)}).gpu
    own = torch.device("cuda", 1)
    assert sent({"device": torch.device("cuda", 3)}, device=own) == {"device": own}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_worker_computes_on_a_gpu_of_its_own(shared: Cluster, count: int) -> None:
    """So many GPUs of a machine are played by torch's devices that hold no numbers."""

    def play(count: int) -> None:
        from lossscape.evaluate.cluster import worker

        worker.gpus = lambda: [torch.device("meta", number) for number in range(count)]

    class OnDevice:
        def __init__(self) -> None:
            self.device, self.count = torch.device("cuda", 0), count  # of the process that sends it

        def rows(self, keys: Any, plan: Any) -> Any:
            time.sleep(0.02)
            return [(os.getpid(), str(self.device))]

    wait_for(lambda: len(shared.workers.client.nthreads()) == 2)
    shared.workers.client.run(play, count)
    answers = {row for _, rows in shared.evaluate(OnDevice(), singles(40)) for row in rows}
    assert len({pid for pid, _ in answers}) == len(answers) == 2
    wanted = {"meta:0"} if count == 1 else {"meta:0", "meta:1"}  # CUDA_VISIBLE_DEVICES may show a worker one alone
    assert {device for _, device in answers} == wanted
    shared.workers.client.run(play, 0)
    with pytest.raises(BadInput, match="the work is for a GPU and there is none here; start with --device cpu"):
        list(shared.evaluate(OnDevice(), singles(1)))


def test_every_worker_of_a_machine_has_a_number_of_its_own() -> None:
    from lossscape.evaluate.cluster.deliver import free_number

    places: dict[str, int] = {}
    for address in ("tcp://10.0.0.1:1", "tcp://10.0.0.1:2", "tcp://10.0.0.2:1", "tls://[::1]:1", "tcp://10.0.0.1:3"):
        places[address] = free_number(address, places)
    assert list(places.values()) == [0, 1, 0, 0, 2]
    del places["tcp://10.0.0.1:2"]
    assert free_number("tcp://10.0.0.1:9", places) == 1
