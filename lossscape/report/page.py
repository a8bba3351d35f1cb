"""The report: one folder with an index.html that can be read anywhere, offline, and sent to someone."""

import base64
import gzip
import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import jinja2
from markupsafe import Markup

from lossscape import manifest
from lossscape.analyses import ANALYSES
from lossscape.errors import BadInput
from lossscape.figures.facts import Facts, facts_of, full_names
from lossscape.figures.how import how
from lossscape.figures.metrics import metric
from lossscape.figures.section import (
    Chart,
    File,
    Page,
    Part,
    Picture,
    Section,
    Table,
    chart_text,
    flat_rows,
    read_bytes,
)
from lossscape.figures.style import Looks
from lossscape.figures.training import SPLITS, shown_words, training_alt, training_chart
from lossscape.files import check_writable, remove, sweep, write_bytes, write_text
from lossscape.report.sections import UNREADABLE, LeftOut, Results, by_hand, find, of_folders, reason_of, together
from lossscape.report.single import single_path
from lossscape.report.sweep import SweepPart, sweep_part
from lossscape.runfiles import OF_THE_CALL, RunFiles, is_sweep
from lossscape.text import counted
from lossscape.unchanged import keep, stamp_of, unchanged

PLOTLY = "files/plotly.min.js"
SCRIPTS = ("page.js", "reading.js", "charts.js")
FORMATS = (".png", ".svg", ".pdf", ".gif", ".mp4")
OUTCOMES = {
    "passed": ("✓", "passed"), "failed": ("✗", "FAILED"), "unchecked": ("–", "without a certificate of their own")
}  # fmt: skip
"""By outcome of a certificate: its mark, and its words."""


@dataclass(frozen=True)
class RunPart:
    """What the page shows of one run."""

    anchor: str
    name: str
    facts: Facts | None
    config: str
    environment: Table | None
    """What it says of the work."""
    machine: Table | None
    """What it says of the machine and the call, by which two runs of the same work differ."""
    training: Chart | None
    files: list[File]
    found: Results
    problems: list[LeftOut]
    """Of its own files and of its results."""
    changed: str = ""
    """A sentence that names the files that were changed on purpose."""
    colour: str = ""
    """In all figures of several runs."""


