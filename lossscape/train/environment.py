"""What environment.json records: where and with what a run was made."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lossscape import devices
from lossscape.config import RunConfig
from lossscape.files import write_text
from lossscape.runfiles import CODE
from lossscape.runs import Run
from lossscape.text import printable


def session(device: torch.device, command: list[str] | None = None) -> dict[str, Any]:
    """The facts of this process: versions, device, threads, git commit, command, start."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": printable(" ".join(command or [Path(sys.argv[0]).name, *sys.argv[1:]])),
        **devices.facts(device),
        "git_commit": _git_commit(),
    }


def record(run: Run, device: torch.device, facts: dict[str, Any]) -> None:
    """Write environment.json, or add this session to it where the run goes on."""
    known = run.environment()
    if known:
        known.setdefault("resumed", []).append(session(device))
        content = known
    else:
        content = session(device) | facts
    write_text(run.environment_file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def code_facts(config: RunConfig) -> dict[str, Any]:
    """SHA-256 of the user's code that a config names, where it names any."""
    digests = config.code_digests()
    return {CODE: digests} if digests else {}


def _git_commit() -> str | None:
    """Of the current folder, where it is a git checkout."""
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
