"""Files that evaluation and export write and score: the suffix names the format, and each task and
command has its own. Imports nothing heavy.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from vidrec.config.schema import EvaluateConf, ExportConf, ExportFormat, Task, TrainConf

DUMPS = {
    Task.recognition: (".npz", ".csv", ".json"),
    Task.detection: (".csv",),  # of the AVA challenge
    Task.localization: (".json",),  # of ActivityNet's evaluation server
}
SCORED = {Task.recognition: (".npz",), Task.detection: (".csv",), Task.localization: (".json",)}
EXPORTED = {ExportFormat.torch_export: (".pt2",), ExportFormat.onnx: (".onnx",)}


def problems(conf: TrainConf) -> Iterator[str]:
    """Files whose suffix is none of their formats, and outputs that nothing would write."""
    if isinstance(conf, EvaluateConf):
        task = conf.model.task
        if conf.dump is not None:
            yield from _wrong_suffix("dump", conf.dump, DUMPS[task], f"predictions of {task}")
        for path in conf.score:
            yield from _wrong_suffix("score", path, SCORED[task], f"files to score for {task}")
        if conf.dump in conf.score:
            yield f"dump={conf.dump} would replace a file that score reads: choose another name"
        if conf.score and conf.pictures:
            yield "pictures needs a network, score runs none: leave one of them out"
        if conf.score and conf.dump and task != Task.recognition:
            yield f"dump with score writes fused predictions, which {task} has not: leave it out"
    if isinstance(conf, ExportConf) and conf.out is not None:
        yield from _wrong_suffix("out", conf.out, EXPORTED[conf.format], f"format={conf.format}")


def _wrong_suffix(key: str, path: str, known: Sequence[str], what: str) -> Iterator[str]:
    if PurePath(path).suffix.lower() not in known:
        yield f"{key}={path}: {what} are written and read as {' or '.join(known)}"
