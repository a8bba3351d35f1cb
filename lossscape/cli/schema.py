"""lossscape schema"""

import typer

EXAMPLES = """\b
Examples:
    lossscape schema > configs/schema.json
    lossscape schema > schema.json

A config that begins with `# yaml-language-server: $schema=schema.json` is then checked and completed by editors.
"""


def command() -> None:
    """Print the JSON schema of config files, for editors."""
    import json

    from lossscape.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
