"""Offline runs are read back from their files."""

import http.server
import json
import socket
import sys
import threading

import numpy as np
import pytest

from tests.tracking.dashboards.wandb_file import read_finished
from vidrec.config.schema import WandbConf, WandbMode
from vidrec.tracking.dashboards import sender
from vidrec.tracking.dashboards import wandb as dashboard
from vidrec.tracking.dashboards.wandb import has_login, run_id


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    for name in (
        "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL",
        "WANDB_SWEEP_ID", "WANDB_RUN_ID",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def start(folder, warnings, **conf):
    folder.mkdir(exist_ok=True)
    conf = WandbConf(**{"mode": WandbMode.offline, **conf})
    return dashboard.start(folder, conf, {"model": {"depth": 18}}, warnings.append)


def test_an_offline_run_holds_config_rows_and_media_and_resumes_under_its_id(tmp_path):
    from matplotlib.image import imsave

    from vidrec.data.video.writer import write_video

    warnings, folder = [], tmp_path / "tsn_shapes"
    imsave(tmp_path / "a.png", np.zeros((4, 4, 3)))
    write_video(tmp_path / "a.mp4", np.zeros((4, 32, 32, 3), np.uint8), 12)
    board = start(folder, warnings, project="p", group="g", tags=["x", "y"])
    board.log({"epoch": 1, "step": 20, "train/loss": 0.5})
    board.log({"epoch": 1, "step": 40, "train/loss": float("nan"), "val/top1": 1})
    board.pictures("samples", [tmp_path / "a.png"] * 2, ["one", "two"])
    board.video("clips", tmp_path / "a.mp4")
    board.finish(0)
    start(folder, warnings).finish(3)
    assert warnings == []
    first, second = read_finished(folder)
    assert (first["run"].project, first["run"].run_group, list(first["run"].tags)) == (
        "p",
        "g",
        ["x", "y"],
    )
    assert first["run"].display_name == "tsn_shapes"
    assert first["run"].run_id == second["run"].run_id == run_id(folder)
    assert first["config"]["model"] == {"depth": 18}
    # Curves are drawn over our step; some versions repeat that for every name.
    assert first["metrics"].pop("step") == ""
    assert "*" in first["metrics"]
    assert set(first["metrics"].values()) == {"step"}
    assert first["rows"][0] == {"epoch": 1, "step": 20, "train/loss": 0.5}
    assert first["rows"][1]["val/top1"] == 1
    pictures, video = first["rows"][2:]
    assert (pictures["samples.count"], pictures["samples.captions"]) == (2, ["one", "two"])
    for name in [*pictures["samples.filenames"], video["clips.path"]]:
        assert (first["folder"] / "files" / name).is_file()
    assert (first["exit"], second["exit"]) == (0, 3)


def test_steps_that_a_resumed_run_repeats_are_there_once(tmp_path):
    warnings = []
    board = start(tmp_path, warnings)
    for step in (10, 20, 30):
        board.log({"epoch": 1, "step": step, "train/loss": 1.0})
    board.finish(1)
    again = start(tmp_path, warnings)
    again.rewind(10, [{"epoch": 1, "step": 10, "train/loss": 1.0}], True)
    for step in (20, 30, 40):
        again.log({"epoch": 1, "step": step, "train/loss": 2.0})
        again.log({"epoch": 1, "step": step, "val/top1": 0.5})  # not there before
    again.finish(0)
    rows = [row for run in read_finished(tmp_path) for row in run["rows"]]
    assert [row["step"] for row in rows if "train/loss" in row] == [10, 20, 30, 40]
    assert [row["step"] for row in rows if "val/top1" in row] == [20, 30, 40]
    assert warnings == []


@pytest.fixture
def new_wandb():
    """Let wandb read the environment anew, as it does once a process."""
    import wandb

    wandb.teardown()
    yield wandb.teardown
    wandb.teardown()


def test_each_run_of_an_agent_gets_the_whole_history_of_a_run_that_it_repeats(
    tmp_path, monkeypatch, new_wandb
):
    """The same values again: the run directory is finished, but the sweep has a new run."""
    rows = [{"step": step, "train/loss": 1.0} for step in (10, 20)]
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    for agents in ("first", "second"):
        monkeypatch.setenv("WANDB_RUN_ID", agents)
        board = start(tmp_path, [])
        board.rewind(20, rows, True)
        board.log({"step": 20, "val/top1": 0.5})
        board.finish(0)
        new_wandb()  # an agent starts a process for each run
    found = read_finished(tmp_path)
    assert [(run["run"].run_id, run["run"].sweep_id) for run in found] == [
        ("first", "sweep1"),
        ("second", "sweep1"),
    ]
    everything = [*rows, {"step": 20, "val/top1": 0.5}]
    assert [run["rows"] for run in found] == [everything, everything]
    # By hand, the command goes on with the run of the last agent.
    monkeypatch.delenv("WANDB_SWEEP_ID")
    monkeypatch.delenv("WANDB_RUN_ID")
    assert run_id(tmp_path) == "second"


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff", b"[1]", b'{"abc": 3}', b'{"abc": {"train": "x"}}', b"[" * 100_000]
)
def test_a_damaged_note_of_what_was_sent_is_said_and_sends_again(tmp_path, fake, content):
    (tmp_path / dashboard.SENT).write_bytes(content)
    warnings, sent = [], []
    board = start(tmp_path, warnings)
    board.run.log = sent.append
    board.rewind(10, [{"step": 10, "train/loss": 1.0}], True)
    board.log({"step": 10, "train/loss": 1.0})
    assert sent == [{"step": 10, "train/loss": 1.0}]
    assert warnings == [
        f"{tmp_path / dashboard.SENT} is damaged: wandb may show some rows of this run twice"
    ]
    assert json.loads((tmp_path / dashboard.SENT).read_text()) == {"abc": {"train": 10}}


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"a/b c", b"x" * 1000])
def test_an_id_that_cannot_be_is_replaced(tmp_path, content):
    (tmp_path / dashboard.ID).write_bytes(content)
    new = run_id(tmp_path)
    assert new.isalnum()
    assert run_id(tmp_path) == new


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_killed_while_it_sends_a_row_does_not_make_the_next_one_repeat_it(tmp_path, when):
    board = start(tmp_path, [])
    board.log({"step": 10, "train/loss": 1.0})
    send = board.run.log

    def killed(row):
        if when == "after":
            send(row)
        raise Killed

    board.run.log = killed
    with pytest.raises(Killed):
        board.log({"step": 20, "train/loss": 1.0})
    board.finish(1)
    again = start(tmp_path, [])
    again.rewind(10, [{"step": 10, "train/loss": 1.0}], True)
    for step in (20, 30):
        again.log({"step": step, "train/loss": 1.0})
    again.finish(0)
    rows = [row for run in read_finished(tmp_path) for row in run["rows"]]
    assert [row["step"] for row in rows] == ([10, 30] if when == "before" else [10, 20, 30])


