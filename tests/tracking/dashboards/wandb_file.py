"""Reads what offline runs of wandb recorded: a LevelDB log of protocol buffers."""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.waiting import until

BLOCK = 32768


def records(path: Path) -> Iterator[bytes]:
    """The payload of each record of a .wandb file."""
    data = path.read_bytes()
    if len(data) < 7:  # not written out yet
        return
    assert struct.unpack("<4sHB", data[:7])[0] == b":W&B"
    place, payload = 7, b""
    while place + 7 <= len(data):
        left = BLOCK - place % BLOCK
        if left < 7:  # padding at the end of a block
            place += left
            continue
        checksum, size, kind = struct.unpack("<IHB", data[place : place + 7])
        chunk = data[place + 7 : place + 7 + size]
        if len(chunk) < size:  # not written out yet
            return
        assert zlib.crc32(chunk, zlib.crc32(bytes([kind]))) & 0xFFFFFFFF == checksum
        place += 7 + size
        payload += chunk
        if kind in (1, 4):  # whole, or the last part
            yield payload
            payload = b""


def read(folder: Path) -> list[dict[str, Any]]:
    """What each offline run under `folder` has recorded so far, oldest first."""
    return [read_one(path) for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]


def read_finished(folder: Path, killed: int = 0) -> list[dict[str, Any]]:
    """The same, as soon as all runs but the first `killed` have ended: wandb writes the exit code a
    moment after `finish`.
    """
    until(lambda: all(run["exit"] is not None for run in read(folder)[killed:]))
    return read(folder)


def read_one(path: Path) -> dict[str, Any]:
    from wandb.proto import wandb_internal_pb2 as messages

    def key(item: Any) -> str:
        return ".".join(item.nested_key) or item.key

    run: dict[str, Any] = {
        "rows": [], "config": {}, "metrics": {}, "exit": None, "folder": path.parent,
    }  # fmt: skip
    for payload in records(path):
        record = messages.Record()
        record.ParseFromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run["run"] = record.run
            run["config"] = {key(i): json.loads(i.value_json) for i in record.run.config.update}
        elif kind == "history":
            row = {key(i): json.loads(i.value_json) for i in record.history.item}
            run["rows"].append({k: v for k, v in row.items() if k[0] != "_"})
        elif kind == "metric":
            metric = record.metric
            run["metrics"][metric.name or metric.glob_name] = metric.step_metric
        elif kind == "exit":
            run["exit"] = record.exit.exit_code
    return run
