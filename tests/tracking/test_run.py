import fcntl
import json
import logging
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.folders import content_of
from vidrec.config.schema import RuntimeConf, WandbConf, WandbMode
from vidrec.tracking import status
from vidrec.tracking.console import console_line, duration
from vidrec.tracking.record import RunRecord
from vidrec.tracking.run import MetricsFile, Run, RunLocked


def runtime(mode="disabled", **options):
    return RuntimeConf(wandb=WandbConf(mode=WandbMode(mode)), **options)


@pytest.fixture
def open_run(tmp_path):
    """Start runs in one folder and close those that the test left open."""
    runs = []

    def start(rank=0, conf=None, config="", folder=tmp_path / "run", aside=False):
        runs.append(Run(folder, rank, conf or runtime(), RunRecord([], config)))
        runs[-1].accept(aside=aside)
        return runs[-1]

    yield start
    for run in runs:
        run.finish()


def no_warning(text):
    raise AssertionError(text)


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_row_is_on_disk_as_soon_as_it_is_logged(open_run):
    run = open_run()
    run.log({"train/loss": 0.5, "lr": 0.1}, epoch=1, step=20)
    run.log({"val/top1": 0.75}, epoch=1, step=40)
    assert rows(run.folder) == [
        {"epoch": 1, "step": 20, "train/loss": 0.5, "lr": 0.1},
        {"epoch": 1, "step": 40, "val/top1": 0.75},
    ]


def test_lines_are_json_whatever_the_numbers(open_run):
    np, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    run = open_run()
    row = {"a": float("nan"), "b": float("inf"), "c": np.float32(0.5), "d": np.int64(3)}
    run.log(row | {"e": torch.tensor(2.0), "f": np.float64("-inf")}, epoch=1, step=1)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = (run.folder / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=refuse) == {
        **{"epoch": 1, "step": 1},
        **{"a": None, "b": None, "c": 0.5, "d": 3, "e": 2.0, "f": None},
    }


def test_rewinding_drops_the_rows_that_will_be_written_again(open_run):
    run = open_run()
    for step in (10, 20, 30, 40):
        run.log({"train/loss": 1.0 / step}, epoch=1, step=step)
    run.finish()
    again = open_run()
    again.rewind(20)
    again.log({"train/loss": 7.0}, epoch=1, step=30)
    assert [(row["step"], row["train/loss"]) for row in rows(run.folder)] == [
        (10, 0.1),
        (20, 0.05),
        (30, 7.0),
    ]
    again.rewind(0)
    assert rows(run.folder) == []
    assert not list(run.folder.glob(".*.part"))


def test_rows_that_stay_come_back_without_what_was_no_number(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl", no_warning)
    file.write({"step": 1, "train/loss": float("nan"), "lr": 0.5})
    file.write({"step": 2, "train/loss": 1.0})
    assert file.rewind(1) == [{"step": 1, "lr": 0.5}]


def test_a_run_resumed_before_its_validation_forgets_the_row_of_it(open_run):
    run = open_run()
    for step in (10, 20):
        run.log({"train/loss": 1.0}, epoch=step // 10, step=step)
        run.log({"val/top1": 0.5}, epoch=step // 10, step=step)
    run.rewind(20)
    assert len(rows(run.folder)) == 4
    run.rewind(20, validated=False)
    assert [(row["step"], "val/top1" in row) for row in rows(run.folder)] == [
        (10, False),
        (10, True),
        (20, False),
    ]


def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1, "step": 1}\n{"epoch": 1, "st')
    file = MetricsFile(path, no_warning)
    file.write({"epoch": 1, "step": 2})
    file.close()
    assert [row["step"] for row in rows(tmp_path)] == [1, 2]


DAMAGE = [
    b"\x00" * 300,
    b"\xff\xfe\x80 garbage \x0c \xe2\x80\xa8",
    b'{"epoch": 1, "step": 2, "train/l',
    b'{"epoch": 1, "step": 2}{"epoch": 1, "step": 2}',
    b"[1, 2]",
    b"7",
    b"null",
    b'"step"',
    b'{"epoch": 1, "train/loss": 0.5}',
    b'{"epoch": 1, "step": null}',
    b'{"epoch": 1, "step": "2"}',
    b'{"epoch": 1, "step": 2, "train/loss": "high"}',
    b'{"epoch": 1, "step": NaN}',
    b'{"epoch": 1, "step": 1' + b"0" * 400 + b"}",
    b"[" * 100_000,
]


@pytest.mark.parametrize("bad", DAMAGE, ids=range(len(DAMAGE)))
def test_a_damaged_line_is_moved_aside_and_the_run_goes_on(open_run, tmp_path, capsys, bad):
    good = [b'{"epoch": 1, "step": %d, "train/loss": 0.5}\n' % step for step in (1, 2, 3)]
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_bytes(good[0] + bad + b"\n" + good[1] + bad + b"\n" + good[2])
    run = open_run()
    said = capsys.readouterr().out
    assert f"{folder}/metrics.jsonl: 2 damaged lines, the first is line 2" in said
    assert "metrics.jsonl.damaged" in said
    assert (folder / "metrics.jsonl").read_bytes() == b"".join(good)
    assert (folder / "metrics.jsonl.damaged").read_bytes() == (bad + b"\n") * 2
    run.rewind(2)
    run.log({"train/loss": 7.0}, epoch=1, step=3)
    assert [row["step"] for row in rows(folder)] == [1, 2, 3]
    run.finish()
    open_run()
    assert "damaged" not in capsys.readouterr().out  # said once
    assert (folder / "metrics.jsonl.damaged").read_bytes() == (bad + b"\n") * 2


def test_a_whole_row_that_lost_its_line_break_stays(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1, "step": 1}\n{"epoch": 1, "step": 2}')
    file = MetricsFile(path, no_warning)
    file.write({"epoch": 1, "step": 3})
    file.close()
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\x00", b'{"state": "fin', b"[1]", b"3", b"null", b"[" * 100_000,
        b'{"state": 5, "error": [1], "key": {}, "higher_is_better": "yes", "best": null}',
    ],
    ids=range(8),
)  # fmt: skip
def test_a_damaged_status_is_written_anew(tmp_path, content):
    (tmp_path / "status.json").write_bytes(content)
    assert status.read(tmp_path) == {}
    status.write(tmp_path, "running", key="top1", higher_is_better=True)
    expected = {"state": "running", "key": "top1", "higher_is_better": True}
    assert json.loads((tmp_path / "status.json").read_text()) == expected


def test_rewinding_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path, no_warning)
    for step in (1, 2, 3):
        file.write({"epoch": 1, "step": step})

    def crash(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no space"):
        file.rewind(1)
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3]


