import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.engine.toy_run import NUM_SAMPLES, NUM_VAL, Net, Score, fit, loss_fn, table, untimed
from vidrec.config.schema import Precision
from vidrec.data.loader import EpochBatches

RATES = [0.5, 0.05, 0.05, 0.005]  # of each epoch: 0.5, tenfold less from epochs 1 and 3 on


def by_hand(rows=8, epochs=4, clip=0.5, decay=0.9):
    """Plain SGD with momentum, with nothing of the engine: weights, their average, losses, norms.

    The order of the samples is the loader's, which has tests of its own.
    """
    net = Net()
    x, y = map(torch.from_numpy, table(NUM_SAMPLES, 1))
    average = {name: value.clone() for name, value in net.state_dict().items()}
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    losses, norms = [], []
    for epoch in range(epochs):
        order = EpochBatches(NUM_SAMPLES, rows)
        order.start(epoch)
        for keys in order:
            index = [i for _, i in keys]
            loss = nn.functional.cross_entropy(net.fc(x[index]), y[index])
            grads = torch.autograd.grad(loss, list(net.parameters()))
            norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
            scale = min(1.0, clip / (norm + 1e-6))
            with torch.no_grad():
                for p, g, v in zip(net.parameters(), grads, velocity, strict=True):
                    v.mul_(0.9).add_(g * scale + 1e-4 * p)
                    p.sub_(RATES[epoch] * v)
                d = min(decay, (1 + len(losses)) / (10 + len(losses)))
                for name, value in net.state_dict().items():
                    average[name].mul_(d).add_((1 - d) * value)
            losses.append(loss.item())
            norms.append(norm)
    return net.state_dict(), average, losses, norms


def same(a, b, atol=1e-6):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=atol, rtol=0)


def test_training_is_gradient_descent_as_worked_out_by_hand(tmp_path):
    weights, average, losses, norms = by_hand()
    result = fit(tmp_path, schedule={"ema": 0.9})
    same(result.net.state_dict(), weights)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    same(saved["net"], weights)
    same(saved["ema"], average)
    trained = [row for row in result.run.logged if "train/loss" in row]
    assert [row["train/loss"] for row in trained] == pytest.approx(losses, rel=1e-5)
    assert [row["grad_norm"] for row in trained] == pytest.approx(norms, rel=1e-5)
    assert [row["lr"] for row in trained] == pytest.approx(np.repeat(RATES, 4))
    assert [(row["epoch"], row["step"]) for row in trained] == [
        (1 + i // 4, i + 1) for i in range(16)
    ]


def test_the_average_is_what_is_validated_and_what_is_best(tmp_path):
    _, average, _, _ = by_hand()
    result = fit(tmp_path, schedule={"ema": 0.9})
    net = Net()
    net.load_state_dict(average)
    x, y = map(torch.from_numpy, table(NUM_VAL, 2))
    expected = net.fc(x).softmax(1)[range(NUM_VAL), y].mean().item()
    assert result.run.logged[-1]["val/prob"] == pytest.approx(expected, rel=1e-5)


def test_accumulated_micro_batches_are_one_batch(tmp_path):
    (tmp_path / "a").mkdir()
    weights, *_ = by_hand(rows=4 * 2)
    # 30 samples in eights are four steps; in fours they are eight batches, four groups of two.
    result = fit(tmp_path / "a", schedule={"batch_size": 4, "accumulate": 2})
    same(result.net.state_dict(), weights)


def test_a_last_group_that_is_short_is_left_out(tmp_path):
    result = fit(tmp_path, schedule={"batch_size": 8, "accumulate": 3, "epochs": 2})
    assert [row["step"] for row in result.run.logged if "train/loss" in row] == [1, 2]


def test_too_few_batches_for_one_step_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"4 batches, fewer than schedule\.accumulate=5"):
        fit(tmp_path, schedule={"accumulate": 5})


def test_clipping_binds_and_can_be_left_out(tmp_path):
    *_, norms = by_hand()
    assert max(norms) > 0.5  # else the tests above would not see it
    weights, *_ = by_hand(clip=math.inf)
    same(fit(tmp_path, schedule={"clip_norm": None}).net.state_dict(), weights)


def test_logged_losses_are_means_over_the_interval(tmp_path):
    *_, losses, _ = by_hand(epochs=2)
    result = fit(tmp_path, schedule={"epochs": 2}, runtime={"log_every": 3})
    rows = [row for row in result.run.logged if "train/loss" in row]
    # Lines at every third step and at the end of each epoch of four.
    assert [row["step"] for row in rows] == [3, 4, 6, 8]
    expected = [np.mean(losses[a:b]) for a, b in ((0, 3), (3, 4), (4, 6), (6, 8))]
    assert [row["train/loss"] for row in rows] == pytest.approx(expected, rel=1e-5)
    assert [row["train/loss_cls"] for row in rows] == pytest.approx(expected, rel=1e-5)


