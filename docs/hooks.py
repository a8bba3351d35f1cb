"""What `make docs` adds to MkDocs: README as the home page, each command's --help below its page, nothing fetched."""

import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from typer.testing import CliRunner

from lossscape.cli.app import app

ROOT = Path(__file__).parents[1]
OUTSIDE = {"README.md": "index.md", "CHANGELOG.md": "changes.md"}
"""Pages that do not lie in docs/, and what they are called among those that do."""
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]+)(#[^)]*)?\)")
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_FETCHED = {"canonical", "next", "prev", "alternate"}


def on_files(files: Files, config: Any) -> Files:
    """Add README and CHANGELOG."""
    for name, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let links lead to pages of the site, and say what a command's options are."""
    uri = page.file.src_uri
    names = {shown: name for name, shown in OUTSIDE.items()}
    home = names.get(uri, f"docs/{uri}")

    def led(link: re.Match[str]) -> str:
        words, target, fragment = link[1], link[2], link[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(home), target))
        if path not in OUTSIDE and not path.startswith("docs/"):
            return words  # a file of the source, which the site does not hold
        shown = OUTSIDE.get(path, path.removeprefix("docs/"))
        return f"[{words}]({posixpath.relpath(shown, posixpath.dirname(uri) or '.')}{fragment})"

    return LINK.sub(led, markdown) + options_of(uri)


def options_of(uri: str) -> str:
    """What `--help` says, below the page of a command."""
    folder, name = posixpath.split(uri)
    command = name.removesuffix(".md")
    if folder != "commands" or command == "index":
        return ""
    said = CliRunner().invoke(
        app, [command, "--help"], env={"COLUMNS": "100", "TERMINAL_WIDTH": "100"}, prog_name="lossscape"
    )
    if said.exit_code:
        raise PluginError(f"{uri} is the page of no command: {said.output}")
    return f"\n\n## lossscape {command} --help\n\n```text\n{said.output.strip()}\n```\n"


class Fetched(HTMLParser):
    """The addresses that a browser fetches as it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in FETCHED and (given.get("rel") or "") not in NOT_FETCHED:
            self.found.append(given.get(FETCHED[tag]) or "")


def on_post_build(config: Any) -> None:
    """Refuse a site that asks another machine for anything."""
    for file in Path(config["site_dir"]).rglob("*.html"):
        page = Fetched()
        page.feed(file.read_text(encoding="utf-8"))
        refuse(file, page.found)
    for file in Path(config["site_dir"]).rglob("*.css"):
        refuse(file, re.findall(r"url\(['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", file.read_text(encoding="utf-8")))


def refuse(file: Path, addresses: list[Any]) -> None:
    """Raise PluginError where one of them is of another machine."""
    for address in (each if isinstance(each, str) else "".join(each) for each in addresses):
        if re.match(r"(https?:)?//", address):
            raise PluginError(f"{file}: {address} would be fetched from another machine")