def test_starting_over_moves_the_earlier_run_aside_whole(open_run):
    run = open_run(conf=runtime("offline"))
    run.log({"train/loss": 1.0}, epoch=1, step=1)
    run.finish()
    before = content_of(run.folder)
    for number in (1, 2):
        again = open_run(conf=runtime("offline", resume="never"), aside=True)
        again.finish()
        assert rows(run.folder) == []
        assert again.folder == run.folder
        assert (run.folder / "wandb_id").read_bytes() != before["wandb_id"]
        assert run.folder.with_name(f"run.old{number}").is_dir()
    moved = content_of(run.folder.with_name("run.old1"))
    assert {name: moved[name] for name in before} == before


def test_a_new_run_holds_its_folder_after_it_moved_the_old_one(open_run, tmp_path):
    open_run().finish()
    open_run(aside=True)
    command = [sys.executable, "-c", CODE, str(tmp_path / "run")]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "RunLocked" in second.stderr


def test_a_run_is_not_moved_from_under_the_working_directory(open_run, tmp_path, monkeypatch):
    open_run(folder=tmp_path).finish()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"hydra\.run\.dir"):
        open_run(folder=tmp_path, aside=True)


def test_a_command_that_is_rejected_leaves_a_run_as_it_was(open_run, tmp_path):
    run = open_run(config="epochs: 3\n")
    run.log({"train/loss": 1.0}, epoch=1, step=1)
    run.finish()
    before = content_of(run.folder)
    rejected = Run(run.folder, 0, runtime(), RunRecord(["a=1"], "epochs: 4\n", {"epochs": [3, 4]}))
    rejected.info("hello")
    rejected.finish(1)
    assert content_of(run.folder) == before
    new = Run(tmp_path / "deep" / "new", 0, runtime(), RunRecord())
    new.finish(1)
    assert not [*new.folder.iterdir()]


def test_what_was_said_before_a_run_was_accepted_is_in_its_log(tmp_path):
    run = Run(tmp_path / "run", 0, runtime(), RunRecord())
    run.info("before")
    run.accept()
    run.info("after")
    run.finish()
    lines = (run.folder / "train.log").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["before", "after"]


def test_other_ranks_write_nothing_but_what_only_they_know(open_run, tmp_path, capsys):
    run = open_run(rank=1)
    run.begin(2, 20)
    run.log({"train/loss": 1.0}, epoch=1, step=1)
    run.rewind(0)
    run.info("hello")
    run.warn("everybody knows")
    run.progress(1, 2)
    run.picture("confusion", tmp_path / "missing.png")
    run.finish(1)
    assert not run.folder.exists()
    assert capsys.readouterr() == ("", "")
    run.warn("unreadable video a.mp4", every_rank=True)
    assert capsys.readouterr().err == "rank 1: warning: unreadable video a.mp4\n"


