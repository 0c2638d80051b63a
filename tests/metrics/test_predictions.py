import csv
import json
import re

import numpy as np
import pytest

from tests.paths import read_golden
from vidrec.metrics.accuracy import Accuracy
from vidrec.metrics.predictions import Predictions, dump, fuse, load, score, write

GOLDEN = read_golden("accuracy.json.gz")


def predictions(scores, names=None, label=None, index=None, class_names=()):
    scores = np.asarray(scores, dtype=np.float32)
    n = len(scores)
    return Predictions(
        scores=scores,
        label=np.arange(n) % scores.shape[1] if label is None else np.asarray(label),
        index=np.arange(n) if index is None else np.asarray(index),
        names=list(names or (f"v{i}.mp4" for i in range(n))),
        class_names=list(class_names),
        protocol="1 clip x 1 crop",
    )


def saved(path, *args, **options):
    dump(predictions(*args, **options), path)
    return path


def test_a_dump_comes_back_as_it_was_and_numpy_opens_it_without_pickle(tmp_path):
    names = ["a b/čaj.mp4", "名前.mp4", "undecodable\udcff.mp4"]
    given = predictions(np.eye(3) / 3, names, class_names=["eins", "zwei", "drei"])
    dump(given, tmp_path / "folder/p.npz")
    back = load(tmp_path / "folder/p.npz")
    for name, value in vars(given).items():
        other = getattr(back, name)
        if isinstance(value, np.ndarray):
            assert value.dtype == other.dtype
            assert np.array_equal(value, other)
        else:
            assert value == other
    with np.load(tmp_path / "folder/p.npz", allow_pickle=False) as file:
        assert file["scores"].dtype == np.float32
        assert str(file["version"])
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["p.npz"]


def test_a_dump_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = saved(tmp_path / "p.npz", np.eye(2))

    def full_disk(stream, **arrays):
        stream.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="no space left"):
        dump(predictions(np.zeros((2, 2))), path)
    monkeypatch.undo()
    assert load(path).scores.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("content", [b"", b"text, not arrays", b"PK\x03\x04 broken"])
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "p.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} cannot be read as an npz file"):
        load(path)


def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path):
    path = tmp_path / "p.npz"
    np.savez(path, scores=np.eye(2))
    with pytest.raises(ValueError, match="it has no index, names"):
        load(path)
    np.savez(path, scores=np.eye(2), label=[0, 1, 0], index=[0, 1], names=["a", "b"])
    with pytest.raises(ValueError, match="3 labels"):
        load(path)
    np.savez(path, **{k: np.array([{}]) for k in ("scores", "label", "index", "names")})
    with pytest.raises(ValueError, match=r"cannot be read as an npz file: .*object"):
        load(path)


def test_fusing_is_the_weighted_sum_of_the_reference(tmp_path):
    random = np.random.RandomState(0)  # the figures were made from this generator
    scores, label = random.randn(200, 20), random.randint(0, 20, 200)
    bumped = scores.copy()
    bumped[np.arange(200), label] += 1
    files = [
        saved(tmp_path / "rgb.npz", scores, label=label),
        saved(tmp_path / "flow.npz", bumped, label=label),
    ]
    got = fuse(files, [1, 0.5])
    assert got.scores[0] == pytest.approx(GOLDEN["weighted_score"]["row"], abs=1e-6)
    # All the weight on the second file: its own figures.
    assert score(files, [0, 1], Accuracy(topk=[1, 3]))["top1"] == GOLDEN["topk_1_3_5_10"][0]
    assert score(files[1:], [], Accuracy(topk=[1, 3]))["top3"] == GOLDEN["topk_1_3_5_10"][1]
    assert got.protocol == "1 x (1 clip x 1 crop) + 0.5 x (1 clip x 1 crop)"


def test_fusing_matches_videos_by_name_whatever_their_order(tmp_path):
    names = ["a", "b", "c"]
    scores = np.array([[1, 0], [0, 1], [0.5, 0.25]])
    order = [2, 0, 1]
    files = [
        saved(tmp_path / "1.npz", scores, names, label=[0, 1, 0], class_names=["x", "y"]),
        saved(tmp_path / "2.npz", scores[order], [names[i] for i in order], label=[0, 0, 1]),
    ]
    fused = fuse(files, [1, 2])
    assert fused.scores.tolist() == (3 * scores).tolist()
    assert fused.names == names
    assert fused.class_names == ["x", "y"]


def test_samples_cut_from_one_video_are_matched_by_their_place_in_the_list(tmp_path):
    names = ["a", "a", "b"]
    scores = np.array([[1, 0], [2, 0], [3, 0]])
    first = saved(tmp_path / "1.npz", scores, names, label=[0, 1, 0], index=[0, 1, 2])
    shuffled = saved(
        tmp_path / "2.npz", scores[[1, 2, 0]], ["a", "b", "a"], label=[1, 0, 0], index=[1, 2, 0]
    )
    assert fuse([first, shuffled]).scores.tolist() == (2 * scores).tolist()
    assert fuse([shuffled, first]).scores.tolist() == (2 * scores[[1, 2, 0]]).tolist()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"scores": np.ones((2, 3)), "label": [0, 1]}, "2 and 3 classes"),
        ({"scores": np.eye(2), "names": ["v0.mp4", "z"]}, "2 videos are in one of them only"),
        ({"scores": np.eye(2), "label": [1, 1]}, "different labels"),
        ({"scores": np.eye(2), "class_names": ["y", "x"]}, "differ in names or order"),
    ],
)
def test_files_that_do_not_belong_together_are_refused_by_name(tmp_path, other, message):
    one = saved(tmp_path / "one.npz", np.eye(2), class_names=["x", "y"])
    two = saved(tmp_path / "two.npz", **other)
    with pytest.raises(ValueError, match=rf"one\.npz and .*two\.npz cannot be fused.*{message}"):
        fuse([one, two])


