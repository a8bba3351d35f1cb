"""Many experiments, so many at a time: each a run of its own, whichever process trains it."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossscape import data, devices
from lossscape.config import Experiment, config_of
from lossscape.errors import BadInput, RunFailed
from lossscape.evaluate.rows import Done, Key, Meter, Row
from lossscape.execution import Execution
from lossscape.files import held
from lossscape.progress import Progress
from lossscape.results.table import AGAIN, computed, raise_if_stopped
from lossscape.runs import Run
from lossscape.signals import Interrupted, stop_on_signals
from lossscape.text import counted
from lossscape.train.checks import FINISHED, check_folder, is_done
from lossscape.train.start import train
from lossscape.train.threads import torch_threads

FAILED, REFUSED = "failed", "refused"


@dataclass(frozen=True)
class Outcome:
    """What became of one experiment."""

    run: Run
    state: str
    """FINISHED; FAILED, while it trained (a loss that is not finite); or REFUSED, before it did."""
    reason: str = ""

    @property
    def why(self) -> str:
        """The reason without remedies, the same wherever the runs lie."""
        return self.reason.partition(";")[0].replace(f"{self.run.path.parent}/", "")

    def checked(self) -> Run:
        """The run, trained. Raises RunFailed where it is not."""
        if self.state != FINISHED:
            raise RunFailed(f"{self.run.name} {self.state}: {self.reason}")
        return self.run


def train_all(
    experiments: Sequence[Experiment],
    folder: str | Path = "runs",
    execution: Execution | None = None,
    *,
    threads: int | None = 1,
    title: str = "training",
) -> list[Outcome]:
    """Train experiments in `folder`/name, `execution.workers` at a time; returns what became of each, in their order.

    By default they are trained one after the other in this process. Runs that exist are continued, finished ones left
    alone; one that fails does not stop the others, and is tried again from its last epoch by the next call. Runs of the
    same threads have the same bits whichever processes train them, and how many. On a scheduler's workers `folder` and
    the data are looked for in the same places as here.

    execution: workers or scheduler, overwrite, and quiet; threads: of torch for each run, one by default, which suits
    small nets; None: as torch has it, or with workers their share of the cores; title: of the progress.

    Raises BadInput before anything is trained where two experiments have the same name, where a run of that name has
    another config, or where data are missing; RunFailed where workers die; OSError where the disk is full; Interrupted
    on SIGINT or SIGTERM, when what was finished is kept.
    """
    execution = execution or Execution(quiet=True)
    home = Path(folder).absolute()
    pending = unfinished(experiments, home, execution.overwrite)
    runs = [Run(home / each.name) for each in experiments]
    found = {index: Outcome(run, FINISHED) for index, run in enumerate(runs)}
    for index in found.keys() - pending:
        with held(runs[index].path, "training"):  # ends what a kill or a full disk broke off when all was done
            pass
    if not pending:
        return list(found.values())
    source = Trainings([experiments[index] for index in pending], home, execution.overwrite, threads)
    source.check_data()
    if execution.processes == 1:  # the same without processes to start
        execution = execution.here
    blocks: list[list[Key]] = [[(key,)] for key in range(len(pending))]
    total = sum(source.cost(key) for (key,) in blocks)
    with stop_on_signals() as stop, Progress(title, total, "epochs", quiet=execution.quiet) as progress:
        finished = 0

        def done(amount: int) -> None:
            raise_if_stopped(stop)
            if amount:
                progress.say(f"run {finished + 1} of {len(pending)}")
                progress.advance(amount)

        progress.announce(f"{title}: {len(pending)} of {counted(len(runs), 'run')} to train in {home}")
        with computed(source, None, None, execution, done, threads) as compute:
            for index, (row,) in compute(blocks):
                finished += 1
                at = pending[index]
                found[at] = Outcome(runs[at], row["state"], row["reason"])
                if row["reason"]:
                    progress.announce(f"{runs[at].name} {row['state']}: {found[at].why}")
        raise_if_stopped(stop)
    return list(found.values())


def unfinished(experiments: Sequence[Experiment], home: Path, overwrite: bool) -> list[int]:
    """Which experiments still have something to train in `home`/name. Raises BadInput where one cannot lie there."""
    seen: set[str] = set()
    pending = []
    for index, experiment in enumerate(experiments):
        if (folded := experiment.name.casefold()) in seen:  # as some file systems tell names apart
            raise BadInput(f"two experiments would be the run {experiment.name}: give each a name of its own")
        seen.add(folded)
        run = Run(home / experiment.name)
        if overwrite or not is_done(run, experiment):
            check_folder(run, experiment, overwrite)
            pending.append(index)
    return pending


class Trainings:
    """Experiments as rows, by their index: what became of each."""

    columns = ("state", "reason")

    def __init__(self, experiments: Sequence[Experiment], home: Path, overwrite: bool, threads: int | None) -> None:
        """home: the folder of the runs, absolute; threads: of torch."""
        self._home, self._overwrite, self._threads = home, overwrite, threads
        self._configs = [each.resolved(home / each.name) for each in experiments]
        """Plain, since what a config is checked against does not travel."""
        self._command = list(sys.argv)
        self._loaded: tuple[str, data.Data] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without data: each worker loads its own."""
        return self.__dict__ | {"_loaded": None}

    def check_data(self) -> None:
        """Raise BadInput where a data set is missing, which workers would find, or download, each for itself."""
        firsts = {json.dumps(config["dataset"]): config for config in reversed(self._configs)}
        for config in firsts.values():  # the first is loaded last, and kept
            self._data(self._experiment(config), config)

    def cost(self, key: Key) -> int:
        """Epochs."""
        return max(1, int(self._configs[key[0]]["training"]["epochs"]))

    def rows(self, keys: Sequence[Key], plan: Any, done: Done | None = None) -> list[Row]:
        """Train them one after the other."""
        return [self._row(key, Meter(done, self.cost(key))) for key in keys]

    def _row(self, key: Key, meter: Meter) -> Row:
        config = self._configs[key[0]]
        sys.argv = self._command  # which a run says that it was made by
        try:
            experiment = self._experiment(config)
            loaded = self._data(experiment, config)
            with torch_threads(self._threads):
                train(experiment, self._home, overwrite=self._overwrite, loaded=loaded, told=meter)
        except Interrupted as error:
            raise Interrupted(error.number, AGAIN) from None
        except (OSError, MemoryError):  # of the machine: the next run would meet it too
            raise
        except BadInput as error:
            return _lost(meter, REFUSED, str(error))
        except RunFailed as error:
            return _lost(meter, FAILED, str(error))
        except Exception as error:  # what a user's own net, loss or data raises ends its own run alone
            return _lost(meter, FAILED, f"{type(error).__name__}: {error}")
        meter.finish()
        return {"state": FINISHED, "reason": ""}

    def _experiment(self, config: dict[str, Any]) -> Experiment:
        return config_of(Experiment, config, config["name"], self._home / config["name"])

    def _data(self, experiment: Experiment, config: Any) -> data.Data:
        """The data set, kept for the next run: most runs of a sweep have the same."""
        device = devices.pick(experiment.device)
        key = json.dumps([config["dataset"], str(device)])
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # before the next one takes memory
            self._loaded = (key, data.load(experiment.dataset, device))
        return self._loaded[1]


def _lost(meter: Meter, state: str, reason: str) -> Row:
    meter.finish()
    return {"state": state, "reason": " ".join(reason.split())}
