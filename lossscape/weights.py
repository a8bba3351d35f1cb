"""Weights from files: read as tensors and plain values only, so that nothing in a file is ever run."""

import pickle
import re
import warnings
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from lossscape import manifest
from lossscape.errors import BadInput, short

SAFETENSORS = ".safetensors"


def read(path: Path, *, mapped: bool = False) -> Any:
    """What a file of torch.save or of safetensors holds, on the CPU.

    mapped: what is asked for is read when it is asked for, where the file's format allows that. Raises BadInput where
    the file is missing or truncated, or holds code instead of tensors.
    """
    if path.suffix == SAFETENSORS:
        return _read_safetensors(path)
    try:
        manifest.check(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch doubts protocols and storages that it then refuses or reads
            mapped = mapped and is_zipfile(path)  # as torch saves since version 1.6
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except BadInput:
        raise
    except FileNotFoundError:
        raise BadInput(f"{path}: no such checkpoint") from None
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"holds {found[1]}" if found else "truncated, or holds something else than tensors"
        raise BadInput(f"{path}: {what}: pickled code and objects are not loaded; store model.state_dict()") from None
    except Exception as error:  # torch.load has no common error for broken files
        why = str(error).split(". ")[0] or type(error).__name__
        raise BadInput(f"{path}: truncated or not a checkpoint ({why}); train again or take another") from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise BadInput(f"{path}: is read by the package safetensors: pip install 'lossscape[safetensors]'") from None
    try:
        return load_file(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such checkpoint") from None
    except SafetensorError as error:
        raise BadInput(f"{path}: truncated or not a checkpoint ({error}); take another") from None


def why_no_state_dict(content: Any) -> str | None:
    """Why something is no state_dict: a mapping of names to tensors that hold plain numbers."""
    if not isinstance(content, dict):
        return f"not a state_dict (a mapping of names to tensors), but {type(content).__name__}"
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            return f"not a state_dict (a mapping of names to tensors): {short(key)} is {type(value).__name__}"
        if value.layout != torch.strided or value.is_meta or value.is_nested or value.is_quantized:
            return f"{key} holds no plain numbers ({value.layout}, {value.device}, {value.dtype})"
    return None