def test_one_weight_a_file(tmp_path):
    one = saved(tmp_path / "one.npz", np.eye(2))
    with pytest.raises(ValueError, match="1 files of predictions and 2 weights"):
        fuse([one], [1, 2])
    with pytest.raises(ValueError, match="0 files"):
        fuse([])
    with pytest.raises(ValueError, match=r"score_weights=\[nan\] are not finite"):
        fuse([one], [float("nan")])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": [[1, np.nan], [np.inf, 0]]}, "2 videos have scores that are not finite"),
        ({"scores": [["a", "b"], ["c", "d"]]}, "scores is an array"),
        ({"scores": [1.0, 2.0]}, "scores is an array"),
        ({"label": [0, 2]}, "label 2 is not a class from 0 to 1"),
        ({"label": [-1, 0]}, "label -1 is not a class from 0 to 1"),
        ({"label": [0.0, 0.5]}, "label is an array"),
        ({"label": [[0, 1], [0, 3]]}, "label 3 is not 0 or 1"),
        ({"names": [1, 2]}, "names is an array"),
        ({"names": "ab"}, "names is an array"),
        ({"index": [[0], [1]]}, "index is an array"),
        ({"class_names": ["x", "y", "z"]}, "3 class names do not fit 2 classes"),
    ],
)
def test_content_that_cannot_be_right_is_refused_by_name(tmp_path, changed, message):
    path = tmp_path / "p.npz"
    arrays = {"scores": np.eye(2), "label": [0, 1], "index": [0, 1], "names": ["a", "b"]}
    np.savez(path, **(arrays | changed))
    with pytest.raises(
        ValueError, match=f"{re.escape(str(path))} is not a file of predictions"
    ) as e:
        load(path)
    assert message in str(e.value)


NAMES = ["a b/čaj.mp4", 'quoted "x", y.mp4', "undecodable\udcff.mp4"]


def both_kinds():
    """Predictions with a label each, and with several."""
    random = np.random.default_rng(0).random((3, 3), np.float32)
    several = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.float32)
    for label in ([2, 0, 1], several):
        yield predictions(random, NAMES, label, class_names=["eins", "zwei, drei", "vier"])


def test_a_csv_has_the_names_and_all_scores(tmp_path):
    truth = (["vier", "eins", "zwei, drei"], ["eins; vier", "", "zwei, drei"])
    for given, true in zip(both_kinds(), truth, strict=True):
        write(given, tmp_path / "p.CSV")
        with (tmp_path / "p.CSV").open(errors="surrogateescape", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert list(rows[0]) == ["video", "label", "predicted", "eins", "zwei, drei", "vier"]
        assert [row["video"] for row in rows] == NAMES
        assert [row["label"] for row in rows] == true
        names = np.array(given.class_names)
        assert [row["predicted"] for row in rows] == names[given.scores.argmax(axis=1)].tolist()
        read = np.array([[row[name] for name in names] for row in rows], np.float32)
        assert np.array_equal(read, given.scores)


def test_a_json_has_the_names_and_all_scores(tmp_path):
    truth = ([["vier"], ["eins"], ["zwei, drei"]], [["eins", "vier"], [], ["zwei, drei"]])
    for given, true in zip(both_kinds(), truth, strict=True):
        write(given, tmp_path / "p.json")
        read = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
        assert (read["classes"], read["protocol"]) == (given.class_names, "1 clip x 1 crop")
        assert [video["video"] for video in read["videos"]] == NAMES
        assert [video["label"] for video in read["videos"]] == true
        scores = np.array([video["scores"] for video in read["videos"]], np.float32)
        assert np.array_equal(scores, given.scores)


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".json"])
def test_predictions_of_unnamed_classes_are_written_and_a_failure_keeps_the_old_file(
    tmp_path, monkeypatch, suffix
):
    path = tmp_path / f"p{suffix}"
    write(predictions(np.eye(2)), path)
    before = path.read_bytes()
    if suffix != ".npz":
        assert b'"1"' in before or b"label,predicted,0,1" in before

    def full_disk(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write(predictions(np.zeros((2, 2))), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_predictions_of_videos_without_labels(tmp_path):
    """They are written, read and fused; only scoring needs labels."""
    scores = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    unlabelled = Predictions(scores, None, np.arange(2), ["a.mp4", "b.mp4"], ["run", "sit"])
    write(unlabelled, tmp_path / "a.csv")
    rows = (tmp_path / "a.csv").read_text().splitlines()
    assert rows == ["video,label,predicted,run,sit", "a.mp4,,sit,0.25,0.75", "b.mp4,,run,0.5,0.5"]
    write(unlabelled, tmp_path / "a.json")
    assert [v["label"] for v in json.loads((tmp_path / "a.json").read_text())["videos"]] == [[], []]
    path = tmp_path / "a.npz"
    write(unlabelled, path)
    assert "label" not in np.load(path)
    fused = fuse([path, path], [1, 3])
    assert fused.label is None
    np.testing.assert_allclose(fused.scores, 4 * scores)
    with pytest.raises(ValueError, match="have no labels to be scored with"):
        _ = fused.rows
    labelled = Predictions(scores, np.array([0, 1]), np.arange(2), ["a.mp4", "b.mp4"])
    write(labelled, tmp_path / "b.npz")
    with pytest.raises(ValueError, match="the same videos have different labels"):
        fuse([path, tmp_path / "b.npz"])
