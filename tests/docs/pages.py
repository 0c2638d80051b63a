"""The pages of the documentation, and the blocks of code in them.

A block is run by the tests unless an HTML comment right above it, which readers do not see, says
why not: `<!-- not run: needs AVA -->`, or `<!-- not run (kinetics400, torchrun): ... -->` for the
commands of the block that have one of these words. A block whose first line is a comment with a
path, `# conf/experiment/mine.yaml`, or that stands below `<!-- file: PATH -->`, is that file.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT

DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted(DOCS.rglob("*.md")),
]

_BLOCK = re.compile(
    r"(?:^[ ]*<!--\s*(?P<mark>[^>]*?)\s*-->\n+)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"not run(?: \((?P<words>[^)]*)\))?: (?P<reason>.+)", re.DOTALL)
_PATH = re.compile(r"(?:# @package .*\n)?# ((?:[\w.-]+/)*[\w.-]+\.(?:py|yaml|yml|txt|csv))\b")
_ENDS = {"|", "&&", "||", ";", ">", ">>", "<", "2>&1", "&"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int  # of the fence, from 1
    language: str
    text: str
    mark: str  # the comment above it, or ""

    @property
    def place(self) -> str:
        return f"{name(self.page)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The path of the file that the block shows, None if it shows none."""
        if self.mark.startswith("file: "):
            return self.mark.removeprefix("file: ")
        path = _PATH.match(self.text)
        return path[1] if path and self.language in ("python", "yaml") else None

    @property
    def is_run(self) -> bool:
        """Whether anything in it is run."""
        mark = _MARK.match(self.mark)
        return not (mark and mark["words"] is None)

    def is_left_out(self, command: str) -> bool:
        """Whether the mark names this command as one that is not run."""
        mark = _MARK.match(self.mark)
        words = mark["words"].split(", ") if mark and mark["words"] else []
        return not self.is_run or any(word in command for word in words)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        indent = len(match["indent"])
        lines = [line[indent:] for line in match["text"].splitlines(keepends=True)]
        number = text.count("\n", 0, match.start("language")) + 1
        found.append(Block(page, number, match["language"], "".join(lines), match["mark"] or ""))
    return found


def commands(block: Block) -> list[str]:
    """The commands of a block of `bash`, or those after `$` in one of `console`."""
    joined = block.text.replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines()]
    if block.language == "console":
        return [line[2:] for line in lines if line.startswith("$ ")]
    return [line for line in lines if line and not line.startswith("#")]


def words(command: str) -> list[list[str]]:
    """The programs that a command line starts, each with its arguments."""
    programs: list[list[str]] = [[]]
    for word in shlex.split(command, comments=True):
        if word in _ENDS:
            programs.append([])
        elif programs[-1] or not re.match(r"[A-Z_]+=", word):  # else it sets the environment
            programs[-1].append(word)
    return [program for program in programs if program]


def outputs(block: Block) -> list[tuple[str, str]]:
    """The commands of a block of `console` with what it shows of their output."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        lines = part.splitlines()
        last = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        command = " ".join(line.rstrip("\\").strip() for line in lines[: last + 1])
        found.append((command, "\n".join(lines[last + 1 :])))
    return found
