"""The little Markdown that a generated page needs, as GitHub reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_CODE_OR_MARK = re.compile(r"`[^`]*`|[<*]")


def anchor(heading: str) -> str:
    """The heading's name in a link."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def contents(parts: Iterable[str]) -> str:
    """A list of links to the parts that begin with a heading of the second or third level."""
    marked = [part.split("\n", 1)[0].partition(" ") for part in parts if part.startswith(("## ", "### "))]
    return "\n".join(f"{'  ' * (len(mark) - 2)}- [{text}](#{anchor(text)})" for mark, _, text in marked) + "\n"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. The cells are Markdown; a bar in them, which would end the cell even within code, is escaped."""
    lines = (" | ".join(cell.replace("|", r"\|") for cell in row) for row in [head, ["---"] * len(head), *rows])
    return "".join(f"| {line} |\n" for line in lines)


def paragraph(docstring: str) -> str:
    """The first paragraph of a docstring."""
    return prose(" ".join(docstring.strip().split("\n\n", 1)[0].split()))


def prose(text: str) -> str:
    """A plain text with code in backticks: what would be a tag or emphasis is escaped, except in code."""
    return _CODE_OR_MARK.sub(lambda found: found[0] if len(found[0]) > 1 else f"\\{found[0]}", text)
