"""List the published models, or show the details of one."""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vidrec.errors import did_you_mean
from vidrec.weights import zoo

if TYPE_CHECKING:  # a listing answers without torch
    from vidrec.models.complexity import Complexity


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec zoo`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "pattern", nargs="?", default="", help="a name or part of one; * matches anything"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print docs/zoo.md, with FLOPs counted here"
    )
    given = parser.parse_args(arguments)
    if given.markdown:
        print(zoo.markdown(dict(counted())), end="")
    elif given.pattern in zoo.recipes():
        print(details(zoo.find(given.pattern)))
    else:
        print(zoo.listing(matching(given.pattern)))


def matching(pattern: str) -> list[zoo.Recipe]:
    """The recipes whose name, algorithm or dataset contains the pattern."""
    wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE)
    found = [
        recipe
        for recipe in zoo.recipes().values()
        if any(wanted.search(text) for text in (recipe.name, recipe.algorithm, recipe.dataset))
    ]
    if not found:
        hint = did_you_mean(pattern, zoo.recipes())
        raise SystemExit(f"vidrec zoo: no published model matches '{pattern}'; {hint}")
    return found


def details(recipe: zoo.Recipe) -> str:
    """Everything known about a published model, with the FLOPs and parameters counted here."""
    views = f"{recipe.views[0]} clips x {recipe.views[1]} crops" if recipe.views else "-"
    facts = {
        "algorithm": recipe.algorithm,
        "dataset": recipe.dataset,
        "published": f"{zoo.scores(recipe.scores)} ({views})",
        "trained": f"{recipe.epochs or '?'} epochs on {recipe.gpus or '?'} GPUs",
        "starts from": recipe.pretrained or "-",
        "FLOPs": zoo.short(recipe.flops, "G"),
        "parameters": zoo.short(recipe.parameters, "M"),
        "weights": recipe.weights or "-",
        "config": recipe.config,
    }
    if recipe.name in experiments():
        ours, clip = measure(recipe)
        if clip:
            facts["FLOPs"] += f" (here {ours.multiply_adds / 1e9:.2f}G for {clip})"
        facts["parameters"] += f" (here {ours.parameters / 1e6:.2f}M)"
        facts["use"] = f"vidrec train experiment={recipe.name}"
    width = max(map(len, facts))
    return "\n".join([recipe.name, *(f"  {k:<{width}}  {v}" for k, v in facts.items())])


def experiments() -> set[str]:
    """The names of conf/experiment."""
    from vidrec.config.compose import conf_dir

    return {path.stem for path in (Path(conf_dir()) / "experiment").glob("*.yaml")}


def counted() -> Iterator[tuple[str, "Complexity"]]:
    """(name, FLOPs and parameters) of every published recipe that is an experiment here."""
    for name in sorted(experiments() & zoo.recipes().keys()):
        print(name, file=sys.stderr)
        yield name, measure(zoo.find(name))[0]


def measure(recipe: zoo.Recipe) -> tuple["Complexity", str]:
    """FLOPs and parameters of the experiment's network, and the view they are counted for.

    For detection and localization only the parameters are counted; the view is then empty.
    """
    import torch

    from vidrec import build_model, compose
    from vidrec.models.complexity import Complexity, clip_of, count

    conf = compose(f"experiment={recipe.name}")
    with torch.device("meta"):
        net = build_model(conf)
    if recipe.task != "recognition":
        return Complexity(sum(p.numel() for p in net.parameters()), 0), ""
    frames, channels, height, width = clip_of(conf)
    if recipe.input is not None:
        frames, height, width = recipe.input[0], recipe.input[1], recipe.input[1]
    view = f"{frames} frames of {width} x {height}"
    return count(net, (frames, channels, height, width)), view