def test_rows_hold_times_that_add_up(tmp_path):
    row = fit(tmp_path).run.logged[0]
    assert 0 <= row["time/data"] <= row["time/step"]
    assert row["samples_per_second"] == pytest.approx(8 / row["time/step"])
    assert row["time/eta"] == pytest.approx(15 * row["time/step"])


def test_values_are_read_from_the_device_on_log_lines_only(tmp_path, monkeypatch):
    step, training, reads = 0, False, []

    def on_step(done, label):
        nonlocal step, training
        step, training = done, label != "validating" and done < 14

    def first_forward(*_):
        nonlocal training
        training = training or step == 0

    def counted(name):
        original = getattr(torch.Tensor, name)

        def read(self, *args):
            if training:
                reads.append(step + 1)
            return original(self, *args)

        monkeypatch.setattr(torch.Tensor, name, read)

    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "cpu", "numpy"):
        counted(name)
    net = Net()
    net.register_forward_pre_hook(first_forward)
    fit(
        tmp_path,
        net=net,
        schedule={"epochs": 1, "clip_norm": 1.0, "ema": 0.9, "batch_size": 2},
        runtime={"log_every": 5, "precision": Precision.bf16},
        on_step=on_step,
    )
    assert set(reads) == {5, 10}


@pytest.mark.parametrize(
    ("settings", "validated"),
    [({}, [1, 2, 3, 4]), ({"val_begin": 2, "val_interval": 3}, [3, 4]), ({"val_begin": 4}, [4])],
)
def test_validation_begins_and_repeats_as_told_and_ends_the_run(tmp_path, settings, validated):
    rows = fit(tmp_path, schedule=settings).run.logged
    assert [row["epoch"] for row in rows if "val/prob" in row] == validated


class Scripted(Score):
    """Gives the values it is told to, one a validation."""

    def __init__(self, values, higher_is_better):
        self.values, self.higher_is_better = iter(values), higher_is_better
        self.seen = []

    def compute(self, rows):
        self.seen.append(rows)
        return {"prob": next(self.values)}


@pytest.mark.parametrize(
    ("values", "higher", "best_epoch"),
    [
        ([0.2, 0.5, 0.3, 0.5], True, 2),
        ([0.2, 0.1, 0.3, 0.4], False, 2),
        ([math.nan, 0.1, math.nan, 0.0], True, 2),
    ],
)
def test_best_follows_the_metric_in_its_own_direction(tmp_path, values, higher, best_epoch):
    metric = Scripted(values, higher)
    result = fit(tmp_path, metric=metric)
    assert result.outcome.epoch == best_epoch
    assert result.outcome.scores == {"prob": values[best_epoch - 1]}
    assert result.outcome.rows is metric.seen[best_epoch - 1]
    saved = torch.load(tmp_path / "best.pt", weights_only=True)
    assert saved["epoch"] == best_epoch
    assert result.outcome.best == saved["best"] == values[best_epoch - 1]


def test_the_rows_of_the_last_validation_are_there_where_none_has_a_score(tmp_path):
    metric = Scripted([math.nan] * 4, True)
    outcome = fit(tmp_path, metric=metric).outcome
    assert (outcome.epoch, outcome.rows is metric.seen[-1]) == (4, True)


def test_numbered_checkpoints_are_kept_as_many_as_told(tmp_path):
    fit(tmp_path, runtime={"keep": 2, "save_every_epochs": 1})
    assert sorted(p.name for p in tmp_path.glob("epoch_*.pt")) == ["epoch_3.pt", "epoch_4.pt"]
    assert torch.load(tmp_path / "epoch_3.pt", weights_only=True)["epoch"] == 3


def test_max_steps_cuts_epochs_short(tmp_path):
    rows = fit(tmp_path, schedule={"max_steps": 3}).run.logged
    assert [row["step"] for row in rows if "train/loss" in row] == list(range(1, 13))
    lrs = [row["lr"] for row in rows if "train/loss" in row]
    assert lrs == pytest.approx(np.repeat(RATES, 3))  # epochs stay epochs


def exploding(outputs, batch):
    losses = loss_fn(outputs, batch)
    exploding.calls += 1
    extra = losses["loss"] * (math.inf if exploding.calls > 9 else 1)
    return {"loss": losses["loss"] + extra, "loss_fine": losses["loss_cls"], "loss_extra": extra}


def test_a_loss_that_is_no_number_stops_and_overwrites_nothing(tmp_path):
    exploding.calls = 0
    with pytest.raises(FloatingPointError, match=r"loss is inf at step 10; .*last\.pt"):
        fit(tmp_path, loss=exploding)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert (saved["epoch"], saved["step"]) == (2, 0)
    assert all(torch.isfinite(value).all() for value in saved["net"].values())


