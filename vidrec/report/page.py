"""One result as a page: a single file of HTML that needs nothing else, no network and no script."""

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from vidrec.report.card import Card
from vidrec.report.curves import curves_of_run
from vidrec.report.media import Media
from vidrec.report.speed import bottleneck
from vidrec.report.tables import facts, table
from vidrec.tracking.console import duration

Row = Mapping[str, float]

STYLE = Path(__file__).with_name("style.css")
STATES = {
    "running": "This run is still training: the page shows how far it is.",
    "stopped": "This run was stopped before its end; the same command continues it.",
    "failed": "This run failed before its end.",
    "killed": "This run ended without a word before its end, as when it is killed or the machine "
    "goes down; the same command continues it.",
    "unknown": "The status of this run cannot be read.",
}


def page(card: Card, folder: Path, rows: Sequence[Row] = ()) -> str:
    """The report of a card. folder: which its figures are in. rows: of metrics.jsonl."""
    parts = [
        _header(card),
        _scores(card),
        _summary(card),
        _command(card),
        _section("Curves", _curves(card, rows)),
        _section("Speed", _speed(card)),
        _section("Results in detail", _details(card, folder)),
        _section("Data", _data(card)),
        _section("Environment", facts(list(card.environment.items()))),
        _section("Hashes", _hashes(card)),
    ]
    return document(f"{card.name} – vidrec {card.kind}", "".join(parts), card.written)


def document(title: str, body: str, written: str = "") -> str:
    """A whole page around its content."""
    when = f"Written {escape(written)} by vidrec." if written else "Written by vidrec."
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text()}</style></head>\n"
        f"<body><main>{body}<footer>{when}</footer></main></body></html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>\n" if content else ""


def _header(card: Card) -> str:
    what = f"{card.task} · {card.model} · {card.data}" + f" {card.split}" * (
        card.kind == "evaluation"
    )
    said = STATES.get(card.state, "")
    told = f"{said} {progress(card)}{f' Error: {card.error}' if card.error else ''}" if said else ""
    banner = f'<p class="banner">{escape(told)}</p>' if told else ""
    return (
        f'<header><p class="kind">{escape(card.kind.capitalize())} report</p>'
        f'<h1>{_breakable(card.name)}</h1><p class="lead">{escape(what)}</p>{banner}</header>\n'
    )


def _breakable(name: str) -> str:
    """A name that a narrow page breaks between its parts."""
    return escape(name).replace("+", "+<wbr>").replace("/", "/<wbr>")


def progress(card: Card) -> str:
    """How far a run is; empty if that is not known."""
    if card.epochs is None or card.epochs_done is None:
        return ""
    return f"{card.epochs_done:g} of {card.epochs} epochs are validated."


def _scores(card: Card) -> str:
    shown = {name: value for name, value in card.scores.items() if name != "num_scored"}
    if not shown:
        return '<p class="protocol">There is no score yet.</p>'
    main = card.key if card.key in shown else next(iter(shown))
    items = "".join(
        f'<li{" class=main" if name == main else ""}><span class="name">{escape(name)}</span>'
        f'<span class="value">{score_text(value)}</span></li>'
        for name, value in sorted(shown.items(), key=lambda item: item[0] != main)
    )
    return f'<ul class="scores">{items}</ul><p class="protocol">{escape(card.protocol)}</p>\n'


def score_text(value: float) -> str:
    """A score with four decimals, or four digits if it is large.

    >>> score_text(0.7125), score_text(1234.5)
    ('0.7125', '1,234')
    """
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"


def _summary(card: Card) -> str:
    epoch = ""
    if card.epoch is not None:
        epoch = f"{card.epoch:g}" + (f" of {card.epochs}" if card.epochs else "")
    is_best = not card.checkpoint.endswith("last.pt")
    seconds = card.seconds
    training = card.speed.get("training_seconds") if card.kind == "training" else None
    return facts(
        [
            ("best epoch" if is_best else "last epoch", epoch),
            ("parameters", count_text(card.parameters)),
            ("training steps took", duration(training) if training else ""),
            ("this process took", duration(seconds) if seconds else ""),
            ("samples per second", _three_digits(card.speed.get("samples_per_second"))),
            ("device", card.environment.get("device", "")),
            ("checkpoint", Path(card.checkpoint).name if card.run else card.checkpoint),
        ]
    )


def count_text(number: int | None) -> str:
    """
    >>> count_text(11180616), count_text(9000), count_text(None)
    ('11.18 M', '9,000', '')
    """
    if number is None:
        return ""
    return f"{number / 1e6:.2f} M" if number >= 100_000 else f"{number:,}"


