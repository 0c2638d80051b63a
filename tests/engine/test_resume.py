import json
import os
import signal
import subprocess
import sys
from functools import partial

import pytest
import torch

from tests.engine.toy_run import (
    NUM_CLASSES,
    NUM_SAMPLES,
    SGD,
    Killed,
    Net,
    fit,
    kill_at,
    table,
    untimed,
)
from tests.paths import ROOT
from tests.waiting import LIMIT
from vidrec.config.schema import Precision
from vidrec.data.loader import EpochBatches
from vidrec.data.transforms.mixing import Mixup
from vidrec.engine.preempt import Interrupt, Interrupted
from vidrec.tracking.record import RunRecord

EVERYTHING = {
    "schedule": {"ema": 0.9, "precise_bn": 2, "epochs": 3, "batch_size": 4, "accumulate": 2},
    "runtime": {"log_every": 3, "save_every_minutes": 0.0, "keep": 2},
    "noise": 0.1,
}


def states(folder):
    return {p.name: torch.load(p, weights_only=True) for p in sorted(folder.glob("*.pt"))}


def assert_identical(a, b):
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_identical(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_identical(x, y)
    else:
        assert a == b


def net():
    return Net(dropout=0.5, norm=True)


@pytest.mark.parametrize("minutes", [0.0, None], ids=["every_step", "every_epoch"])
def test_a_run_killed_anywhere_ends_as_if_nothing_had_happened(tmp_path, minutes):
    """Dropout, noise, mixup, BatchNorm, averaging, accumulation: weights, state, log, bit for bit.

    Twenty-four calls: three epochs of four steps and four validation batches.
    """
    runtime = EVERYTHING["runtime"] | {"save_every_minutes": minutes}
    options = EVERYTHING | {"runtime": runtime, "mixing": Mixup(NUM_CLASSES)}
    whole = tmp_path / "whole"
    whole.mkdir()
    log = untimed(fit(whole, net=net(), **options).run.logged)
    expected = states(whole)
    for number in (1, 2, 4, 5, 8, 9, 11, 14, 19, 24):
        folder = tmp_path / f"killed_{number}"
        folder.mkdir()
        with pytest.raises(Killed):
            fit(folder, net=net(), on_step=kill_at(number), **options)
        result = fit(folder, net=net(), **options)
        assert untimed(result.run.logged) == log, number
        got = states(folder)
        # What came before last.pt depends on when it was killed.
        for part in (expected, got):
            part.pop("previous.pt", None)
        assert_identical(got, expected)


def test_loaders_with_workers_resume_within_an_epoch(tmp_path):
    options = EVERYTHING | {"runtime": EVERYTHING["runtime"] | {"num_workers": 1}}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    log = untimed(fit(tmp_path / "whole", net=net(), **EVERYTHING).run.logged)
    with pytest.raises(Killed):
        fit(tmp_path / "killed", net=net(), on_step=kill_at(3), **options)
    assert untimed(fit(tmp_path / "killed", net=net(), **options).run.logged) == log


def start(folder, options, **kwargs):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.engine.toy_run", str(folder), json.dumps(options)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


@pytest.mark.slow
def test_a_killed_process_continues_to_the_same_weights_and_log(tmp_path):
    options = EVERYTHING | {"dropout": 0.5, "norm": True}
    killed = start(tmp_path / "killed", options | {"kill": 7})
    assert killed.wait(LIMIT) == -signal.SIGKILL
    again = start(tmp_path / "killed", options)
    assert again.wait(LIMIT) == 0, again.stderr.read()
    (tmp_path / "whole").mkdir()
    whole = fit(tmp_path / "whole", net=net(), **EVERYTHING)
    final = torch.load(tmp_path / "killed" / "final.pt", weights_only=True)
    assert_identical(dict(final), dict(whole.net.state_dict()))
    log = [json.loads(line) for line in (tmp_path / "killed/log.jsonl").read_text().splitlines()]
    assert untimed(log) == untimed(whole.run.logged)
    for process in (killed, again):
        process.communicate()


@pytest.mark.parametrize("label", ["epoch 1", "validating"])
def test_ctrl_c_saves_and_the_same_command_continues(tmp_path, label):
    def interrupt(done, where):
        if where == label and done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    options = EVERYTHING | {"runtime": {"log_every": 3}}  # no saving between epochs of its own
    log = untimed(fit(tmp_path / "whole", net=net(), **options).run.logged)
    with pytest.raises(Interrupted) as stopped:
        fit(tmp_path / "stopped", net=net(), on_step=interrupt, **options)
    assert stopped.value.code == 130
    saved = torch.load(tmp_path / "stopped" / "last.pt", weights_only=True)
    assert (saved["epoch"], saved["step"]) == (0, 2 if label == "epoch 1" else 4)
    result = fit(tmp_path / "stopped", net=net(), **options)
    assert untimed(result.run.logged) == log


@pytest.mark.slow
def test_a_terminated_process_with_workers_saves_and_says_how_to_go_on(tmp_path):
    options = {"hold": 2, "runtime": {"num_workers": 1}}
    process = start(tmp_path / "run", options, start_new_session=True)
    for line in process.stdout:
        if line.startswith("epoch 1 2"):
            break
    # To the whole group, workers too, as schedulers and terminals do.
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGTERM, errors
    saved = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert (saved["epoch"], saved["step"]) == (0, 2)


def test_a_second_ctrl_c_does_not_wait():
    before = signal.getsignal(signal.SIGINT)  # ignored, where a script started us with `&`
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_run_says_so_and_changes_nothing(tmp_path):
    first = fit(tmp_path)
    log, best = first.run.logged, first.outcome.best
    again = fit(tmp_path)
    assert again.run.logged == log
    assert again.outcome.best == best
    assert any("finished" in text for text in again.run.texts)


def test_resume_never_starts_over(tmp_path):
    log = untimed(fit(tmp_path).run.logged)
    result = fit(tmp_path, runtime={"resume": "never"})
    assert untimed(result.run.logged) == log


def test_resume_from_a_checkpoint_elsewhere(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = fit(tmp_path / "a", runtime={"keep": 4})
    result = fit(tmp_path / "b", runtime={"resume": str(tmp_path / "a" / "epoch_2.pt")})
    assert [r["epoch"] for r in result.run.logged if "val/prob" in r] == [3, 4]
    assert_identical(dict(result.net.state_dict()), dict(whole.net.state_dict()))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"batch_size": 4}, "8 samples per step .* this run has 4"),
        ({"max_steps": 2}, "4 steps per epoch, this run has 2"),
        ({"ema": 0.9}, r"schedule\.ema"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, schedule, message):
    fit(tmp_path, schedule={"epochs": 2})
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, schedule={"epochs": 2} | schedule)