@pytest.mark.parametrize("precision", [Precision.bf16, Precision.fp16])
def test_mixed_precision_stays_near_full_precision(tmp_path, precision):
    weights, *_ = by_hand()
    result = fit(tmp_path, runtime={"precision": precision})
    same(result.net.state_dict(), weights, atol=0.05)
    assert result.net.fc.weight.dtype == torch.float32
    assert {p.dtype for p in result.net.parameters()} == {torch.float32}
    different = (result.net.fc.weight - weights["fc.weight"]).abs().max()
    assert different > 1e-6  # something was computed in half precision


def test_the_scale_of_fp16_losses_is_saved(tmp_path):
    fit(tmp_path, runtime={"precision": Precision.fp16})
    assert torch.load(tmp_path / "last.pt", weights_only=True)["scaler"]["scale"] > 1


def test_precise_bn_takes_the_statistics_of_many_batches(tmp_path):
    result = fit(tmp_path, net=Net(norm=True), schedule={"epochs": 1, "precise_bn": 3})
    order = EpochBatches(NUM_SAMPLES, 8)
    index = [[i for _, i in keys] for keys in order][:3]
    rows = table(NUM_SAMPLES, 1)[0][np.concatenate(index)].astype(np.float64)
    norm = result.net.norm
    assert norm.running_mean.numpy() == pytest.approx(rows.mean(0), abs=1e-6)
    # Each batch's variance is unbiased, that of their means is not: near the variance of all.
    assert norm.running_var.numpy() == pytest.approx(rows.var(0), rel=0.2)
    assert norm.momentum == 0.1


def test_precise_bn_serves_the_average_that_is_validated(tmp_path):
    fit(tmp_path, net=Net(norm=True), schedule={"epochs": 1, "precise_bn": 3, "ema": 0.9})
    saved = torch.load(tmp_path / "last.pt", weights_only=True)["ema"]
    order = EpochBatches(NUM_SAMPLES, 8)
    index = np.concatenate([[i for _, i in keys] for keys in order][:3])
    assert saved["norm.running_mean"].numpy() == pytest.approx(
        table(NUM_SAMPLES, 1)[0][index].mean(0), abs=1e-6
    )


def test_precise_bn_without_batch_norm_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no BatchNorm layer .*set schedule\.precise_bn=0"):
        fit(tmp_path, net=Net(norm=False), schedule={"precise_bn": 3})
    frozen = Net(norm=True)
    frozen.norm.train = lambda mode: frozen.norm
    frozen.norm.training = False
    with pytest.raises(ValueError, match="no BatchNorm layer"):
        fit(tmp_path, net=frozen, schedule={"precise_bn": 3})
    assert not list(tmp_path.iterdir())


def test_every_checkpoint_says_what_it_was_told_about_itself(tmp_path):
    about = {"classes": ["walk", "run"], "clip": {"frames": 8, "mean": [0.5, 0.25], "size": None}}
    fit(tmp_path, about=about, runtime={"keep": 1})
    files = sorted(tmp_path.glob("*.pt"))
    assert {path.name for path in files} >= {"best.pt", "last.pt", "previous.pt", "epoch_4.pt"}
    for path in files:
        assert torch.load(path, weights_only=True)["about"] == about
    with pytest.raises(TypeError, match="not JSON serializable"):
        fit(tmp_path, about={"std": np.ones(3)})


def test_compiled_training_gives_uncompiled_names(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: nn.Sequential(model))
    fit(tmp_path, runtime={"compile": True}, schedule={"epochs": 1})
    assert set(torch.load(tmp_path / "last.pt", weights_only=True)["net"]) == {
        "fc.weight",
        "fc.bias",
    }


def test_unreadable_videos_are_named_and_the_rest_is_trained_on(tmp_path):
    result = fit(tmp_path, broken=(3, 4))
    said = [text for text in result.run.texts if "unreadable" in text]
    assert len(said) == 2
    assert any("row3.mp4: no frames" in text for text in said)
    assert len([row for row in result.run.logged if "train/loss" in row]) == 16


def test_a_batch_without_any_readable_video_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match=r"none of the 1 videos of a batch .*row\d+\.mp4"):
        fit(tmp_path, broken=tuple(range(10)), schedule={"batch_size": 1})


def test_two_runs_are_the_same_and_another_seed_is_not(tmp_path):
    logs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        result = fit(tmp_path / name, net=Net(dropout=0.5), noise=0.1, runtime={"seed": seed})
        logs.append(untimed(result.run.logged))
    assert logs[0] == logs[1] != logs[2]
