"""Write expected/ anew: python tests/golden/freeze.py [REQUEST]...

What is frozen is a contract with results that people have: the names of folders, settings.yaml, the bytes of CSV at
fp64 with one thread, what certificates check. So this is run only when the contract changes on purpose, and then by
adding: new requests get their files, and those of older ones stay as they are. A request that is in the way of a
change is a result that nobody finds again. The runs in runs/ and their finished results were made once, under
`asking.ENVIRONMENT`, and are not made again at all: settings.yaml names checkpoints by their SHA-256.
"""

import json
import sys
import tempfile
from pathlib import Path

from asking import REPOSITORY, REQUESTS, asked
from comparing import EXPECTED

sys.path.insert(0, str(REPOSITORY))
from lossscape import yamlfile
from lossscape.config import read_experiment


def main() -> None:
    """Freeze the requests that are named, or all and the resolved configs."""
    names = sys.argv[1:]
    EXPECTED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, answer in asked(Path(folder), names).items():
            text = json.dumps(answer, indent=1, ensure_ascii=False)
            (EXPECTED / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    if names:
        return
    for path in EXPECTED.glob("*.json"):
        if path.stem not in REQUESTS:
            path.unlink()
    (EXPECTED / "configs").mkdir(exist_ok=True)
    for path in sorted((REPOSITORY / "configs").glob("*.yaml")):
        text = yamlfile.dump(read_experiment(path).resolved())
        (EXPECTED / "configs" / path.name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