def test_classes_in_another_order_are_not_trained_on(tmp_path):
    fit(tmp_path, schedule={"epochs": 1}, about={"class_names": ["run", "sit"]})
    with pytest.raises(ValueError, match=r"another order: 0 was 'run', here it is 'sit'.*never"):
        fit(tmp_path, schedule={"epochs": 2}, about={"class_names": ["sit", "run"]})
    fit(tmp_path, schedule={"epochs": 2}, about={"class_names": ["run", "sit"]})


def test_the_settings_of_the_optimizer_are_those_of_the_command_that_continues(tmp_path):
    """One more epoch with another decay and no momentum, by hand from the checkpoint."""
    fit(tmp_path, schedule={"epochs": 2})
    net = Net()
    net.load_state_dict(torch.load(tmp_path / "last.pt", weights_only=True)["net"])
    x, y = map(torch.from_numpy, table(NUM_SAMPLES, 1))
    batches = EpochBatches(NUM_SAMPLES, 8)
    batches.start(2)
    for keys in batches:
        index = [i for _, i in keys]
        loss = torch.nn.functional.cross_entropy(net.fc(x[index]), y[index])
        grads = torch.autograd.grad(loss, list(net.parameters()))
        norm = sum(float((g**2).sum()) for g in grads) ** 0.5
        with torch.no_grad():
            for p, g in zip(net.parameters(), grads, strict=True):
                p -= 0.05 * (g * min(1.0, 0.5 / (norm + 1e-6)) + 0.5 * p)
    changed = partial(torch.optim.SGD, lr=0.5, weight_decay=0.5)
    result = fit(tmp_path, schedule={"epochs": 3}, optimizer=changed)
    for name, expected in net.state_dict().items():
        torch.testing.assert_close(result.net.state_dict()[name], expected)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)["optimizer"]["param_groups"][0]
    assert (saved["weight_decay"], saved["momentum"]) == (0.5, 0)


