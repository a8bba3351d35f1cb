"""The weights in a file as the state_dict of a model: taken out of what holds them, without foreign prefixes."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lossscape.errors import BadInput, Page, see
from lossscape.runs import check_finite, check_state
from lossscape.weights import why_no_state_dict

HOLDERS = ("state_dict", "model_state_dict", "model", "module")
"""Keys under which training loops keep a state_dict beside other things."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""Of DistributedDataParallel, torch.compile, and modules that wrap a net."""
SHOWN = 20
"""Keys that a refusal lists, of those that are missing and of those that are left over."""


@dataclass(frozen=True)
class Fitted:
    """A state_dict that fits a model."""

    state: dict[str, Tensor]
    taken_from: str | None
    """The key that held it, or None where it is what the file holds."""
    without: str
    """The prefixes that were stripped from all of its keys; empty where none was."""

    @property
    def facts(self) -> dict[str, str | None]:
        """What was done, for environment.json."""
        return {"taken_from": self.taken_from, "without": self.without}

    @property
    def words(self) -> str:
        """What was done, for people; empty where nothing was."""
        done = [f"from its key {self.taken_from!r}"] if self.taken_from else []
        return ", ".join(done + ([f"without the prefix {self.without!r}"] if self.without else []))


def fitted(content: Any, model: nn.Module, source: str) -> Fitted:
    """The state_dict in what a file holds, with the model's own names.

    Raises BadInput that lists the keys that are missing or left over, or names a tensor that has another shape or NaN.
    """
    held: list[tuple[str | None, Any]] = [(None, content)]
    if isinstance(content, dict):
        held += [(key, content[key]) for key in HOLDERS if isinstance(content.get(key), dict)]
    states = [(key, state) for key, state in held if why_no_state_dict(state) is None]
    if not states:
        raise BadInput(f"{source}: {why_no_state_dict(content)}, nor is one under {', '.join(HOLDERS)}")
    wanted = model.state_dict()
    tried = [_stripped(state, key, wanted) for key, state in states]
    nearest = min(tried, key=lambda each: len(set(each.state) ^ set(wanted)))
    missing = [name for name in wanted if name not in nearest.state]
    extra = [name for name in nearest.state if name not in wanted]
    if missing or extra:
        lists = [f"{word}: {_listed(names)}" for word, names in (("missing", missing), ("left over", extra)) if names]
        raise BadInput(f"{source}: does not fit the config's model; {'; '.join(lists)}{see(Page.ADOPT)}")
    check_state(model, nearest.state, source)
    check_finite(model, nearest.state, source)
    return nearest


def _stripped(state: dict[str, Tensor], key: str | None, wanted: dict[str, Tensor]) -> Fitted:
    """Strip prefixes that all keys share until the keys are the model's, or none is left to strip."""
    without, current = "", _with_shared(state, wanted)
    while set(current) != set(wanted):
        prefix = next((p for p in PREFIXES if current and all(name.startswith(p) for name in current)), None)
        if prefix is None:
            break
        without += prefix
        current = _with_shared({name.removeprefix(without): value for name, value in state.items()}, wanted)
    return Fitted(current, key, without)


def _with_shared(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with the names of tensors that the model shares with one that is there: some formats keep one name."""
    there = {value.data_ptr(): state[name] for name, value in wanted.items() if name in state and value.numel()}
    shared = {
        name: there[value.data_ptr()]
        for name, value in wanted.items()
        if name not in state and value.data_ptr() in there
    }
    return {**state, **shared}


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