def test_console_and_train_log_say_the_same(open_run, capsys):
    run = open_run()
    run.begin(50, 5000)
    run.log({"train/loss": 1.5, "lr": 0.01}, epoch=3, step=240)
    run.warn("the learning rate is not scaled")
    logging.getLogger("vidrec.data").warning("unreadable video")
    shown = capsys.readouterr().out.splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in shown] == [
        "epoch  3/50 [ 240/5000]  loss 1.5000  lr 1.00e-02",
        "warning: the learning rate is not scaled",
        "warning: unreadable video",
    ]
    logged = (run.folder / "train.log").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in logged] == [line.split(" ", 1)[1] for line in shown]


def test_an_exception_on_its_way_out_is_in_train_log(open_run, capsys):
    run = open_run()

    def fail():
        try:
            raise FloatingPointError("loss is nan")
        finally:
            run.finish(1)

    with pytest.raises(FloatingPointError):
        fail()
    assert "FloatingPointError: loss is nan" in (run.folder / "train.log").read_text()
    assert "nan" not in capsys.readouterr().out  # Python prints it, not we


def test_runs_in_one_process_do_not_mix(open_run, tmp_path, capsys):
    first = open_run()
    first.finish()
    second = open_run(folder=tmp_path / "second")
    second.info("hello")
    assert capsys.readouterr().out.count("hello") == 1
    assert "hello" not in (first.folder / "train.log").read_text()
    first.info("ignored after the end")
    first.log({"a": 1.0}, epoch=1, step=1)
    first.finish()
    second.finish()
    assert logging.getLogger("vidrec").handlers == []
    assert logging.getLogger("vidrec").propagate


def test_the_configuration_lies_beside_the_log(open_run):
    run = open_run(config="model:\n  depth: 18\n")
    assert (run.folder / "config.yaml").read_text() == "model:\n  depth: 18\n"


CODE = """
import sys, time
from pathlib import Path
from tests.folders import content_of
from vidrec.config.schema import RuntimeConf, WandbConf, WandbMode
from vidrec.tracking.run import Run
conf = RuntimeConf(wandb=WandbConf(mode=WandbMode.disabled))
run = Run(Path(sys.argv[1]), 0, conf)
print("started", flush=True)
time.sleep(600)
"""


def test_a_second_job_in_the_same_folder_is_refused_until_the_first_is_gone(open_run, tmp_path):
    command = [sys.executable, "-c", CODE, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout.readline() == "started\n"
            place = f"process {first.pid} on {re.escape(socket.gethostname())}"
            with pytest.raises(RunLocked, match=rf"run is in use by {place}; .*hydra\.run\.dir"):
                open_run()
        finally:
            first.send_signal(signal.SIGKILL)
    open_run()


def test_forked_workers_do_not_hold_the_folder(open_run, tmp_path):
    run = open_run()
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    worker.start()
    try:
        run.finish()
        check = (
            "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        )
        lock = str(run.folder / "run.lock")
        assert subprocess.run([sys.executable, "-c", check, lock], check=False).returncode == 0
    finally:
        worker.kill()
        worker.join()


def test_a_file_system_without_locks_is_warned_about(open_run, monkeypatch, capsys):
    def no_locks(stream, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    open_run().info("goes on")
    out, err = capsys.readouterr()
    assert "cannot be locked" in err
    assert "goes on" in out


def test_a_training_line_has_everything_in_reading_order():
    row = {
        "train/loss": 1.23456,
        "train/loss_cls": 0.00001,
        "train/top1": 0.5,
        "lr": 0.01,
        "grad_norm": 2.345,
        "time/data": 0.0031,
        "time/step": 0.12,
        "time/eta": 4000.0,
        "samples_per_second": 266.66,
        "memory_gib": 12.34,
    }
    assert console_line(row, 3, 240, 50, 5000) == (
        "epoch  3/50 [ 240/5000]  loss 1.2346  loss_cls 1.000e-05  top1 0.5000  lr 1.00e-02  "
        "grad 2.35  data 3 ms  step 120 ms  266.7 samples/s  12.3 GiB  eta 1:06:40"
    )


def test_a_validation_line_says_so():
    row = {"val/top1": 0.75, "val/mean_class": 0.5, "val/num_scored": 19790}
    assert console_line(row, 12, 100, 50, 100) == (
        "epoch 12/50 [100/100]  val  top1 0.7500  mean_class 0.5000  num_scored 19,790"
    )
    assert console_line({"val/loss": float("nan")}, 1.25, 5) == "epoch 1.25 [5]  val  loss nan"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00:00"), (59.6, "0:01:00"), (3661, "1:01:01"), (float("inf"), "?")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
