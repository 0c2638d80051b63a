"""Offline runs are read back from their file, which is a LevelDB log of protocol buffers."""

import json
import struct
import sys
import time
import zlib

import numpy as np
import pytest

from vidrec.config import WandbConf, WandbMode
from vidrec.engine import dashboard
from vidrec.engine.dashboard import Dashboard, has_login, run_id

BLOCK = 32768


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def records(path):
    """The payload of each record of a .wandb file."""
    data = path.read_bytes()
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


def read(folder):
    """What each finished offline run under `folder` recorded, oldest first."""
    for _ in range(100):  # wandb writes the file out a moment after finish() has returned
        found = read_now(folder)
        if all(run["exit"] is not None for run in found):
            break
        time.sleep(0.1)
    return found


def read_now(folder):
    from wandb.proto import wandb_internal_pb2 as messages

    def key(item):
        return ".".join(item.nested_key) or item.key

    found = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        run = {"rows": [], "config": {}, "metrics": {}, "exit": None, "folder": path.parent}
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
        found.append(run)
    return found


def start(folder, warnings, **conf):
    folder.mkdir(exist_ok=True)
    conf = WandbConf(**{"mode": WandbMode.offline, **conf})
    return Dashboard(folder, conf, {"model": {"depth": 18}}, warnings.append)


def test_an_offline_run_holds_config_rows_and_pictures_and_resumes_under_its_id(tmp_path):
    from matplotlib.image import imsave

    warnings, folder = [], tmp_path / "tsn_shapes"
    imsave(tmp_path / "a.png", np.zeros((4, 4, 3)))
    board = start(folder, warnings, project="p", group="g", tags=["x", "y"])
    board.log({"epoch": 1, "step": 20, "train/loss": 0.5})
    board.log({"epoch": 1, "step": 40, "train/loss": float("nan"), "val/top1": 1})
    board.pictures("samples", [tmp_path / "a.png"] * 2, ["one", "two"])
    board.finish(0)
    again = start(folder, warnings)
    again.log({"epoch": 1, "step": 30, "train/loss": 0.25})  # resumed from before the last row
    again.finish(3)
    assert warnings == []
    first, second = read(folder)
    assert (first["run"].project, first["run"].run_group, list(first["run"].tags)) == (
        "p",
        "g",
        ["x", "y"],
    )
    assert first["run"].display_name == "tsn_shapes"
    assert first["run"].run_id == second["run"].run_id == run_id(folder)
    assert first["config"]["model"] == {"depth": 18}
    assert first["metrics"] == {"step": "", "*": "step"}  # curves are drawn over our step
    assert first["rows"][0] == {"epoch": 1, "step": 20, "train/loss": 0.5}
    assert first["rows"][1]["val/top1"] == 1
    pictures = first["rows"][2]
    assert (pictures["samples.count"], pictures["samples.captions"]) == (2, ["one", "two"])
    for name in pictures["samples.filenames"]:
        assert (first["folder"] / "files" / name).is_file()
    assert second["rows"] == [{"epoch": 1, "step": 30, "train/loss": 0.25}]
    assert (first["exit"], second["exit"]) == (0, 3)


def test_disabled_means_that_wandb_is_not_even_imported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it now fails
    warnings = []
    start(tmp_path, warnings, mode=WandbMode.disabled).log({"step": 1})
    monkeypatch.setenv("WANDB_MODE", "disabled")
    start(tmp_path, warnings, mode=WandbMode.auto).log({"step": 1})
    assert warnings == []
    start(tmp_path, warnings, mode=WandbMode.offline).log({"step": 1})
    assert len(warnings) == 1
    assert "wandb cannot be imported, the run goes on" in warnings[0]


class FakeRun:
    """Stands for wandb's run; `broken` names the call that fails."""

    offline = False
    url = "https://wandb.example/run"

    def __init__(self, broken):
        self.broken = broken

    def _call(self, name):
        if name == self.broken:
            raise ConnectionError(f"{name} failed\nwith many lines")

    def define_metric(self, *names, **options):
        self._call("define_metric")

    def log(self, row):
        self._call("log")

    def finish(self, exit_code):
        self._call("finish")