def write_report(
    runs: Sequence[RunFiles],
    folder: Path,
    *,
    log: bool = False,
    front: Callable[[Page], Section] | None = None,
    brief: bool = False,
    beside: Sequence[Path] = (),
    of: Sequence[Path] | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Path:
    """Write folder/index.html and its files from what the runs hold now; returns the page's path.

    log: logarithmic loss axes; front: makes what stands before the runs, of a study, in place of what compares them
    all; brief: of each run only its line in the table; beside: folders of results that are shown too, of races that
    no run made, and of sweeps; of: the folders that all of it is read from, by default the runs and what lies
    beside them; say: is given what is left out. What cannot be read is listed with the reason. Written again from
    the same files it is the same to the byte, so one that would be is left as it lies. Raises BadInput where there
    is no run or the folder cannot be written.
    """
    if not (runs or beside):
        raise BadInput("no run to report on")
    check_writable(folder)
    sweep(folder, below=True)
    sweeps = [home for home in beside if is_sweep(home)]
    stamp = stamp_of(
        _read_from(runs, beside) if of is None else of, [[str(run.path) for run in runs], log, brief, how()]
    )
    if (kept := unchanged(folder, stamp)) is not None:
        for words in kept:
            say(words)
        return folder / "index.html"
    page = Page(folder, log=log, looks=Looks(tuple((run.name, run.path.resolve()) for run in runs)))
    names = full_names(runs)
    own, comparison, apart, swept, *slugs = _slugs(["study", "comparison", "together", "sweeps", *names])
    first = front(page.below(own)) if front else None
    hidden: set[Path] = set()
    among = together([run.path for run in runs], page.below(apart), hidden)
    results_beside = [each for each in beside if each not in sweeps]
    for name, sections in of_folders(results_beside, page.below(apart)).sections.items():
        among.sections[name] = [*among.sections.get(name, []), *sections]
    parts = [
        _brief(run, name, f"run-{index}") if brief else _part(run, name, f"run-{index}", page.below(slug), hidden)
        for index, (run, name, slug) in enumerate(zip(runs, names, slugs, strict=True), 1)
    ]
    shown, problems = _sweeps(sweeps, page.below(swept), hidden, alone=len(sweeps) == len([*runs, *beside]))
    problems += among.problems
    pictures: list[Part] = []
    if len(runs) > 1 and not first:
        pictures, more = _comparison(runs, parts, page.below(comparison))
        problems = [*more, *problems]
    of_runs = [parts[0].name] if len(parts) == 1 else [f"{len(parts)} runs"] if parts else []
    others = [f"sweep {home.resolve().name}" for home in sweeps] + [each.name for each in results_beside]
    title = first.title if first else ", ".join([*of_runs, *others] if not parts or sweeps else of_runs)
    results = [(part.name, *each) for part in parts for each in part.found.shown]
    results = [*(("several runs", *each) for each in among.shown), *results]
    results += [(part.section.title, *each) for part in shown for each in part.found.shown]
    metrics = list(dict.fromkeys(name for part in parts if part.facts for name in part.facts.others))
    text = _render(
        plotly=_write_charts(folder, _charts(first, *parts, *pictures, among, *shown)), early=_scripts("early.js"),
        scripts=_scripts(*SCRIPTS), formats=partial(_formats, folder), OUTCOMES=OUTCOMES, results=results,
        counts=Counter(section.outcome for *_, section in results), marked=any(part.found.shown for part in parts),
        title=title, front=first, parts=parts, brief=brief, comparison=pictures, together=among, problems=problems,
        sweeps=shown,
        failed=[
            *_failed("together", among), *(each for part in parts for each in _failed(part.name, part.found)),
            *(each for part in shown for each in _failed(part.section.title, part.found)),
        ],
        columns=[f"{split} {metric(name).label}" for split in SPLITS for name in ("loss", *metrics)],
        cells={part.anchor: _cells(part.facts, metrics) for part in parts if part.facts},
    )  # fmt: skip
    write_text(folder / "index.html", text)
    left_out = [("", problems), *((f"{part.name}, ", part.problems) for part in parts)]
    said = [f"left out: {name}{each.name}: {each.reason}" for name, left in left_out for each in left]
    for words in said:
        say(words)
    remove(single_path(folder))
    keep(folder, stamp, said)
    return folder / "index.html"


def _sweeps(
    homes: Sequence[Path], page: Page, hidden: set[Path], *, alone: bool
) -> tuple[list[SweepPart], list[LeftOut]]:
    """Sweeps, and which are left out. Raises BadInput where there is nothing else to show."""
    shown: list[SweepPart] = []
    problems: list[LeftOut] = []
    for home, slug in zip(homes, _slugs([home.resolve().name for home in homes]), strict=True):
        try:
            shown.append(sweep_part(home, page.below(slug), f"sweep-{len(shown) + 1}", hidden))
            problems += shown[-1].found.problems
        except UNREADABLE as error:
            problems.append(LeftOut(f"sweep {home.name}", reason_of(error)))
            if alone and not shown and len(problems) == len(homes):
                raise
    return shown, problems


def _read_from(runs: Sequence[RunFiles], beside: Sequence[Path]) -> list[Path]:
    """The folders that a page of runs is read from."""
    homes = dict.fromkeys(run.path.absolute().parent for run in runs)
    shared = [home / analysis.results for home in homes for analysis in ANALYSES.values() if analysis.runs_of]
    return [*(run.path for run in runs), *beside, *shared]


def _failed(name: str, found: Results) -> list[tuple[str, Section]]:
    return [(name, each) for _, sections in found.groups for each in sections if each.failures]


def _slugs(names: Sequence[str]) -> list[str]:
    taken: list[str] = []
    for name in names:
        safe = re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "unnamed"
        count, unique = 1, safe
        while unique.casefold() in map(str.casefold, taken):
            count += 1
            unique = f"{safe}-{count}"
        taken.append(unique)
    return taken


def _part(run: RunFiles, name: str, anchor: str, page: Page, hidden: set[Path]) -> RunPart:
    facts, training, config, files, problems = None, None, "", [], []
    work: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    for file in (run.metrics_file, run.config_file, run.environment_file):
        if file.exists():
            try:
                files.append(page.copy(file))
            except BadInput as error:
                problems.append(LeftOut(file.name, reason_of(error)))
    try:
        config = read_bytes(run.config_file).decode(errors="replace")
        for key, value in run.environment().items():
            (machine if key in OF_THE_CALL else work)[key] = value
        facts = facts_of(run)
        training = training_chart([run], page, training_alt(facts))
    except UNREADABLE as error:
        problems.append(LeftOut("training", reason_of(error)))
    found = find(run.path, page, anchor, hidden)
    names = manifest.accepted(run.path)
    look = page.looks.lines([run.path], [1])[0]
    return RunPart(
        anchor=anchor,
        name=name,
        facts=facts,
        config=config,
        environment=Table(flat_rows(work)) if work else None,
        machine=Table(flat_rows(machine), title="Of the machine and the call:") if machine else None,
        training=training,
        files=files,
        found=found,
        problems=[*problems, *found.problems],
        changed=by_hand(names).lines[0] if names else "",
        colour=look["color"] or "",
    )


def _brief(run: RunFiles, name: str, anchor: str) -> RunPart:
    """A run by its line alone."""
    facts = None
    with suppress(*UNREADABLE):
        facts = facts_of(run)
    return RunPart(anchor, name, facts, "", None, None, None, [], Results(), [])


def _comparison(runs: Sequence[RunFiles], parts: Sequence[RunPart], page: Page) -> tuple[list[Part], list[LeftOut]]:
    pictures: list[Part] = []
    problems: list[LeftOut] = []
    readable = [(run, part.facts) for run, part in zip(runs, parts, strict=True) if part.facts is not None]
    try:
        if len(readable) > 1:
            chosen = [run for run, _ in readable]
            shown = shown_words([facts for _, facts in readable])
            alt = f"{shown} by epoch of {counted(len(chosen), 'run')}; the table has their last values."
            pictures.append(training_chart(chosen, page, alt))
        for name, analysis in ANALYSES.items():
            results = {part.name: part.found.results[name] for part in parts if name in part.found.results}
            if len(results) > 1 and (compare := analysis.compare):
                pictures += compare(results, page)
    except UNREADABLE as error:
        problems.append(LeftOut("comparison", reason_of(error)))
    return pictures, problems


def _cells(facts: Facts, others: Sequence[str]) -> list[str]:
    values = [(name, facts.last.get(f"{split}_{name}")) for split in SPLITS for name in ("loss", *others)]
    missing = "–" if facts.last else "none yet"
    return [missing if value is None else metric(name).text(value) for name, value in values]


def _charts(*sources: Any) -> list[Chart]:
    """The charts among parts, and among the parts of sections."""
    found: list[Chart] = []
    for source in sources:
        if isinstance(source, Chart):
            found.append(source)
        elif isinstance(source, Section):
            found += _charts(*source.parts)
        elif isinstance(source, Results):
            found += _charts(*(each for sections in source.sections.values() for each in sections))
        elif isinstance(source, RunPart):
            found += _charts(source.training, source.found)
        elif isinstance(source, SweepPart):
            found += _charts(source.section, *source.more, source.found)
    return found


def _write_charts(folder: Path, charts: Sequence[Chart]) -> str:
    """Write the charts' data and what draws them; returns the address of the latter, none where there is no chart."""
    for chart in charts:
        write_text(folder / unquote(chart.source), chart_text(chart))
    if charts:
        write_bytes(folder / PLOTLY, plotly_script())
    return PLOTLY if charts else ""


@cache
def plotly_script() -> bytes:
    """What draws charts in a browser, packed to two fifths: a script that hands it to the page's, which unpacks it.

    It is taken from the package that brings it along; nothing of that is run here.
    """
    spec = importlib.util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise BadInput("plotly is not installed: pip install plotly")
    text = (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_bytes()
    head = text[: text.index(b"*/") + 2] if text.startswith(b"/*") else b""
    packed = base64.b64encode(gzip.compress(text, 9, mtime=0))
    return head + b'\nlossscape.packed("%s", "%s");\n' % (PLOTLY.encode(), packed)


def _scripts(*names: str) -> Markup:
    return Markup("\n".join((Path(__file__).parent / name).read_text() for name in names))


def _formats(folder: Path, picture: Picture) -> list[File]:
    """A picture's file, and the same in other formats as far as they lie beside it."""
    path = Path(unquote(picture.source))
    found = [each for ending in FORMATS if (folder / (each := path.with_suffix(ending))).is_file()]
    return [(each.suffix[1:].upper(), quote(each.as_posix())) for each in dict.fromkeys([path, *found])]


def _render(**context: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(**context)