@pytest.mark.parametrize(("before", "after"), [("fp32", "fp16"), ("fp16", "fp32")])
def test_the_precision_is_that_of_the_command_that_continues(tmp_path, before, after):
    fit(tmp_path, schedule={"epochs": 2}, runtime={"precision": Precision(before)})
    result = fit(tmp_path, runtime={"precision": Precision(after)})
    assert [r["epoch"] for r in result.run.logged if "val/prob" in r] == [1, 2, 3, 4]
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert bool(saved["scaler"]) == (after == "fp16")


def by_layers(parameters):
    weight, bias = parameters
    return SGD([{"params": [bias]}, {"params": [weight]}])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"optimizer": partial(torch.optim.AdamW, lr=0.1)},
            "this one has AdamW: keep sched",
        ),
        ({"optimizer": by_layers}, "other groups of parameters: keep schedule.param_groups"),
        ({"net": Net(norm=True)}, r"norm.weight is \(absent\) there and \(4,\) in this run"),
        (
            {"net": "wider"},
            r"fc.weight is \(3, 4\) there and \(5, 4\) .*data.num_classes, or",
        ),
    ],
)
def test_a_checkpoint_of_another_network_or_optimizer_is_refused(tmp_path, options, message):
    fit(tmp_path, schedule={"epochs": 1})
    before = (tmp_path / "last.pt").read_bytes()
    if options.get("net") == "wider":
        options = {"net": Net()}
        options["net"].fc = torch.nn.Linear(4, 5)
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, **options)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_amsgrad_cannot_begin_within_a_run(tmp_path):
    fit(tmp_path, schedule={"epochs": 1}, optimizer=torch.optim.Adam)
    with pytest.raises(ValueError, match=r"optimizer\.amsgrad=True cannot begin within a run"):
        fit(tmp_path, optimizer=partial(torch.optim.Adam, amsgrad=True))


def test_what_a_continued_run_changes_is_listed(tmp_path):
    def config(seed, weights="null"):
        return RunRecord(
            config=f"model: {{weights: {weights}}}\nruntime: {{seed: {seed}, resume: auto{seed}}}"
        )

    fit(tmp_path, schedule={"epochs": 1}, record=config(3))
    fit(tmp_path, schedule={"epochs": 2}, record=config(4))
    log = (tmp_path / "train.log").read_text()
    assert "from here on with other values than before: runtime.seed: 3 -> 4\n" in log
    with pytest.raises(ValueError, match=r"model\.weights=a\.pth has no effect on a run that cont"):
        fit(tmp_path, schedule={"epochs": 3}, record=config(4, "a.pth"))


def test_a_cut_off_checkpoint_costs_an_epoch_not_the_run(tmp_path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    log = untimed(fit(tmp_path / "whole").run.logged)
    with pytest.raises(Killed):
        fit(tmp_path / "cut", on_step=kill_at(18))
    last = tmp_path / "cut" / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    result = fit(tmp_path / "cut")
    assert any("previous.pt" in text for text in result.run.texts)
    assert untimed(result.run.logged) == log
