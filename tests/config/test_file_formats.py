"""The suffix of a file names its format; others are rejected before anything is opened."""

import numpy as np
import pytest

from vidrec.commands.evaluate import evaluate_run
from vidrec.config.file_formats import DUMPS, problems
from vidrec.config.schema import EvaluateConf, ExportConf, ExportFormat, ModelConf, Task
from vidrec.errors import ConfigError
from vidrec.metrics import predictions
from vidrec.metrics.predictions import WRITERS, Predictions

FORMATS = {
    Task.recognition: {"dump": {".npz", ".csv", ".json"}, "score": {".npz"}},
    Task.detection: {"dump": {".csv"}, "score": {".csv"}},
    Task.localization: {"dump": {".json"}, "score": {".json"}},
}


def evaluation(task, **options):
    return EvaluateConf(model=ModelConf(task=task), **options)


@pytest.mark.parametrize("task", FORMATS)
@pytest.mark.parametrize("key", ["dump", "score"])
@pytest.mark.parametrize("suffix", [".npz", ".CSV", ".json", ".pkl", ".npz.part", "", ".d/name"])
def test_each_task_dumps_and_scores_its_own_formats(task, key, suffix):
    name, known = f"a.b{suffix}", FORMATS[task][key]
    found = list(problems(evaluation(task, **{key: [name] if key == "score" else name})))
    if suffix.lower() in known:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith(f"{key}={name}: ")
        assert all(other in found[0] for other in known)


def test_every_format_of_recognition_has_a_writer():
    assert set(WRITERS) == set(DUMPS[Task.recognition])


def test_a_wrong_suffix_is_an_error_of_the_configuration(compose):
    with pytest.raises(ConfigError, match=r"dump=p\.pkl: predictions .* \.npz or \.csv or \.json"):
        compose("dump=p.pkl", config_name="evaluate")


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("detection", {"score": ["a.csv"], "dump": "b.csv"}, "which detection has not"),
        ("localization", {"score": ["a.json"], "pictures": "b"}, "pictures needs a network"),
        ("recognition", {"score": ["a.npz"], "dump": "a.npz"}, "a.npz would replace a file"),
    ],
)
def test_outputs_that_scoring_would_not_write_are_rejected(task, options, message):
    (problem,) = problems(evaluation(Task(task), **options))
    assert message in problem
    assert not list(problems(evaluation(Task.recognition, score=["a.npz"], dump="b.csv")))


@pytest.mark.parametrize(
    ("kind", "out", "known"),
    [("torch_export", "a.onnx", ".pt2"), ("onnx", "a.pt2", ".onnx"), ("onnx", "a", ".onnx")],
)
def test_an_exported_file_is_named_after_its_format(kind, out, known):
    (problem,) = problems(ExportConf(format=ExportFormat(kind), out=out))
    assert problem.startswith(f"out={out}: format={kind}")
    assert problem.endswith(known)
    assert not list(problems(ExportConf(format=ExportFormat(kind), out=f"b{known}")))


@pytest.mark.parametrize("task", FORMATS)
def test_a_missing_file_to_score_is_named_with_the_nearest(tmp_path, task):
    (suffix,) = FORMATS[task]["score"]
    (tmp_path / f"found{suffix}").touch()
    missing = tmp_path / f"fuond{suffix}"
    with pytest.raises(FileNotFoundError, match=f"{missing} does not exist; .*'found{suffix}'"):
        evaluate_run(evaluation(task, score=[str(missing)]))


@pytest.mark.parametrize(
    ("key", "name", "message"),
    [
        ("dump", "there.npz", "there.npz is a folder, expected the name of a file"),
        ("dump", "file/p.npz", "p.npz cannot be written: .*file is not a folder"),
        ("pictures", "file", "file is a file, expected the name of a folder"),
        ("dump", "mine.csv", "mine.csv exists, and vidrec did not write it"),
        ("pictures", "photos", "photos exists, and vidrec did not write it"),
    ],
)
def test_an_output_that_cannot_be_written_is_rejected_first(tmp_path, key, name, message):
    (tmp_path / "there.npz").mkdir()
    (tmp_path / "photos").mkdir()
    for mine in ("mine.csv", "photos/worst.png"):
        (tmp_path / mine).write_text("of the user")
    (tmp_path / "file").touch()
    conf = evaluation(Task.recognition, checkpoint="no.pt", **{key: str(tmp_path / name)})
    with pytest.raises(OSError, match=message):
        evaluate_run(conf)


def test_fused_predictions_replace_those_that_vidrec_wrote(compose, tmp_path, capsys):
    two = [str(tmp_path / name) for name in ("a.npz", "b.npz")]
    given = Predictions(np.eye(8), np.arange(8), np.arange(8), [f"{i}.mp4" for i in range(8)])
    for path in two:
        predictions.dump(given, path)
    conf = compose(f"score={two}", f"dump={tmp_path}/sum.npz", config_name="evaluate")
    for weights in ([1.0, 1.0], [1.0, 0.5]):
        conf.score_weights = weights
        assert evaluate_run(conf)["top1"] == 1
        assert predictions.load(conf.dump).scores[0, 0] == sum(weights)
    assert f"predictions: {conf.dump}" in capsys.readouterr().out
    conf.dump, conf.score = two[0], two[1:]
    with pytest.raises(FileExistsError, match=r"a\.npz exists, and vidrec did not write it"):
        evaluate_run(conf)
