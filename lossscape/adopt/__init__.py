"""Adoption: a run directory from weights that were trained elsewhere, so that every command works on them."""

from collections.abc import Sequence
from pathlib import Path

from lossscape import data, devices, models, weights
from lossscape.adopt import keep
from lossscape.adopt.files import numbers_of
from lossscape.adopt.fit import Fitted, fitted
from lossscape.config import RunConfig
from lossscape.errors import BadInput
from lossscape.files import held
from lossscape.manifest import sha256
from lossscape.progress import Progress
from lossscape.runs import Run
from lossscape.signals import Interrupted, stop_on_signals
from lossscape.train.checks import ADOPTED
from lossscape.train.state import say_state

__all__ = ["adopt"]


def adopt(
    config: RunConfig,
    files: Sequence[Path],
    folder: str | Path = "runs",
    *,
    epochs: Sequence[int] | None = None,
    overwrite: bool = False,
    quiet: bool = True,
) -> Run:
    """Make `folder`/name of checkpoint files, or add those that it has not; returns the run.

    epochs: one for each file; by default the numbers that tell their names apart, else their order from 0 on. All files
    are read and checked before anything is written. Raises BadInput (nothing was changed) or Interrupted.
    """
    run = Run(Path(folder) / config.name)
    device = devices.pick(config.device)
    keep.check_config(run, config.resolved(run.path), overwrite)
    loaded = data.load(config.dataset, device)
    model = models.build(config.model, loaded.shape, loaded.outputs, config.seed)
    subject = keep.subject_of(run, config, loaded, model, device)
    known = {} if overwrite else keep.entries(run)
    wanted = _numbered(subject, files, epochs if epochs is not None else numbers_of(files), known)
    for file in wanted.values():
        _read(file, subject)
    with held(run.path, "adopting"):
        keep.check_config(run, subject.resolved(), overwrite)  # again: reading took its time
        if not wanted and not known:
            return run
        if wanted:
            keep.begin(subject, "running", overwrite=overwrite)
        samples = len(loaded.train) + len(loaded.test)
        progress = Progress(run.name, samples * len(wanted), "samples", quiet=quiet)
        with stop_on_signals() as stop, progress:
            for epoch, file in wanted.items():
                fit = _read(file, subject)
                progress.announce(f"epoch {epoch}: {file}" + (f" ({fit.words})" if fit.words else ""))
                origin = {"file": file.name, "sha256": sha256(file), **fit.facts}
                keep.add(subject, epoch, fit.state, origin, progress.advance)
                if stop.number is not None:
                    say_state(run, "interrupted")
                    raise Interrupted(stop.number, "the same command; what was adopted stays")
        say_state(run, ADOPTED)
    return run


def _read(file: Path, subject: keep.Subject) -> Fitted:
    return fitted(weights.read(file, mapped=True), subject.model, str(file))


def _numbered(
    subject: keep.Subject, files: Sequence[Path], numbers: Sequence[int] | None, known: dict[int, dict[str, object]]
) -> dict[int, Path]:
    """The files that the run lacks, by epoch. Raises BadInput where an epoch is another file's."""
    if numbers is None:  # by their order, behind what is there
        taken = {str(entry.get("sha256")): epoch for epoch, entry in known.items()}
        free = max(known, default=-1) + 1
        counted = iter(range(free, free + len(files)))
        numbers = [taken[digest] if (digest := sha256(file)) in taken else next(counted) for file in files]
    if len(numbers) != len(files):
        raise BadInput(f"{len(files)} files need as many epochs, and {len(numbers)} are given")
    for epoch, file in zip(numbers, files, strict=True):
        if epoch in known and known[epoch].get("sha256") != sha256(file):
            origin = f"adopted from another file ({known[epoch]['file']})" if "file" in known[epoch] else "recorded"
            raise BadInput(
                f"{file}: epoch {epoch} of {subject.run.path} was {origin}; say its own with --epochs, or choose "
                "another --name"
            )
    wanted = sorted(zip(numbers, files, strict=True))
    return {epoch: file for epoch, file in wanted if not (epoch in known and keep.complete(subject, epoch))}
