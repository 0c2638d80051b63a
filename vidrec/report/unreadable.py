"""The videos of a run that could not be read, of all ranks and of earlier processes of the run."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vidrec.engine.distributed import Distributed

LISTED = 100  # in a report
_LINE = re.compile(r"unreadable video (.*?): (.*)$")


def unreadable_of_all(reasons: Mapping[str, str], dist: Distributed) -> dict[str, str]:
    """Path -> reason over all ranks, which must all call it. reasons: of this rank."""
    lines = "".join(json.dumps([path, reason]) + "\n" for path, reason in reasons.items())
    found = dist.gather({"text": np.frombuffer(lines.encode(), np.uint8)})["text"]
    return dict(json.loads(line) for line in found.tobytes().splitlines())


def unreadable_in_log(log: Path) -> tuple[list[list[str]], int]:
    """The first LISTED ones that a train.log warns about, and how many there are."""
    found: dict[str, str] = {}
    if log.is_file():
        with log.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if "unreadable video" in line and (match := _LINE.search(line)):
                    found.setdefault(match[1], match[2])
    return listed(found)


def listed(reasons: Mapping[str, str]) -> tuple[list[list[str]], int]:
    """The first LISTED ones by path, as [path, reason], and how many there are."""
    pairs = sorted(reasons.items())
    return [list(pair) for pair in pairs[:LISTED]], len(pairs)