def test_rows_that_a_killed_process_had_not_sent_are_sent_by_the_next(tmp_path):
    board = start(tmp_path, [])
    board.log({"step": 10, "train/loss": 1.0})
    board.finish(1)
    rows = [{"step": step, "train/loss": 1.0} for step in (10, 20, 30)]
    again = start(tmp_path, [])
    again.rewind(30, rows, True)
    again.log({"step": 40, "train/loss": 1.0})
    again.finish(0)
    sent = [row for run in read_finished(tmp_path) for row in run["rows"]]
    assert [row["step"] for row in sent] == [10, 20, 30, 40]


def test_disabled_means_that_wandb_is_not_even_imported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it now fails
    warnings = []
    assert start(tmp_path, warnings, mode=WandbMode.disabled) is None
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert start(tmp_path, warnings, mode=WandbMode.auto) is None
    assert warnings == []
    assert start(tmp_path, warnings, mode=WandbMode.offline) is None
    assert len(warnings) == 1
    assert "wandb cannot be imported, the run continues" in warnings[0]


class FakeRun:
    """Stands for wandb's run."""

    offline = False
    id = "abc"
    url = "https://wandb.example/run"
    dir = "run/wandb/offline-1/files"

    def define_metric(self, *names, **options): ...


@pytest.fixture
def fake(monkeypatch):
    """Replace wandb.init; returns the list of modes that it was asked for."""
    import wandb

    asked, broken = [], {}

    def init(*, mode, settings, **options):
        asked.append(mode)
        if mode == "online":
            assert settings.init_timeout == dashboard.INIT_SECONDS  # by itself it waits for 90 s
        if mode in broken.get("modes", ()):
            raise TimeoutError("the server does not answer\nConsider ...")
        return FakeRun()

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(dashboard, "check_answers", lambda base_url: None)
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
    assert start(tmp_path, warnings) is None
    assert len(warnings) == 1
    assert "no dashboard: TimeoutError" in warnings[0]


def test_a_person_is_told_where_to_look(tmp_path, monkeypatch, fake):
    assert start(tmp_path, []).place == "https://wandb.example/run"
    monkeypatch.setattr(FakeRun, "offline", True)
    assert start(tmp_path, []).place == "offline; `wandb sync run/wandb/offline-1` uploads it"


@pytest.fixture
def black_hole():
    """The URL of a server that takes connections and requests but never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def one_word():
    """The URL of a server that says that it is there, and nothing when it is asked for more."""
    stopped = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.end_headers()

        def do_POST(self):
            stopped.wait(60)

        def log_message(self, *_): ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        stopped.set()
        server.shutdown()


@pytest.mark.parametrize(
    "server", ["refuses", "black_hole", pytest.param("one_word", marks=pytest.mark.slow)]
)
def test_without_a_server_the_run_is_soon_recorded_offline(tmp_path, monkeypatch, request, server):
    url = "http://127.0.0.1:9" if server == "refuses" else request.getfixturevalue(server)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setattr(dashboard, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(dashboard, "INIT_SECONDS", 5.0)
    warnings = []
    board = start(tmp_path / "run", warnings, mode=WandbMode.auto)
    board.log({"step": 1, "a": 2})
    board.finish(0)
    assert len(warnings) == 1
    assert "did not start online, recording offline" in warnings[0]
    rows = [row for run in read_finished(tmp_path / "run") for row in run["rows"]]
    assert {"step": 1, "a": 2} in rows


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
    assert dashboard.ANSWER_SECONDS + dashboard.INIT_SECONDS <= 30
    assert dashboard.FINISH_SECONDS < sender.FINISH_SECONDS <= 180
