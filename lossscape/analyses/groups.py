"""Runs that belong together: those whose configs differ in a few keys only, under what their names share."""

import copy
import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from lossscape import yamlfile
from lossscape.errors import BadInput
from lossscape.runfiles import RunFiles

OF_A_SEED = ("name", "seed", "device")
"""Keys of a config in which runs may differ and still are of one group."""
RATE = "optimizer.lr"
_SEED = re.compile(r"[-_.]?seed[-_=]?\d+")
_RATE = re.compile(r"[-_.]?lr[-_=]?\d[\d.]*(e[-+]?\d+)?")


def plain_config(run: RunFiles) -> dict[str, Any]:
    """A run's config as plain data. Raises BadInput where it is none."""
    config = yamlfile.read(run.config_file).data
    if not isinstance(config, dict) or not isinstance(config.get("seed", 0), int):
        raise BadInput(f"{run.config_file}: not the config of a run")
    return config


def shared_names(
    names: Sequence[str], configs: Sequence[dict[str, Any]], apart: Sequence[str] = OF_A_SEED
) -> list[str]:
    """For each run a name that it shares with the runs that differ in nothing but some keys of their configs.

    apart: these keys, dotted.
    """
    bare = [json.dumps(_without(config, apart), sort_keys=True) for config in configs]
    groups: dict[str, list[int]] = {}
    for index, text in enumerate(bare):
        groups.setdefault(text, []).append(index)
    shared = {
        text: common_name([names[index] for index in group], _optimizer(configs[group[0]]))
        for text, group in groups.items()
    }
    taken = Counter(shared.values())
    return [shared[text] if taken[shared[text]] == 1 else f"{shared[text]} ({names[groups[text][0]]})" for text in bare]


def _optimizer(config: dict[str, Any]) -> str | None:
    section = config.get("optimizer")
    return section.get("name") if isinstance(section, dict) else None


def _without(config: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    config = copy.deepcopy(config)
    for key in keys:
        *path, last = key.split(".")
        section: Any = config
        for step in path:
            section = section.get(step) if isinstance(section, dict) else None
        if isinstance(section, dict):
            section.pop(last, None)
    return config


def without_seed(name: str) -> str:
    """A name without the seed that it tells, where more than that is told."""
    return _SEED.sub("", name).lstrip("-_.") or name


def common_name(names: Sequence[str], otherwise: str | None = None) -> str:
    """What the names of runs with different seeds share: dnn of dnn_s0 and dnn_s1, or of dnn-seed1 and dnn-seed12.

    A seed, or a learning rate, that is named in the middle is left out of all: adam of adam-lr-0.1 and adam-lr-1.

    otherwise: the name where these tell learning rates, and nothing else that all share: lr-0.1 and lr-1.
    """
    if len(names) == 1:
        return names[0]
    for patterns in ((_SEED,), (_RATE,), (_SEED, _RATE)):
        left = set(names)
        for pattern in patterns:
            left = {pattern.sub("", name) for name in left}
        if len(left) == 1 and (name := left.pop().lstrip("-_.")):
            return name
    if otherwise and all(_RATE.sub("", name).rpartition("/")[2] == "" for name in names):
        return otherwise
    columns = zip(*names, strict=False)
    start = "".join(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))
    if all(re.fullmatch(r"\d*", name[len(start) :]) for name in names):
        start = start.rstrip("0123456789")  # of seeds that begin with the same digit
    start = re.sub(r"([-_. ]+(seed|s)?[-_.= ]*|seed)$", "", start)
    return start or f"{names[0]} and {len(names) - 1} more"
