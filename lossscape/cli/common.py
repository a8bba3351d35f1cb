"""What commands share: options, and where results lie."""

from pathlib import Path

import typer

QUIET = typer.Option(False, "--quiet", "-q", help="No progress; only where the results lie.")


def tell(**found: Path | str) -> None:
    """Print where results lie, one a line; nothing of what is empty."""
    shown = {name.replace("_", " "): str(where) for name, where in found.items() if str(where)}
    width = max(map(len, shown))
    for name, where in shown.items():
        typer.echo(f"{name:<{width}}  " + where.replace("\n", "\n" + " " * (width + 2)))
