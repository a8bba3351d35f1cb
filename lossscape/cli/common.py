"""What commands share: options, what is said on stdout, and where results lie."""

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from lossscape.text import UNDRAWN, printable, undrawn_words

QUIET = typer.Option(False, "--quiet", "-q", help="No progress; only where the results lie.")


class Command(TyperCommand):
    """A command that refuses an option with a value that is given twice: of two values one would be left out.

    In its end it says once which characters its figures could not show.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises a usage error."""
        if not ctx.resilient_parsing:
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            for each in order:
                if order.count(each) > 1 and not (each.multiple or getattr(each, "is_flag", False)):
                    ctx.fail(f"{each.opts[0]}: given twice")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        UNDRAWN.clear()
        answer = super().invoke(ctx)
        if words := undrawn_words():
            typer.echo(f"lossscape: {words}", err=True)
        return answer


def say(text: str) -> None:
    """Print lines, with what a terminal would obey written out."""
    for line in text.split("\n"):
        typer.echo(printable(line))


def tell(**found: Path | str) -> None:
    """Print where results lie, one a line; nothing of what is empty."""
    shown = {name.replace("_", " "): str(where) for name, where in found.items() if str(where)}
    width = max(map(len, shown))
    for name, where in shown.items():
        say(f"{name:<{width}}  " + where.replace("\n", "\n" + " " * (width + 2)))
