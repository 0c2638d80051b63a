"""`vidrec predict`: the results of videos, on the terminal and in a folder."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields

import numpy as np
import pytest
import torch
from PIL import Image

import vidrec
from tests.conftest import run_python
from tests.paths import ROOT
from vidrec import build
from vidrec.api import describe_model
from vidrec.commands.predict import TASKS_OF, Printer, main, parse
from vidrec.data.synthetic.shapes import write_motions
from vidrec.inference.options import Options
from vidrec.inference.prediction import Prediction, ScoredClass
from vidrec.inference.recognition import RecognitionPredictor
from vidrec.metrics import predictions

SMALL = [
    "model=tsn_tiny", "data=motions", "model.clip.size=32", "model.clip.test_size=32",
    "data/views=center_crop", "model.net.backbone.num_stages=2", "data.num_classes=4",
    "model.net.cls_head.in_channels=128",
]  # fmt: skip
NAMES = ["up", "down", "up twice", "down twice"]


@pytest.fixture(scope="module")
def model(compose, tmp_path_factory):
    """The checkpoint of a random network as training writes it."""
    conf = compose(*SMALL)
    torch.manual_seed(0)
    net = build.build_net(conf.model)
    torch.nn.init.normal_(net.cls_head.fc_cls.weight)
    path = tmp_path_factory.mktemp("model") / "best.pt"
    about = asdict(describe_model(conf, NAMES))
    torch.save({"net": net.state_dict(), "about": about}, path)
    return str(path)


@pytest.fixture(scope="module")
def motions(tmp_path_factory):
    root = tmp_path_factory.mktemp("motions")
    write_motions(str(root), num_train=1, num_val=3)
    return sorted((root / "videos").glob("val_*"))


@pytest.fixture
def folder(motions, tmp_path, monkeypatch):
    """The working directory, with three videos."""
    (tmp_path / "videos" / "deeper").mkdir(parents=True)
    for file, name in zip(motions, ("a.mp4", "b.mp4", "deeper/c.mp4"), strict=True):
        shutil.copyfile(file, tmp_path / "videos" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def predict(model, capsys):
    """`predict(*arguments)`: the exit status, and the lines of both outputs."""

    def predict(*arguments):
        status = 0
        try:
            main([*map(str, arguments), "--model", model, "--device", "cpu"])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        told = capsys.readouterr()
        return status, told.out.splitlines(), told.err.splitlines()

    return predict


def table_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def times(folder):
    """When each file of a folder was written."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.suffix in (".json", ".png", ".mp4") and not path.name.startswith(".")
    }


