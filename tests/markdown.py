"""What tests ask of a Markdown page: its links, headings, sentences and shell commands."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"(?:^<!-- skip: (?P<reason>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


class Block(NamedTuple):
    """A block of shell commands, and why it is not run: None for one that is."""

    page: str
    line: int
    text: str
    reason: str | None

    def commands(self) -> list[list[str]]:
        """The commands as lists of words, without comments and without the variables set in front of them."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(part, comments=True) for line in lines for part in line.split(" && ")]
        return [_without_variables(command) for command in words if command]


def _without_variables(words: list[str]) -> list[str]:
    while re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return words


def pages() -> list[str]:
    """All pages that users read, relative to the repository."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def read(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str) -> list[Block]:
    """The blocks in ```bash of a page."""
    text = read(page)
    fences = [match for match in FENCE.finditer(text) if match["language"] == "bash"]
    return [Block(page, text.count("\n", 0, m.start()) + 1, m["text"], m["reason"]) for m in fences]


def prose(page: str) -> str:
    """The page without fenced blocks and HTML comments."""
    return re.sub(r"<!--.*?-->", "", FENCE.sub("", read(page)), flags=re.S)


def inline_commands(page: str) -> list[list[str]]:
    """The words of each `vidjax ...` and `python -m vidjax...` in the prose."""
    code = re.findall(r"`((?:vidjax |python -m vidjax)[^`]*)`", prose(page).replace("\\|", "|"))
    return [command.split() for command in code]


def links(page: str) -> list[str]:
    return [match["target"] for match in LINK.finditer(prose(page))]


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", read(page)), re.M)
    kept = [re.sub(r"[^\w\- ]", "", LINK.sub(r"\g<text>", heading).lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in kept}


def sentences(page: str) -> list[str]:
    """The sentences of paragraphs and lists. Headings and tables have none; code is one word."""
    text = LINK.sub(r"\g<text>", re.sub(r"`[^`]*`", "CODE", prose(page)))
    lines = [line for line in text.splitlines() if not line.startswith(("|", "#", "    "))]
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*(?:- |\d+\. ))", "\n".join(lines))
    flat = [" ".join(paragraph.split()) for paragraph in paragraphs]
    return [
        sentence for paragraph in flat for sentence in re.split(r"(?<=[.!?:])\s+(?=[A-Z0-9(*])", paragraph) if sentence
    ]
