"""How fast a training was, and what it waited for, from the rows of its metrics.jsonl."""

from collections.abc import Mapping, Sequence

from vidrec.engine.timed_loader import TimedLoader

Row = Mapping[str, float]

MOSTLY = 0.5  # share of a step from which on it waits for data more than it computes
OFTEN = 0.15  # from which on waiting is worth a remedy
SPREAD = 10  # rows whose share of waiting is shown over time


def measured(rows: Sequence[Row]) -> dict[str, float]:
    """Means over all timed steps of a run.

    `step_seconds`, `data_seconds` (the part of a step that waits for data), `data_fraction`,
    `samples_per_second`, `steps` and `training_seconds`, which validation and saving are not part
    of. A row has the means of the steps since the row before. Empty without timed rows.

    >>> rows = [{"step": 2, "time/step": 1.0, "time/data": 0.5, "samples_per_second": 8.0}]
    >>> rows += [{"step": 6, "time/step": 2.0, "time/data": 0.0, "samples_per_second": 4.0}]
    >>> measured(rows)["step_seconds"], measured(rows)["data_fraction"]
    (1.6666666666666667, 0.1)
    """
    timed, before = [], 0.0
    for row in rows:
        if "time/step" in row:
            timed.append((max(row["step"] - before, 1.0), row))
            before = row["step"]
    steps = sum(count for count, _ in timed)
    seconds = sum(count * row["time/step"] for count, row in timed)
    if not steps or not seconds:
        return {}
    waiting = sum(count * row.get("time/data", 0.0) for count, row in timed)
    samples = sum(
        count * row["time/step"] * row.get("samples_per_second", 0) for count, row in timed
    )
    found = {
        "steps": steps,
        "training_seconds": seconds,
        "step_seconds": seconds / steps,
        "data_seconds": waiting / steps,
        "data_fraction": waiting / seconds,
        "samples_per_second": samples / seconds,
    }
    if memory := max((row["memory_gib"] for _, row in timed if "memory_gib" in row), default=0.0):
        found["memory_gib"] = memory
    return found


def speed_of_evaluation(loader: TimedLoader, num_samples: int) -> dict[str, float]:
    """The same of the last pass of a loader, of batches instead of steps; empty without a batch."""
    if not len(loader) or not loader.total:
        return {}
    return {
        "steps": float(len(loader)),
        "step_seconds": loader.total / len(loader),
        "data_seconds": loader.waited / len(loader),
        "data_fraction": loader.waited / loader.total,
        "samples_per_second": num_samples / loader.total,
    }


def bottleneck(speed: Mapping[str, float], is_cpu: bool, is_training: bool = True) -> str:
    """What a step, or in an evaluation a batch, spends its time on, and what would help.

    speed: of `measured` or `speed_of_evaluation`. is_cpu: the network runs on the CPU.
    """
    if "data_fraction" not in speed:
        return ""
    share = speed["data_fraction"]
    percent = f"{100 * share:.0f} %" if share >= 0.005 or share == 0 else "less than 1 %"
    head = f"{percent} of a {'step' if is_training else 'batch'} is waiting for data"
    if share >= OFTEN:
        remedy = (
            "more loader workers (runtime.num_workers), videos of a smaller size or a faster disk "
            "would make it faster"
        )
        limit = "the network is idle most of the time" if share >= MOSTLY else "decoding is slow"
        return f"{head}: {limit}; {remedy}."
    if is_cpu:
        return (
            f"{head}: the network itself is the bottleneck; it runs on the CPU, a GPU would help."
        )
    compiled = " or runtime.compile=true" * is_training
    return (
        f"{head}: the network itself is the bottleneck; runtime.precision=bf16{compiled} may make "
        "it faster."
    )
