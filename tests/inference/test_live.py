"""Oracles: predictions on the finished file, plain decodes, and the numbers of what was sent."""

import functools
import json
import re
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest
import torch

import vidrec
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.live import LiveSource
from vidrec.inference import live, live_reader
from vidrec.inference.live_log import LiveLog
from vidrec.inference.live_network import LiveNetwork
from vidrec.inference.live_parts import (
    LivePart,
    LiveParts,
    spans_of_frames,
)
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.recognition import RecognitionPredictor
from vidrec.inference.windows import ClipTimes, spans_of_windows

RATE, NUM_FRAMES = 25, 60
SIZE = ["model.clip.size=32", "model.clip.short_side=36"]
STAGE = ["model.net.backbone.num_stages=1", "model.net.cls_head.in_channels=64"]
MODELS = {
    "tsn": ["model=tsn_tiny", *STAGE, *SIZE],
    "clips": [
        "model=i3d_tiny", "model.net.backbone.num_stages=1", "model.net.backbone.base_channels=8",
        "model.net.backbone.inflate=[1]", "model.net.cls_head.in_channels=8", *SIZE,
        "model.clip.test_size=36",
    ],
    "online": ["model=tsm_online_tiny", *STAGE, *SIZE],
}  # fmt: skip


@functools.cache
def network(name="tsn"):
    """With random weights, as if it came from a checkpoint."""
    torch.manual_seed(0)
    conf = vidrec.compose(*MODELS[name], "data.prepare=null", "runtime.device=cpu")
    net = vidrec.build_model(conf).eval()
    torch.nn.init.normal_(net.cls_head.fc_cls.weight, std=0.3)
    return Network(net, vidrec.api.describe_model(conf), "random.pt")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """The same moving noise as .mp4 and as a transport stream."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 255, (6, 64, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    for name in ("video.mp4", "video.ts"):
        with av.open(str(folder / name), "w") as file:
            stream = file.add_stream("libx264", RATE, options={"g": "5", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(NUM_FRAMES):
                picture = np.ascontiguousarray(np.roll(texture, 8 * number, axis=1)[:, :64])
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            file.mux(stream.encode())
    return folder


@contextmanager
def server(content, seconds=0.0, connections=1, part=1.0):
    """The address of a server that sends `content` over that many seconds.

    connections: after so many it answers 503. part: the share of the content that the first one
    gets.
    """
    served = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.append(self)
            if len(served) > connections:
                self.send_error(503)
                return
            self.send_response(200)
            self.end_headers()
            end = int(len(content) * part) if len(served) == 1 else len(content)
            step = 2 * 188
            for begin in range(0, end, step):
                self.wfile.write(content[begin : min(end, begin + step)])
                time.sleep(seconds * step / len(content))

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/live.ts"
    finally:
        running.shutdown()
        running.server_close()


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def rounded(topk):
    """Classes and scores, the latter as exact as they are in batches of another size."""
    return [(best["label"], pytest.approx(best["score"], rel=1e-5)) for best in topk]


def classes(topk):
    return [(best["label"], best["score"]) for best in topk]


def watch(source, tmp_path, name="tsn", every=0.4, timeout=5.0, as_json=False, **how):
    """The exit status and the lines that were written."""
    out = tmp_path / "labels.jsonl"
    source = LiveSource(str(source), timeout=timeout, **how)
    status = live.run(network(name), Options(every=every, topk=2), source, out, as_json)
    return status, lines_of(out)


@pytest.mark.parametrize(("name", "every"), [("tsn", 0.4), ("clips", 1.0)])
def test_labels_of_a_file_are_those_of_its_parts(videos, tmp_path, name, every):
    path = videos / "video.mp4"
    status, lines = watch(f"file://{path}", tmp_path, name, every)
    expected = RecognitionPredictor(network(name), Options(every=every, topk=2))(str(path))
    timeline = expected.as_dict()["timeline"]
    assert len({moment["topk"][0]["score"] for moment in timeline}) > 1
    assert status == 0
    assert [(line["start"], line["end"], classes(line["topk"])) for line in lines] == [
        (moment["start"], pytest.approx(moment["end"]), rounded(moment["topk"]))
        for moment in timeline
    ]
    assert lines[-1]["num_frames"] == NUM_FRAMES
    assert lines[-1]["num_dropped"] == 0


def test_an_online_network_agrees_with_its_clip_at_the_end_of_the_first_part(videos, tmp_path):
    every, net = 1.0, network("online")
    num_frames = net.net.backbone.layer1[0].conv1.conv.num_segments
    _, lines = watch(videos / "video.mp4", tmp_path, "online", every)
    ends = [every / num_frames * n for n in range(1, len(lines) + 1)]
    assert [line["end"] for line in lines] == pytest.approx(ends)
    assert [line["start"] for line in lines] == pytest.approx([max(0, e - every) for e in ends])
    predictor = RecognitionPredictor(net, Options(every=every, topk=2))
    first = predictor(str(videos / "video.mp4")).as_dict()["timeline"][0]
    assert classes(lines[num_frames - 1]["topk"]) == rounded(first["topk"])


@pytest.fixture
def readers(monkeypatch):
    """The readers that were made, which hardly wait before they connect again."""
    made = []

    class Reader(live_reader.LiveReader):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(live, "LiveReader", Reader)
    monkeypatch.setattr(live_reader, "RECONNECT_SECONDS", 0.01)
    return made


@pytest.fixture
def labelled(monkeypatch):
    """The frames of each part that was classified; `seconds` is how long that takes."""

    class Labelled(list):
        seconds = 0.0

    parts, plain = Labelled(), LiveNetwork.__call__

    def counted(self, part):
        parts.append(part.num_frames)
        time.sleep(parts.seconds)
        return plain(self, part)

    monkeypatch.setattr(LiveNetwork, "__call__", counted)
    return parts


def part(number, num_frames):
    return LivePart(number, number + 1, np.zeros((1, 1, 1, 1, 3), np.uint8), 0.0, num_frames, 0.0)


def test_of_the_parts_that_wait_the_oldest_is_dropped():
    latest, stop = live_reader.LatestParts(waits=False), threading.Event()
    for number in range(5):
        latest.put(part(number, num_frames=10 + number), stop)
    latest.end(None)
    assert [waiting.start for waiting in iter(latest.get, None)] == [3, 4]
    assert latest.num_dropped == 10 + 11 + 12
    assert latest.most_held == live_reader.MOST_PARTS


def test_a_reader_that_waits_drops_nothing_and_is_released_at_the_end():
    latest, stop = live_reader.LatestParts(waits=True), threading.Event()

    def fill():
        for number in range(5):
            latest.put(part(number, num_frames=10), stop)
        latest.end(VideoError("a.mp4: gone"))

    thread = threading.Thread(target=fill)
    thread.start()
    assert [latest.get().start for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(VideoError, match="gone"):
        latest.get()
    assert latest.num_dropped == 0
    latest.put(part(0, num_frames=1), stop)
    latest.put(part(1, num_frames=1), stop)
    blocked = threading.Thread(target=latest.put, args=(part(2, num_frames=1), stop))
    blocked.start()
    stop.set()
    blocked.join(timeout=5)
    assert not blocked.is_alive()
    thread.join()


def frame(level):
    return av.VideoFrame.from_ndarray(np.full((2, 2, 3), level, np.uint8), "rgb24")


def level_of(shown):
    return shown.to_ndarray(format="rgb24")[:1, :1]


def test_frames_belong_to_the_part_that_is_complete_with_them():
    # Two frames, at 0.25 s and 0.75 s of every second; frames every 0.25 s.
    clip = ClipTimes(np.array([0.25, 0.75]), 1.0)
    parts = LiveParts(spans_of_windows(clip, 1.0, None), level_of, opened=100.0)
    done = [p for n in range(11) for p in parts.push(0.25 * n, float(n), frame(n))]
    (last,) = parts.finish()
    assert [p.clips[..., 0].ravel().tolist() for p in [*done, last]] == [[1, 3], [5, 7], [9, 10]]
    assert [(p.start, p.end) for p in [*done, last]] == [
        (100, 101), (101, 102), (102, pytest.approx(102.75)),
    ]  # fmt: skip
    assert [p.num_frames for p in [*done, last]] == [4, 4, 3]
    assert [p.arrival for p in [*done, last]] == [3, 7, 10]


def test_a_part_before_the_first_frame_shows_that():
    clip = ClipTimes(np.array([0.25, 0.75]), 1.0)
    parts = LiveParts(spans_of_windows(clip, 1.0, None), level_of)
    (first,) = parts.push(1.1, 7.0, frame(9))
    assert (first.clips[..., 0].ravel().tolist(), first.arrival) == ([9, 9], 7.0)


def test_steps_of_an_online_network_are_the_frames_of_its_clips():
    clip = ClipTimes(np.array([0.25, 0.75]), 1.0)
    parts = LiveParts(spans_of_frames(clip), level_of)
    done = [p for n in range(11) for p in parts.push(0.25 * n, float(n), frame(n))]
    done += parts.finish()
    assert [p.clips[..., 0].ravel().tolist() for p in done] == [[1], [3], [5], [7], [9]]
    assert [(p.start, p.end) for p in done] == [
        (0, 0.5), (0, 1), (0.5, 1.5), (1, 2), (1.5, 2.5),
    ]  # fmt: skip
    assert sum(p.num_frames for p in done) + parts.num_waiting == 11


@pytest.mark.slow
def test_frames_that_come_too_late_are_dropped_and_counted(
    videos, tmp_path, readers, labelled, capsys
):
    labelled.seconds = 0.5
    with server((videos / "video.ts").read_bytes(), seconds=1.5) as address:
        status, lines = watch(address, tmp_path, every=0.2)
    latest = readers[0].latest
    assert status == 1  # the stream ended, and the server does not answer again
    # The frame that comes when the connection is lost may be lost.
    assert latest.num_decoded in (NUM_FRAMES, NUM_FRAMES - 1)
    assert latest.num_dropped > 0
    assert sum(labelled) + latest.num_dropped + readers[0].num_left == latest.num_decoded
    assert latest.most_held == live_reader.MOST_PARTS
    # Labels stay at the present: a part waits for those in the queue alone.
    assert max(line["latency"] for line in lines) < 0.5 * (live_reader.MOST_PARTS + 2)
    said = capsys.readouterr()
    assert re.search(r"\d s  \w+ \d\.\d\d  latency \d+ ms, \d+ of \d+ frames dropped", said.out)
    assert "attempt 3 of 3 to open it again" in said.err
    assert "gave up after 3 attempts" in said.err


@pytest.mark.slow
def test_a_source_can_wait_for_a_slow_network(videos, tmp_path, readers, labelled):
    labelled.seconds = 0.05
    with server((videos / "video.ts").read_bytes()) as address:
        _, lines = watch(address, tmp_path, every=0.2, wait=True)
    assert readers[0].latest.num_dropped == 0
    assert [line["start"] for line in lines] == pytest.approx([0.2 * n for n in range(12)])
    expected = RecognitionPredictor(network(), Options(every=0.2, topk=2))
    timeline = expected(str(videos / "video.ts")).as_dict()["timeline"]
    for line, part in zip(lines[:11], timeline[:11], strict=True):  # where it ends, nobody knew
        assert classes(line["topk"]) == rounded(part["topk"])


@pytest.mark.slow
def test_a_lost_connection_is_opened_again_and_its_time_goes_on(videos, tmp_path, readers, capsys):
    content = (videos / "video.ts").read_bytes()
    with server(content, seconds=0.5, connections=2, part=0.5) as address:
        status, lines = watch(address, tmp_path, every=0.2)
    starts = [line["start"] for line in lines]
    assert status == 1
    assert starts == sorted(starts)
    assert readers[0].latest.num_decoded > 1.3 * NUM_FRAMES
    said = capsys.readouterr().err
    assert said.count("64 x 48 pixels, 25 frames per second") == 2
    assert said.count("attempt 1 of 3") == 2  # a frame came: the attempts are counted anew


@pytest.mark.slow
def test_a_file_is_followed_while_it_is_written(videos, tmp_path, readers, labelled):
    content, growing = (videos / "video.ts").read_bytes(), tmp_path / "growing.ts"
    growing.write_bytes(content[:188])

    def write():
        with growing.open("ab") as file:
            for begin in range(188, len(content), 2000):
                file.write(content[begin : begin + 2000])
                file.flush()
                time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    status, lines = watch(growing, tmp_path, every=0.4, follow=True, timeout=0.5)
    writer.join()
    assert status == 0
    assert readers[0].latest.num_decoded == NUM_FRAMES == sum(labelled) + readers[0].num_left
    predictor = RecognitionPredictor(network(), Options(every=0.4, topk=2))
    timeline = predictor(str(growing)).as_dict()["timeline"]
    for line, part in zip(lines, timeline, strict=True):
        assert classes(line["topk"]) == rounded(part["topk"])


def test_ctrl_c_ends_with_a_summary_and_all_labels_so_far(
    videos, tmp_path, monkeypatch, readers, capsys
):
    calls, plain = [], LiveNetwork.__call__

    def interrupted(self, part):
        calls.append(part)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(self, part)

    monkeypatch.setattr(LiveNetwork, "__call__", interrupted)
    status, lines = watch(videos / "video.mp4", tmp_path, every=0.2)
    assert (status, len(lines)) == (0, 2)
    assert "0.4 s, 2 labels, latency" in capsys.readouterr().err
    assert not readers[0].is_alive()


def test_labels_are_appended_to_those_of_before(videos, tmp_path):
    _, first = watch(videos / "video.mp4", tmp_path, every=1.0)
    out = tmp_path / "labels.jsonl"
    with out.open("a") as file:
        file.write('{"schema": 1, "sou')  # a crash
    live.run(network(), Options(every=1.0), LiveSource(str(videos / "video.mp4")), out)
    lines = out.read_text().splitlines()
    assert [json.loads(line) for line in lines[:3]] == first
    assert lines[3] == '{"schema": 1, "sou'
    assert [json.loads(line)["end"] for line in lines[4:]] == [line["end"] for line in first]


@pytest.mark.parametrize("content", ['{"mine": 1}\n', "text", "[1]\n"])
def test_files_of_others_are_left_alone(tmp_path, content):
    out = tmp_path / "mine.jsonl"
    out.write_text(content)
    with pytest.raises(FileExistsError, match="something else than labels"):
        LiveLog(out, "camera:0", "best.pt")
    assert out.read_text() == content


def test_json_lines_are_printed_alone(videos, tmp_path, capsys):
    _, lines = watch(videos / "video.mp4", tmp_path, every=1.0, as_json=True)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == lines
    assert lines[0].keys() >= {"schema", "source", "model", "at", "start", "end", "topk", "latency"}


def test_a_silent_server_is_given_up_after_the_timeout(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/live"
        with pytest.raises(VideoError, match=rf"{address}: no answer within 0.3 s"):
            watch(address, tmp_path, timeout=0.3)


def test_other_tasks_are_refused():
    about = replace(network().description, task="detection")
    with pytest.raises(ValueError, match=r"best.pt is a network for detection: live predictions"):
        LiveNetwork(Network(None, about, "best.pt"), Options(every=1.0))