def test_every_option_of_predictions_can_be_given():
    names = {field.name for field in fields(Options)}
    assert TASKS_OF.keys() <= names
    given = ["--top=2", "--names=f", "--batch-size=1", "--every=2.5", "--detector=d"]
    given += ["--detector-weights=w", "--threshold=0.5", "--proposals=p", "--min-score=0.1"]
    given += ["--extractor=e", "--features=f", "--classifier=c"]
    parsed = vars(parse(["a.mp4", "--model=m", *given]))
    assert names <= parsed.keys()
    assert not names & vars(parse(["a.mp4", "--model=m"])).keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top", "0"], "argument --top: '0' is not a number from 1 on"),
        (["--every", "inf"], "argument --every: 'inf' is not a positive number of seconds"),
        (["--threshold", "2"], "argument --threshold: '2' is not a score from 0 to 1"),
        (["--video"], "--video is written beside the other results: pass --out DIR too"),
        (["--precision", "int8"], "argument --precision: invalid choice: 'int8'"),
    ],
)
def test_wrong_options_are_usage_errors(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        parse(["a.mp4", "--model=m", *arguments])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_the_results_are_those_of_python(folder, predict, model):
    """The same numbers as of the API, as text, JSON and csv."""
    (folder / "names.txt").write_text("nord\nsüd\nost\nwest\n")
    status, lines, _ = predict("videos", "--json", "--names", "names.txt", "--out", "out")
    assert status == 0
    loaded = vidrec.load_model(model)
    paths = ["videos/a.mp4", "videos/b.mp4", "videos/deeper/c.mp4"]
    expected = [loaded.predict(path, names="names.txt").as_dict() for path in paths]
    assert [json.loads(line) for line in lines] == expected
    for path, content in zip(paths, expected, strict=True):
        name = path.removeprefix("videos/").removesuffix(".mp4")
        written = json.loads((folder / "out" / f"{name}.json").read_text())
        assert content.items() <= written.items()
    rows = table_of(folder / "out" / "predictions.csv")
    assert [row["video"] for row in rows] == [path for path in paths for _ in range(4)]
    best = expected[0]["topk"][0]
    assert (rows[0]["name"], float(rows[0]["score"])) == (
        best["name"],
        pytest.approx(best["score"]),
    )
    assert {row["name"] for row in rows} == {"nord", "süd", "ost", "west"}
    _, lines, _ = predict("videos/a.mp4", "--names", "names.txt", "--top", "2")
    assert lines[1:] == [f"  {c['score']:.3f}  {c['name']}" for c in expected[0]["topk"][:2]]


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(folder, predict):
    (folder / "videos" / "empty.mp4").touch()
    (folder / "videos" / "text.mp4").write_text("no video")
    status, lines, errors = predict("gone.mp4", "videos", "--out", "out")
    assert status == 1
    assert [line.split()[0] for line in lines[:3]] == [
        f"videos/{name}.mp4" for name in ("a", "b", "deeper/c")
    ]
    assert lines[3] == "out: 3 of 5 videos, predictions.csv"
    assert errors[0].startswith("error: gone.mp4 does not exist; there are: ")
    assert errors[1] == "error: videos/empty.mp4: the file is empty (0 bytes)"
    assert errors[2].startswith("error: videos/text.mp4: not a readable video")
    assert errors[3] == "error: 2 of 5 videos failed, for the reasons above"
    assert len(errors) == 4
    assert len(table_of(folder / "out" / "predictions.csv")) == 3 * 4
    assert predict("videos/text.mp4")[::2] == (1, errors[2:3])
    status, lines, errors = predict("gone.mp4")
    assert (status, lines, len(errors)) == (1, [], 1)


def test_what_is_done_is_not_repeated_unless_the_video_changes(folder, predict):
    predict("videos", "--out", "out")
    before = times(folder / "out")
    shutil.copyfile("videos/a.mp4", "videos/deeper/c.mp4")
    (folder / "out" / "b.json").unlink()
    status, lines, _ = predict("videos", "--out", "out")
    assert status == 0
    assert len(lines) == 4
    after = times(folder / "out")
    assert {name for name in after if after[name] != before[name]} == {"b.json", "deeper/c.json"}
    scores = [row["score"] for row in table_of(folder / "out" / "predictions.csv")]
    assert scores[:4] == scores[8:]  # of the copied video
    assert scores[:4] != scores[4:8]


@pytest.mark.parametrize("other", [["--top", "3"], ["--precision", "bf16"], ["--every", "1"]])
def test_results_of_other_settings_are_refused(folder, predict, other):
    predict("videos/a.mp4", "--out", "out")
    before = times(folder / "out")
    status, lines, errors = predict("videos/b.mp4", "--out", "out", *other)
    assert (status, lines) == (1, [])
    message = f"error: out was made with other settings ({other[0]} "
    assert errors[0].startswith(message)
    assert errors[0].endswith(
        f"not {float(other[1]) if other[0] == '--every' else other[1]}); use another output folder"
    )
    assert times(folder / "out") == before
    # What the results do not depend on.
    assert predict("videos/b.mp4", "--out", "out", "--batch-size", "3")[0] == 0


def test_pictures_are_added_without_predicting_again_and_are_no_sources(folder, predict):
    predict("videos", "--out", "videos/out")
    before = times(folder / "videos" / "out")
    assert predict("videos", "--out", "videos/out", "--video", "--timeline")[0] == 0
    after = times(folder / "videos" / "out")
    endings = (".json", ".annotated.mp4", ".timeline.png")
    assert after.keys() == {f"{n}{end}" for n in ("a", "b", "deeper/c") for end in endings}
    assert all(after[name] == before[name] for name in before)
    # A changed video has new pictures, asked for or not.
    shutil.copyfile("videos/b.mp4", "videos/a.mp4")
    status, lines, _ = predict("videos", "--out", "videos/out")
    assert (status, len(lines)) == (0, 4)
    changed = times(folder / "videos" / "out")
    assert {name for name in after if after[name] != changed[name]} == {
        f"a{end}" for end in endings
    }


def test_control_c_keeps_what_is_done_and_says_so(folder, predict, monkeypatch):
    done = RecognitionPredictor.__call__

    def interrupted(self, video):
        if video.endswith("b.mp4"):
            raise KeyboardInterrupt
        return done(self, video)

    monkeypatch.setattr(RecognitionPredictor, "__call__", interrupted)
    status, lines, errors = predict("videos", "--out", "out")
    assert (status, len(lines)) == (130, 1)
    assert errors == ["interrupted; what is done is in out, the same command goes on"]
    monkeypatch.setattr(RecognitionPredictor, "__call__", done)
    before = times(folder / "out")
    assert before.keys() == {"a.json"}
    assert predict("videos", "--out", "out")[0] == 0
    assert times(folder / "out")["a.json"] == before["a.json"]


def test_options_of_another_task_are_refused(predict, folder, model):
    status, lines, errors = predict("videos", "--detector-weights", "d.pth")
    assert (status, lines) == (2, [])
    assert errors == [
        f"error: --detector-weights is for detection, but {model} is a network for recognition"
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_device_that_is_not_there_is_named(folder, model):
    message = "error: --device cuda: torch finds no CUDA device here; pass --device cpu"
    with pytest.raises(SystemExit, match=message):
        main(["videos", "--model", model, "--device", "cuda"])


def test_classes_without_names_lead_to_a_hint(folder, predict, model, tmp_path, capsys):
    content = torch.load(model)
    content["about"]["class_names"] = list("0123")
    torch.save(content, "numbers.pt")
    main(["videos/a.mp4", "--model", "numbers.pt", "--device", "cpu"])
    told = capsys.readouterr()
    assert told.err.startswith("hint: numbers.pt has no class names: pass --names FILE")
    assert told.out.splitlines()[1].split()[1] in "0123"


def test_a_long_video_with_one_label_is_doubted_once(capsys):
    found = [
        Prediction(name, "m", "recognition", "", seconds, topk=[ScoredClass(0, "x", 1.0)])
        for name, seconds in (("a", 100.0), ("b", 121.0), ("c", 500.0))
    ]
    for options, expected in ((Options(), 1), (Options(every=1), 0)):
        show = Printer(["a", "b", "c"], False, None, options)
        for each in found:
            show(each)
        warnings = capsys.readouterr().err.splitlines()
        assert len(warnings) == expected
    assert "pass --every 1" in "".join(warnings) or not warnings


def test_a_list_on_standard_input_gives_the_paths(folder, predict, monkeypatch):
    monkeypatch.setattr(sys, "stdin", iter(["videos/a.mp4\n", "videos/deeper/c.mp4 3\n"]))
    status, lines, errors = predict("-")
    assert (status, errors) == (0, [])
    assert [line.split()[0] for line in lines] == ["videos/a.mp4", "videos/deeper/c.mp4"]


def test_folders_of_frames_are_for_networks_that_read_them(folder, predict, model, capsys):
    frames = folder / "frames" / "x"
    frames.mkdir(parents=True)
    for i in range(4):
        Image.new("RGB", (40, 36), (60 * i, 90, 120)).save(frames / f"img_{i + 1:05d}.jpg")
    status, _, (error,) = predict("frames")
    assert status == 1
    assert error.startswith("error: frames/x holds images, but the network reads videos: join")
    content = torch.load(model)
    content["about"]["preprocessing"]["reader"] = {
        "_target_": "vidrec.data.video.image_folder.FrameReader"
    }
    torch.save(content, "frames.pt")
    main(["frames", "videos", "--model", "frames.pt", "--device", "cpu"])
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["frames/x", "videos/a.mp4", "videos/b.mp4", "videos/deeper/c.mp4"]


def test_published_weights_that_cannot_be_had_have_a_place_to_put_them(folder, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", "hub")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing answers there
    stem = "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb"
    place = r"without a network, put the file into hub/hub/checkpoints$"
    with pytest.raises(SystemExit, match=rf"error: cannot download https://.*{stem}.*; {place}"):
        main(["videos", "--model", f"zoo://{stem}", "--device", "cpu"])


def test_a_file_that_is_followed_is_labelled_in_parts(folder, predict):
    status, lines, errors = predict(
        *("videos/a.mp4", "--follow", "--timeout", "0.2", "--every", "1", "--json"),
        *("--out", "labels.jsonl"),
    )
    assert status == 0, errors
    assert [json.loads(line) for line in lines] == [
        json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()
    ]
    assert len(lines) == 3  # of 25 frames, 12 per second
    assert {best["name"] for best in json.loads(lines[0])["topk"]} == set(NAMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["camera:0", "videos"], "camera:0 is live: pass no other source"),
        (
            ["rtsp://host/1", "--video", "--out=x"],
            "--video is for files, but rtsp://host/1 is live",
        ),
    ],
)
def test_a_live_source_stands_alone(predict, arguments, message):
    assert predict(*arguments) == (2, [], [f"error: {message}"])


@pytest.mark.slow
def test_the_scores_are_those_of_an_evaluation(tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_run.parent)
    dump = tmp_path / "scores.npz"
    choices = [f"run={tiny_run}", "split=test", f"dump={dump}", "schedule.test_batch_size=1"]
    status, output = run_python(ROOT / "evaluate.py", *choices, cwd=tiny_run.parent)
    assert status == 0, output
    expected = predictions.load(dump)
    (lists,) = map(str, (tiny_run.parent / "data").glob("*/val.txt"))
    out = tmp_path / "out"
    num_classes = len(expected.class_names)
    options = ["--out", str(out), "--top", str(num_classes), "--device", "cpu"]
    main([lists, "--model", str(tiny_run), *options])
    scores = {}
    for row in table_of(out / "predictions.csv"):
        scores.setdefault(os.path.basename(row["video"]), {})[row["name"]] = row["score"]
    assert len(scores) == len(expected.names)
    for name, row in zip(expected.names, expected.scores, strict=True):
        found = scores[os.path.basename(name)]
        in_order = np.array([found[c] for c in expected.class_names], np.float32)
        np.testing.assert_array_equal(in_order, row)


@pytest.mark.slow
def test_two_ranks_and_a_command_that_was_killed_give_the_results_of_one(folder, model):
    """Killed after the first result, whenever that is, and repeated on two ranks."""
    for i in range(10):
        shutil.copyfile("videos/a.mp4" if i % 2 else "videos/b.mp4", f"videos/{i}.mp4")
    (folder / "videos" / "bad.mp4").write_text("no video")
    command = ["-m", "vidrec", "predict", "videos", "--model", model, "--device", "cpu", "--out"]
    status, output = run_python(*command, "one", cwd=folder)
    assert status == 1, output
    process = subprocess.Popen(
        [sys.executable, *command, "two"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list((folder / "two").rglob("[!.]*.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = times(folder / "two")
    status, output = run_python(*command, "two", cwd=folder, ranks=2)
    assert status == 1
    assert output.count("videos/bad.mp4: not a readable video") == 1
    assert "two: 13 of 14 videos, predictions.csv" in output
    after = times(folder / "two")
    assert all(after[name] == killed[name] for name in killed)
    names = sorted(times(folder / "one"))
    assert sorted(after) == names
    for name in [*names, "predictions.csv"]:
        assert (folder / "two" / name).read_text() == (folder / "one" / name).read_text()