def _three_digits(value: float | None) -> str:
    if not value or not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _command(card: Card) -> str:
    content = f"<pre>{escape(card.command)}</pre>" if card.command else ""
    if card.changes:
        rows = [
            (key, value_text(here), value_text(recipe))
            for key, (recipe, here) in card.changes.items()
        ]
        content += "<h3>Different from the recipe</h3>"
        content += table(("key", "here", "recipe"), rows)
    elif card.kind == "training":
        content += '<p class="note">Nothing differs from the recipe.</p>'
    return _section("Command", content)


def value_text(value: object) -> str:
    """A value as it is written in YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def _curves(card: Card, rows: Sequence[Row]) -> str:
    charts = curves_of_run(rows, card.epoch)
    return f'<div class="grid">{charts}</div>' if charts else ""


def _speed(card: Card) -> str:
    speed = card.speed
    is_cpu = " x cpu" in card.environment.get("device", "")
    is_training = card.kind == "training"
    said = bottleneck(speed, is_cpu, is_training)
    if not said:
        return ""
    share = 100 * speed["data_fraction"]
    bar = (
        f'<div class="time" role="img" aria-label="{share:.0f} % waiting for data">'
        f'<span style="width:{share:.1f}%"></span></div>'
    )
    values = facts(
        [
            ("a step" if is_training else "a batch", _milliseconds(speed.get("step_seconds"))),
            ("of it waiting for data", _milliseconds(speed.get("data_seconds"))),
            ("samples per second", _three_digits(speed.get("samples_per_second"))),
            (
                "steps" if is_training else "batches",
                f"{speed['steps']:,.0f}" if "steps" in speed else "",
            ),
            ("most memory of the device", f"{speed['memory_gib']:.1f} GiB")
            if "memory_gib" in speed
            else ("", ""),
        ]
    )
    return f"<p>{escape(said)}</p>{bar}{values}"


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{1000 * seconds:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def _details(card: Card, folder: Path) -> str:
    content = f'<p class="note">{escape(card.shown)}</p>' if card.shown else ""
    tables = ""
    for own in card.tables:
        note = f'<p class="note">{escape(own["note"])}</p>' if own.get("note") else ""
        shown = table(own["columns"], own["rows"]) if own["rows"] else ""
        tables += f"<div><h3>{escape(own['title'])}</h3>{note}{shown}</div>"
    content += f'<div class="grid">{tables}</div>' if tables else ""
    media = Media()
    for figure in card.figures:
        content += _figure(figure, folder, media)
    return content if card.tables or card.figures else ""


def _figure(figure: Mapping[str, str], folder: Path, media: Media) -> str:
    """A picture or a video with its caption; a link if it is too large for the page."""
    name, file = figure.get("caption", ""), figure.get("file", "")
    path = folder / Path(file).name  # never a file elsewhere, whatever the card says
    uri = media.uri(path)
    caption = f"<figcaption>{escape(name)}</figcaption>"
    if uri is None:
        where = escape(path.name, quote=True)
        there = f'<a href="{where}">{where}</a>, too large for this page'
        shown = there if path.is_file() else f"{where} is not in the folder any more"
        return f"<figure>{caption}<p>{shown}</p></figure>"
    said = escape(name, quote=True)
    if path.suffix == ".mp4":
        video = f'<video controls muted loop playsinline preload="auto" aria-label="{said}"'
        return f'<figure>{caption}{video} src="{uri}"></video></figure>'
    return f'<figure>{caption}<img alt="{said}" src="{uri}"></figure>'


def _data(card: Card) -> str:
    rows = [(split, own.get("samples")) for split, own in card.datasets.items()]
    content = table(("split", "samples"), rows) if rows else ""
    if card.num_unreadable:
        content += f"<h3>{card.num_unreadable:,} unreadable files</h3>"
        content += table(("file", "reason"), [tuple(pair) for pair in card.unreadable])
        more = card.num_unreadable - len(card.unreadable)
        content += f'<p class="note">{more:,} more are not listed.</p>' if more > 0 else ""
    elif rows:
        content += '<p class="note">No file was unreadable.</p>'
    return content


def _hashes(card: Card) -> str:
    pairs = [(f"weights of {card.checkpoint}", card.weights_sha256)]
    keys: dict[tuple[str, str], list[str]] = {}
    for key, own in card.lists.items():
        keys.setdefault((own.get("file", ""), own.get("sha256", "")), []).append(key)
    pairs += [(f"{file} ({', '.join(names)})", hexed) for (file, hexed), names in keys.items()]
    pairs += [(f"samples of {name}", own.get("sha256", "")) for name, own in card.datasets.items()]
    content = facts(pairs)
    note = '<p class="note">SHA-256 of the tensors, of the lists and of the samples in them. '
    verify = "<code>vidrec verify</code> with report.json evaluates again and compares.</p>"
    return f'{note}{verify}<div class="hashes">{content}</div>' if content else ""