@pytest.fixture
def fake(monkeypatch):
    """Replace wandb.init; returns the list of modes that it was asked for."""
    import wandb

    asked, broken = [], {}

    def init(*, mode, **options):
        asked.append(mode)
        if mode in broken.get("modes", ()):
            raise TimeoutError("the server does not answer\nConsider ...")
        return FakeRun(broken.get("call"))

    monkeypatch.setattr(wandb, "init", init)
    return asked, broken


@pytest.mark.parametrize(
    ("mode", "key", "environment", "expected"),
    [
        ("auto", False, None, ["offline"]),
        ("auto", True, None, ["online"]),
        ("auto", True, "offline", ["offline"]),
        ("offline", True, None, ["offline"]),
        ("online", True, "offline", ["online"]),
        ("online", False, None, ["offline"]),  # rather than ask for a key in the middle of a job
    ],
)
def test_modes(tmp_path, monkeypatch, fake, mode, key, environment, expected):
    asked, _ = fake
    warnings = []
    if key:
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    if environment:
        monkeypatch.setenv("WANDB_MODE", environment)
    start(tmp_path, warnings, mode=WandbMode(mode))
    assert asked == expected
    assert bool(warnings) == (mode == "online" and not key)


def test_a_server_that_does_not_answer_leaves_an_offline_run(tmp_path, monkeypatch, fake):
    asked, broken = fake
    broken["modes"] = ["online"]
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    warnings = []
    board = start(tmp_path, warnings, mode=WandbMode.auto)
    assert asked == ["online", "offline"]
    assert warnings == [
        "wandb did not start online, recording offline: TimeoutError: the server does not answer"
    ]
    assert board.run is not None


def test_nothing_starts_and_the_run_goes_on(tmp_path, fake):
    fake[1]["modes"] = ["offline"]
    warnings = []
    board = start(tmp_path, warnings)
    board.log({"step": 1})
    board.pictures("a", [tmp_path / "a.png"], [])
    board.finish(0)
    assert len(warnings) == 1
    assert "no dashboard: TimeoutError" in warnings[0]


@pytest.mark.parametrize("call", ["log", "finish"])
def test_the_first_failure_is_warned_about_once(tmp_path, fake, call):
    fake[1]["call"] = call
    warnings = []
    board = start(tmp_path, warnings)
    for step in range(3):
        board.log({"step": step})
    board.finish(0)
    board.finish(0)
    assert warnings == [
        f"wandb failed, the run goes on without its dashboard: ConnectionError: {call} failed"
    ]


def test_a_person_is_told_where_to_look(tmp_path, monkeypatch, fake):
    board = start(tmp_path, [])
    assert board.place == "https://wandb.example/run"
    board.run.offline, board.run.dir = True, "run/wandb/offline-1/files"
    assert board.place == "offline; `wandb sync run/wandb/offline-1` uploads it"
    board.finish(0)
    assert board.place is None


@pytest.mark.slow
def test_without_a_network_the_run_is_recorded_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(dashboard, "INIT_SECONDS", 3.0)
    warnings = []
    board = start(tmp_path / "run", warnings, mode=WandbMode.auto)
    board.log({"step": 1, "a": 2})
    board.finish(0)
    assert len(warnings) == 1
    assert "recording offline" in warnings[0]
    assert {"step": 1, "a": 2} in [row for run in read(tmp_path / "run") for row in run["rows"]]


def test_a_picture_that_is_not_there_is_a_warning(tmp_path):
    warnings = []
    board = start(tmp_path, warnings)
    board.pictures("confusion", [tmp_path / "missing.png"], [])
    board.finish(0)
    assert len(warnings) == 1
    assert "FileNotFoundError" in warnings[0]


def test_a_login_is_a_key_in_the_environment_or_in_netrc(tmp_path, monkeypatch):
    assert not has_login("https://api.example.com")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.example.com\n login user\n password secret\n")
    netrc.chmod(0o600)
    assert has_login("https://api.example.com")
    assert not has_login("https://elsewhere.example.com")
    monkeypatch.setenv("WANDB_API_KEY", "k")
    assert has_login("https://elsewhere.example.com")


def test_waiting_for_the_server_is_bounded():
    assert dashboard.INIT_SECONDS <= 60
    assert dashboard.FINISH_SECONDS <= 300
