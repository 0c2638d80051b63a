"""Evaluate again what a report.json says, and compare every score."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from vidrec.errors import ConfigError, told_in_a_sentence

if TYPE_CHECKING:
    from vidrec.report.card import Card

TOLERANCE = 0.001  # other machines and batch sizes round otherwise; equal ones give equal scores


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [-h] [OPTION ...] REPORT [-- KEY=VALUE ...]",
        description=__doc__,
        epilog="Exit status 0: every score is within the tolerance and every hash is the same; "
        "1: something differs, or the evaluation could not be repeated.",
    )
    parser.add_argument("report", type=Path, help="a report.json, or the folder that it is in")
    parser.add_argument("--device", help="auto, cpu or cuda (default: auto)")
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help="of a score (default: %(default)s)"
    )
    parser.add_argument(
        "--trust", action="append", default=[], help="a further package whose classes may be named"
    )
    parser.add_argument_group(
        "after --", "Overrides of the evaluation for what has moved since, such as data.root=DIR."
    )
    # argparse takes positional arguments from one place only.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:end])
    options.overrides = arguments[end + 1 :]
    return options


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec verify`."""
    options = parse(arguments)
    with told_in_a_sentence():
        if not options.tolerance >= 0:
            raise ValueError(f"--tolerance {options.tolerance} is not a number from 0 on")
        # Imported here so that `--help` answers at once.
        from vidrec.report import card as cards

        file = options.report / cards.FILE if options.report.is_dir() else options.report
        card = cards.read(file)
        given = options.overrides
        if options.device is not None:
            given.append(f"runtime.device={options.device}")
        is_equal = verify(card, file, given, options.trust, options.tolerance)
    if not is_equal:
        raise SystemExit(1)


def verify(card: "Card", file: Path, given: list[str], trust: list[str], tolerance: float) -> bool:
    """Evaluate, print what came out, and return whether it is what the card says.

    given: overrides that win. trust: packages whose classes the card may name, besides those of
    `vidrec.config.trust`. Raises ValueError or OSError if the evaluation cannot be repeated.
    """
    from vidrec.api import compose
    from vidrec.commands.evaluate import evaluated
    from vidrec.config.schema import EvaluateConf
    from vidrec.config.trust import PACKAGES
    from vidrec.engine import distributed
    from vidrec.report.card import finite_scores
    from vidrec.report.fingerprints import digest_of_records
    from vidrec.report.verifying import checkpoint_of, differing_hashes, evaluation_of

    overrides, folders = evaluation_of(card, file, given)
    known = [*PACKAGES, *trust]
    try:
        conf = compose(*overrides, config_name="evaluate", packages=known, folders=folders)
    except ConfigError as error:  # in the words of the other commands
        raise ConfigError(re.sub(r"pass trust=\[(.*?)\]", r"pass --trust \1", str(error))) from None
    assert isinstance(conf, EvaluateConf)
    print("; ".join(filter(None, (f"{file}: {card.kind} of {card.name}", card.protocol))))
    dist = distributed.start(conf.runtime.device, conf.runtime.dist_timeout_minutes)
    try:
        done = evaluated(conf, dist)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}; if files have moved, say where after --, such as -- data.root=DIR"
        ) from None
    finally:
        dist.stop()
    if dist.rank != 0:
        return True
    samples = digest_of_records(getattr(done.found.dataset, "records", None))
    checkpoint = checkpoint_of(card, file)
    problems = differing_hashes(card, conf, conf.split, checkpoint, samples)
    if card.protocol and card.protocol != done.found.title:
        problems.append(f"the protocol is now: {done.found.title}")
    for problem in problems:
        print(f"different: {problem}")
    if not problems:
        print(compared(card))
    is_same = compare(card.scores, finite_scores(done.scores), tolerance)
    return is_same and not problems


def compared(card: "Card") -> str:
    """What is the same, and what the card does not have, as of a run of an earlier version."""
    recorded = {"weights": card.weights_sha256, "lists": card.lists, "protocol": card.protocol}
    has = [name for name, value in recorded.items() if value]
    lacks = [name for name, value in recorded.items() if not value]
    text = f"the same as in the report: {', '.join(has)}" if has else ""
    absent = f"not in the report, so not compared: {', '.join(lacks)}" if lacks else ""
    return "; ".join(filter(None, (text, absent)))


def compare(before: dict[str, float], now: dict[str, float], tolerance: float) -> bool:
    """Print every score with its difference, and return whether all are within the tolerance."""
    from vidrec.report.verifying import differences

    found = differences(before, now)
    width = max([len("score"), *map(len, found)])
    print(f"{'score':<{width}}  {'then':>9}  {'now':>9}  {'difference':>11}")
    for name, difference in found.items():
        then, again = (f"{own[name]:.4f}" if name in own else "–" for own in (before, now))
        shown = f"{difference:+.2e}" if 0 < abs(difference) < 1e3 else f"{difference:g}"
        mark = "" if abs(difference) <= tolerance else "   different"
        print(f"{name:<{width}}  {then:>9}  {again:>9}  {shown:>11}{mark}")
    wrong = [name for name, difference in found.items() if not abs(difference) <= tolerance]
    if not found:
        print("there is no score to compare")
        return False
    print(
        f"{len(wrong)} of {len(found)} scores differ by more than {tolerance:g}"
        if wrong
        else f"every score is equal within {tolerance:g}"
    )
    return not wrong
