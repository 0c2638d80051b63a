import re

import numpy as np
import pytest

from tests.paths import read_golden
from vidrec.metrics.accuracy import Accuracy
from vidrec.metrics.predictions import Predictions, dump, fuse, load, score, write_csv

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
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is not a file of predictions"):
        load(path)


def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path):
    path = tmp_path / "p.npz"
    np.savez(path, scores=np.eye(2))
    with pytest.raises(ValueError, match="it has no index, label, names"):
        load(path)
    np.savez(path, scores=np.eye(2), label=np.zeros(3), index=np.zeros(2), names=["a", "b"])
    with pytest.raises(ValueError, match="3 labels"):
        load(path)
    np.savez(path, **{k: np.array([{}]) for k in ("scores", "label", "index", "names")})
    with pytest.raises(ValueError, match=r"is not a file of predictions: .*allow_pickle"):
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


def test_the_table_names_true_and_best_classes(tmp_path):
    given = predictions([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]], label=[2, 0], class_names=list("abc"))
    write_csv(given, tmp_path / "p.csv", topk=2)
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines == [
        "video,label,class1,score1,class2,score2",
        "v0.mp4,c,b,0.5,c,0.3",
        "v1.mp4,a,a,0.7,c,0.2",
    ]
    given.label = np.array([[1, 0, 1], [0, 0, 0]], dtype=np.float32)
    write_csv(given, tmp_path / "p.csv", topk=1)
    assert (tmp_path / "p.csv").read_text().splitlines()[1:] == [
        "v0.mp4,a; c,b,0.5",
        "v1.mp4,,a,0.7",
    ]
