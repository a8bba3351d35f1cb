"""How the page of the library shows docstrings: lines that say what an argument is become a list."""

import re
from typing import Any

import griffe

ARGUMENT = re.compile(r"^((?:\*\*)?[a-z_]\w*(?:, \w+)*)(?=: )", flags=re.M)


class Lists(griffe.Extension):
    """Runs over every object as it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Make a list of the arguments of a docstring."""
        if obj.docstring:
            lines: list[str] = []
            for line in obj.docstring.value.splitlines():
                item = ARGUMENT.match(line)
                if item and lines and lines[-1].strip() and not lines[-1].startswith(("- ", "  ")):
                    lines.append("")
                if item:
                    line = ARGUMENT.sub(r"- `\1`", line)
                elif lines and lines[-1].startswith(("- ", "  ")) and line.startswith(("Returns", "Raises")):
                    lines.append("")
                elif lines and lines[-1].startswith(("- ", "  ")) and line.strip():
                    line = "  " + line.strip()
                lines.append(line)
            obj.docstring.value = "\n".join(lines)
