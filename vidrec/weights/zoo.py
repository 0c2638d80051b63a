"""Published models: the reported figures of each recipe, and where its weights are.

`zoo.json` beside this module has one object per published recipe of recognition, detection and
localization, with the figures that its authors report.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from vidrec.errors import did_you_mean

if TYPE_CHECKING:  # a listing answers without torch
    from vidrec.models.complexity import Complexity


@dataclass(frozen=True)
class Recipe:
    """One published recipe; None if something was not reported."""

    name: str
    algorithm: str
    task: str  # recognition, detection or localization
    dataset: str
    config: str  # of the reference implementation
    scores: Mapping[str, float] = field(default_factory=dict)
    flops: str | None = None  # multiply-adds of one view, as published: 102.7G
    parameters: str | None = None  # as published: 24.33M
    gpus: int | None = None
    epochs: int | None = None
    pretrained: str | None = None
    weights: str | None = None  # URL
    views: tuple[int, int] | None = None  # clips and crops of the published score
    input: tuple[int, int] | None = None  # frames and edge that `flops` is for, if not the tests'


@cache
def recipes() -> Mapping[str, Recipe]:
    """Every published recipe by name, in the order of the tables."""
    objects = json.loads(Path(__file__).with_name("zoo.json").read_text())
    return {entry["name"]: Recipe(**entry) for entry in objects}


def find(name: str) -> Recipe:
    """The recipe of that name; raises ValueError with similar names if there is none.

    >>> find("tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb").scores["top1"]
    72.83
    """
    known = recipes()
    if name not in known:
        raise ValueError(
            f"there is no published recipe '{name}' (`vidrec zoo` lists all); "
            f"{did_you_mean(name, known)}"
        )
    return known[name]


def weights_url(name: str) -> str:
    """The URL of the weights `zoo://NAME`; the file name contains the start of its SHA-256."""
    recipe = find(name)
    if recipe.weights is None:
        same = [r.name for r in recipes().values() if r.algorithm == recipe.algorithm and r.weights]
        near = difflib.get_close_matches(name, same, n=3, cutoff=0) or ["none"]
        raise ValueError(
            f"no weights of {name} were published; similar recipes with weights: {', '.join(near)}"
        )
    return recipe.weights


def number(published: str) -> float:
    """
    >>> number("102.7G"), number("23895566")
    (102700000000.0, 23895566.0)
    """
    factor = {"G": 1e9, "M": 1e6}.get(published[-1])
    return float(published[:-1]) * factor if factor else float(published)


def listing(chosen: Iterable[Recipe]) -> str:
    """A table for the terminal, with one line per recipe."""
    rows = [
        (r.name, r.dataset, scores(r.scores), short(r.flops, "G"), short(r.parameters, "M"))
        for r in chosen
    ]
    head = ("name", "dataset", "published", "FLOPs", "parameters")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
    return "\n".join(lines)


def scores(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items()) or "-"


def short(published: str | None, unit: str) -> str:
    """
    >>> short("32962097536", "G"), short("102.7G", "G"), short(None, "G")
    ('32.96G', '102.7G', '-')
    """
    if published is None or published.endswith(unit):
        return published or "-"
    return f"{number(published) / {'G': 1e9, 'M': 1e6}[unit]:.2f}{unit}"


def markdown(ours: Mapping[str, "Complexity"]) -> str:
    """The tables of docs/zoo.md, one per algorithm and dataset.

    ours: results of `vidrec.models.complexity.count` for the recipes that are experiments here.
    """
    text = [_INTRODUCTION]
    for algorithm, group in groupby(recipes().values(), lambda r: (r.task, r.algorithm)):
        text.append(f"\n## {algorithm[1]} ({algorithm[0]})\n")
        for dataset, rows in groupby(group, lambda r: r.dataset):
            text.append(f"\n### {dataset}\n\n" + _table(list(rows), ours))
    return "".join(text)


_INTRODUCTION = """# Published models

Scores, hardware and weights as their authors report them; `model.weights=zoo://EXPERIMENT` starts
from the weights. FLOPs are multiply-adds of one view, parameters include the classifier of that
dataset; in parentheses what is counted here (`vidrec zoo EXPERIMENT`). Datasets follow the names
of the recipes. Written by `vidrec zoo --markdown > docs/zoo.md`.
"""


def _table(rows: list[Recipe], ours: Mapping[str, "Complexity"]) -> str:
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.scores))
    head = ["experiment", *kinds, "GPUs", "views", "FLOPs", "parameters", "weights", "config"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        counted = ours.get(row.name)
        views = f"{row.views[0]} x {row.views[1]}" if row.views else "-"
        weights = f"[{row.weights[-12:-4]}]({row.weights})" if row.weights else "-"
        config = f"[yaml](../conf/experiment/{row.name}.yaml)" if row.name in ours else "-"
        flops, parameters = short(row.flops, "G"), short(row.parameters, "M")
        if counted and counted.multiply_adds:
            flops += f" ({counted.multiply_adds / 1e9:.2f}G)"
        if counted:
            parameters += f" ({counted.parameters / 1e6:.2f}M)"
        values = [f"{row.scores[kind]:g}" if kind in row.scores else "-" for kind in kinds]
        gpus = str(row.gpus or "-")
        lines.append([row.name, *values, gpus, views, flops, parameters, weights, config])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
