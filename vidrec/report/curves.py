"""The curves of a run from its metrics.jsonl, as line charts."""

from collections.abc import Mapping, Sequence
from itertools import count

from vidrec.report.line_chart import COLOURS, Line, line_chart

Row = Mapping[str, float]
LOSSES_AT_MOST, SCORES_AT_MOST = 8, 10  # lines of a chart


def curves_of_run(rows: Sequence[Row], best_epoch: float | None) -> str:
    """Losses, scores, learning rate, and the time of a step with the part that waits for data."""
    to_x, x_label = time_axis(rows)
    mark = best_epoch if x_label == "epoch" else None
    names = list(dict.fromkeys(name for row in rows for name in row))
    losses = [n for n in names if "/" in n and n.partition("/")[2].startswith("loss")]
    scores = [
        name
        for name in names
        if name.startswith(("train/", "val/")) and name not in losses and "num_scored" not in name
    ]
    scores.sort(key=lambda name: not name.startswith("val/"))  # they get the first colours
    charts = [
        line_chart("Loss", _lines(rows, losses[:LOSSES_AT_MOST], to_x), x_label, mark),
        line_chart("Scores", _lines(rows, scores[:SCORES_AT_MOST], to_x), x_label, mark),
        line_chart("Learning rate", _lines(rows, ["lr"], to_x, ["of the first group"]), x_label),
        line_chart(
            "Seconds of a step",
            _lines(rows, ["time/step", "time/data"], to_x, ["step", "of it waiting for data"]),
            x_label,
        ),
    ]
    return "".join(charts)


def curves_of_runs(runs: Mapping[str, Sequence[Row]], keys: Sequence[str]) -> str:
    """A chart for each key, with a line for each run."""
    charts = []
    for key in keys:
        lines = []
        for colour, (name, rows) in enumerate(runs.items()):
            to_x = time_axis(rows)[0]
            x, y = series(rows, key, to_x)
            lines.append(Line(name, x, y, colour, colour >= COLOURS, key.startswith("val/")))
        title = key.removeprefix("val/").replace("train/", "training ")
        charts.append(line_chart(title, lines, "epoch"))
    return "".join(charts)


def time_axis(rows: Sequence[Row]) -> tuple[float, str]:
    """What steps are divided by, and the label of the axis: steps until an epoch is over."""
    done = [row for row in rows if row.get("epoch")]
    if not any(row["epoch"] > 1 or any(n.startswith("val/") for n in row) for row in done):
        return 1.0, "step"
    return max(row["step"] / row["epoch"] for row in done), "epoch"


def series(rows: Sequence[Row], name: str, per_x: float) -> tuple[list[float], list[float]]:
    """x and y of a column."""
    pairs = [(row["step"] / per_x, row[name]) for row in rows if name in row]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _lines(
    rows: Sequence[Row], names: Sequence[str], per_x: float, labels: Sequence[str] = ()
) -> list[Line]:
    """A line for each column; a score has one colour, dashed in training."""
    colours: dict[str, int] = {}
    numbers = count()
    lines = []
    for name, label in zip(names, labels or names, strict=True):
        split, _, short = name.rpartition("/")
        colour = colours.setdefault(short, -1)
        if colour < 0:
            colour = colours[short] = next(numbers)
        x, y = series(rows, name, per_x)
        shown = label if labels else f"{short}, {'validation' if split == 'val' else 'training'}"
        is_score = not short.startswith("loss") and split == "train"
        lines.append(Line(shown, x, y, colour, is_score, split == "val" and len(x) <= 60))
    return lines
