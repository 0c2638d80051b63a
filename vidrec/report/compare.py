"""Several results side by side on one page, and whether their scores may be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from vidrec.config.recipe_diff import ABSENT, flat
from vidrec.report.card import Card
from vidrec.report.curves import curves_of_runs
from vidrec.report.line_chart import COLOURS
from vidrec.report.page import count_text, document, progress, score_text, value_text
from vidrec.report.tables import Cell, table
from vidrec.tracking.console import duration

_OPTIONS = ("runtime.", "hydra.")  # how a run was run, not what was learned


@dataclass(frozen=True)
class Result:
    """One of the results.

    letter: its short name on the page. config: the resolved configuration of a run, empty of an
    evaluation.
    """

    letter: str
    name: str
    card: Card
    rows: Sequence[Mapping[str, float]]
    config: Mapping[str, Any]


def comparison(results: Sequence[Result]) -> str:
    """The page. Raises ValueError if the results are of different tasks."""
    tasks = list(dict.fromkeys(result.card.task for result in results))
    if len(tasks) > 1:
        first, other = (next(r for r in results if r.card.task == task) for task in tasks[:2])
        raise ValueError(
            f"{first.name} is of {tasks[0]} and {other.name} of {tasks[1]}: only results of one "
            "task can be compared"
        )
    title = f"{len(results)} results of {tasks[0]}"
    parts = [
        f'<header><p class="kind">Comparison</p><h1>{escape(title)}</h1>{_letters(results)}'
        f"{_warning(results)}</header>",
        _section("Scores", _scores(results)),
        _section("Curves", _curves(results)),
        _section("Different in the configuration", _differences(results)),
        _section("Speed", _speeds(results)),
    ]
    return document(f"{title} – vidrec", "".join(parts))


def groups(results: Sequence[Result]) -> list[int]:
    """A number for each result: equal numbers for scores of one protocol and of the same samples.

    Samples of which no hash is known are taken for others.
    """
    seen: dict[tuple[str, ...], int] = {}
    numbers = []
    for i, result in enumerate(results):
        card = result.card
        digest = str(card.datasets.get(card.split, {}).get("sha256") or f"unknown {i}")
        protocol = card.protocol or f"unknown {i}"
        numbers.append(seen.setdefault((protocol, digest), len(seen)))
    return numbers


def reasons(results: Sequence[Result]) -> list[str]:
    """Why the scores of all results may not be compared with each other; empty if they may."""
    cards = [result.card for result in results]
    protocols = {card.protocol for card in cards if card.protocol}
    digests = {card.datasets.get(card.split, {}).get("sha256") for card in cards}
    found = []
    if len(protocols) > 1:
        found.append("they were measured with different protocols")
    if len(digests - {None, ""}) > 1:
        found.append("they were measured on different samples")
    if unknown := [r.letter for r in results if not r.card.protocol or not _digest(r.card)]:
        found.append(f"it is not known how {', '.join(unknown)} was measured")
    return found


def _digest(card: Card) -> str:
    return card.datasets.get(card.split, {}).get("sha256") or ""


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>\n" if content else ""


def _letters(results: Sequence[Result]) -> str:
    """What the letters stand for, in the colours of the curves."""
    items = "".join(
        f'<li><b class="c{i % COLOURS}">{escape(result.letter)}</b>'
        f"<span>{escape(result.name)}{_state(result.card)}</span></li>"
        for i, result in enumerate(results)
    )
    return f'<ol class="letters">{items}</ol>'


def _state(card: Card) -> str:
    if card.state == "finished":
        return ""
    return f' <span class="note">({escape(card.state)}; {escape(progress(card))})</span>'


def _warning(results: Sequence[Result]) -> str:
    if not (why := reasons(results)):
        return ""
    text = f"Not all of these scores are comparable: {'; '.join(why)}."
    return f'<p class="banner">{escape(text)}</p>'


def _scores(results: Sequence[Result]) -> str:
    """A row for each result; the best of those that compare is marked."""
    names = dict.fromkeys(n for r in results for n in r.card.scores if n != "num_scored")
    numbers = groups(results)
    several = len(set(numbers)) > 1
    best = {
        (name, number): _best(results, numbers, name, number)
        for name in names
        for number in set(numbers)
    }
    head = ["result", *names, "best epoch", *["comparable with"] * several]
    rows = []
    for result, number in zip(results, numbers, strict=True):
        cells = [f'<th scope="row">{escape(result.letter)}</th>']
        for name in names:
            value = result.card.scores.get(name)
            is_best = value is not None and value == best[name, number]
            text = "–" if value is None else score_text(value)
            mark = f'<strong class="best" title="the best">{text}</strong>' if is_best else text
            cells.append(f'<td class="number">{mark}</td>')
        epoch = "–" if result.card.epoch is None else f"{result.card.epoch:g}"
        cells.append(f'<td class="number">{epoch}</td>')
        if several:
            others = [
                r.letter
                for r, n in zip(results, numbers, strict=True)
                if n == number and r is not result
            ]
            cells.append(f"<td>{escape(', '.join(others) or 'none')}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    columns = "".join(f'<th scope="col"{_number(name, names)}>{escape(name)}</th>' for name in head)
    protocols = dict.fromkeys(r.card.protocol for r in results if r.card.protocol)
    notes = "".join(f'<p class="protocol">{escape(text)}</p>' for text in protocols)
    return (
        f'<div class="scroll"><table class="wide"><thead><tr>{columns}</tr></thead><tbody>'
        f"{''.join(rows)}</tbody></table></div>{notes}"
    )


def _number(name: str, names: Mapping[str, None]) -> str:
    return ' class="number"' if name in names or name == "best epoch" else ""


def _best(
    results: Sequence[Result], numbers: Sequence[int], name: str, number: int
) -> float | None:
    """The best value of a score in a group of at least two."""
    own = [r.card for r, n in zip(results, numbers, strict=True) if n == number]
    values = [card.scores[name] for card in own if name in card.scores]
    if len(values) < 2 or len(set(values)) == 1:
        return None
    return max(values) if own[0].higher_is_better else min(values)


def _curves(results: Sequence[Result]) -> str:
    runs = {result.letter: result.rows for result in results}
    keys = dict.fromkeys(f"val/{r.card.key}" for r in results if r.rows and r.card.key)
    charts = curves_of_runs(runs, ["train/loss", *keys])
    return f'<div class="grid">{charts}</div>' if charts else ""


def _differences(results: Sequence[Result]) -> str:
    rows: list[tuple[str, ...]] = differences(results)
    if not rows:
        return '<p class="note">Nothing but how they were run.</p>'
    return table(("key", *(result.letter for result in results)), rows)


def differences(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Key and the value of each result, of the choices that differ.

    Of runs with one model and one dataset those that a command or a recipe set, not what only
    refers to them; of others all.
    """
    configs = [flat(result.config) for result in results]
    if not all(configs):  # an evaluation: what its command said
        pairs = [[o.lstrip("+").partition("=") for o in r.card.overrides] for r in results]
        configs = [{key: value for key, _, value in own} for own in pairs]
        keys = list(dict.fromkeys(key for config in configs for key in config))
    elif len({(result.card.model, result.card.data) for result in results}) == 1:
        keys = list(dict.fromkeys(key for result in results for key in result.card.changes))
    else:
        keys = list(dict.fromkeys(key for config in configs for key in config))
    rows = []
    for key in keys:
        values = [value_text(config.get(key, ABSENT)) for config in configs]
        if len(set(values)) > 1 and not key.startswith(_OPTIONS):
            rows.append((key, *values))
    return rows


def _speeds(results: Sequence[Result]) -> str:
    head = (
        "result", "parameters", "samples per second", "step, ms", "waiting for data", "training",
        "device",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        card, speed = result.card, result.card.speed
        step, seconds = speed.get("step_seconds"), speed.get("training_seconds")
        waiting = speed.get("data_fraction")
        rows.append(
            (
                result.letter,
                count_text(card.parameters) or "–",
                speed.get("samples_per_second"),
                None if step is None else 1000 * step,
                "–" if waiting is None else f"{100 * waiting:.0f} %",
                duration(seconds) if seconds else "–",
                card.environment.get("device", "–"),
            )
        )
    return table(head, rows)


def letters_of(count: int) -> list[str]:
    """A, B, C, ...; numbers if there are too many.

    >>> letters_of(3), letters_of(30)[-1]
    (['A', 'B', 'C'], '30')
    """
    return [*ascii_uppercase[:count]] if count <= 26 else [str(i + 1) for i in range(count)]


def names_of(folders: Sequence[Path]) -> list[str]:
    """A short name for each folder, which no other one has."""
    full = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in full) + 1):
        names = ["/".join(path.parts[-depth:]) for path in full]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in full]
