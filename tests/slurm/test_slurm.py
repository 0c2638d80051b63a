"""Real jobs on a real Slurm of two nodes, through the commands that users type."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.paths import ROOT
from tests.waiting import LIMIT, until

pytestmark = pytest.mark.slurm
SMALL = [
    "model.clip.size=32", "model.clip.short_side=36", "schedule.batch_size=4", "schedule.epochs=2",
    "runtime.log_every=1", "runtime.num_workers=0", "runtime.wandb.mode=disabled",
    "runtime.device=cpu", "runtime.threads=1",
]  # fmt: skip
SUBMIT = [
    "runtime=slurm", "hydra.launcher.gpus_per_node=null", "hydra.launcher.tasks_per_node=1",
    "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=10",
]  # fmt: skip


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The environment in which Slurm's commands reach a cluster of this test session."""
    folder = tmp_path_factory.mktemp("slurm")
    if os.geteuid() or not (shutil.which("slurmctld") or shutil.which("apt-get")):
        pytest.skip("starting a Slurm needs root on Debian or Ubuntu")
    script = str(Path(__file__).with_name("cluster.sh"))
    started = subprocess.run([script, "start", str(folder)], capture_output=True, text=True)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
    finally:
        subprocess.run([script, "stop", str(folder)], capture_output=True)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    train(root.parent, [*SMALL, f"data.root={root}", "schedule.max_steps=1", "schedule.epochs=1"])
    return f"data.root={root}"


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory, data):
    """The weights and rows of the run that the jobs below must come to, whatever happens."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    train(folder, [*SMALL, data, "schedule.max_steps=30"])
    return outcome(folder)


def train(folder, arguments, env=None, wait=True):
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    environment = env or {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if not wait:
        return process
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, output
    return output


def outcome(folder):
    (path,) = folder.glob("runs/**/last.pt")
    rows = [json.loads(line) for line in (path.parent / "metrics.jsonl").open()]
    measured = ("time/", "memory/", "samples_per_second")
    plain = [{k: v for k, v in row.items() if not k.startswith(measured)} for row in rows]
    return torch.load(path, weights_only=True)["net"], plain


def assert_same(ours, theirs):
    (weights, rows), (expected_weights, expected_rows) = ours, theirs
    assert rows == expected_rows
    for name, weight in expected_weights.items():
        assert torch.equal(weights[name], weight), name


def steps_done(folder):
    return sum(len(path.read_text().splitlines()) for path in folder.glob("runs/**/metrics.jsonl"))


def slurm(env, *command):
    return subprocess.run(command, env=env, capture_output=True, text=True).stdout


def job_of(env):
    (job,) = slurm(env, "squeue", "-h", "-p", "main", "-o", "%A").split()
    return job


def job_said(env, job):
    return slurm(env, "scontrol", "show", "job", job)


def process_of(job, rank):
    """The Python process that is this rank of the job: the one whose environment says so."""
    wanted = {f"SLURM_PROCID={rank}".encode(), f"SLURM_JOB_ID={job}".encode()}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            program, *arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        is_python = os.path.basename(program).startswith(b"python")  # srun has the same arguments
        if wanted <= set(environment) and is_python and b"submitit.core._submit" in arguments:
            return int(folder.name)
    raise AssertionError(f"job {job} has no rank {rank}")


def hold(job):
    """Stop the run in its middle, so that what the test does next does not race with it.

    Slurm sends SIGCONT before it preempts a job or ends it at its time limit.
    """
    os.kill(process_of(job, rank=0), signal.SIGSTOP)


def release(job):
    os.kill(process_of(job, rank=0), signal.SIGCONT)


def test_two_nodes_train_as_two_processes_of_one_machine_do(cluster, data, tmp_path):
    both = [*SMALL, data, "schedule.max_steps=5"]
    train(tmp_path, [*both, *SUBMIT, "hydra.launcher.nodes=2"], cluster)
    here = tmp_path / "here"
    here.mkdir()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*torchrun, str(ROOT / "train.py"), *both], cwd=here, env=cluster, check=True,
        timeout=LIMIT, capture_output=True,
    )  # fmt: skip
    theirs = outcome(here)
    shutil.rmtree(here)
    assert_same(outcome(tmp_path), theirs)
    (log,) = tmp_path.glob("runs/**/train.log")
    assert "on 2 x cpu" in log.read_text()


def test_a_failing_run_of_a_sweep_does_not_lose_the_others(cluster, data, tmp_path):
    sweep = [*SMALL, data, "schedule.max_steps=2", "schedule.lr=0.01,-1,0.02"]
    process = train(tmp_path, [*sweep, *SUBMIT], cluster, wait=False)
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert "error: 1 of 3 runs failed" in output
    lines = {line.split()[0]: line for line in output.splitlines() if line.strip()}
    assert "finished" in lines["0.01"]
    assert "finished" in lines["0.02"]
    assert "failed: configuration error: schedule.optimizer.lr=-1 is outside" in lines["-1"]

    def states():
        found = re.findall(r"JobState=(\w+)", slurm(cluster, "scontrol", "show", "jobs"))
        return sorted(found[-3:])

    until(lambda: states() == ["COMPLETED", "COMPLETED", "FAILED"])


def interrupted_after_some_steps(cluster, data, folder, how, *more):
    process = train(
        folder, [*SMALL, data, "schedule.max_steps=30", *SUBMIT, *more], cluster, wait=False
    )
    try:
        until(lambda: steps_done(folder) >= 4)
        job = job_of(cluster)
        how(job)
        until(lambda: "Restarts=1" in job_said(cluster, job))
        output, _ = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, output
    return output


def test_a_job_that_is_signalled_requeues_itself_and_loses_nothing(
    cluster, data, uninterrupted, tmp_path
):
    def send(job):
        hold(job)
        slurm(cluster, "scancel", "--signal=USR2", job)
        release(job)

    interrupted_after_some_steps(cluster, data, tmp_path, send)
    assert_same(outcome(tmp_path), uninterrupted)


def test_a_job_that_is_preempted_goes_on_later(cluster, data, uninterrupted, tmp_path):
    urgent = []

    def preempt(job):
        hold(job)
        command = ["srun", "-p", "urgent", "-N2", "-c2", "sleep", "5"]
        urgent.append(subprocess.Popen(command, env=cluster, stderr=subprocess.DEVNULL))

    interrupted_after_some_steps(cluster, data, tmp_path, preempt)
    assert urgent[0].wait(LIMIT) == 0
    assert_same(outcome(tmp_path), uninterrupted)


def test_a_job_that_reaches_its_time_limit_goes_on(cluster, data, uninterrupted, tmp_path):
    # Slurm looks every 30 s and signals up to 30 s early: here 60 to 90 s after the start.
    limits = ["hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=30"]
    interrupted_after_some_steps(cluster, data, tmp_path, hold, *limits)
    assert_same(outcome(tmp_path), uninterrupted)


def test_a_plain_batch_script_requeues_itself(cluster, data, uninterrupted, tmp_path):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "train.py").symlink_to(ROOT / "train.py")
    options = ["--ntasks-per-node=1", "--gpus-per-node=0", "--cpus-per-task=1", "--time=10"]
    script = ROOT / "docs" / "train.sbatch"
    arguments = [*SMALL, data, "schedule.max_steps=30"]
    command = ["sbatch", "--parsable", *options, str(script), *arguments]
    job = subprocess.run(
        command, cwd=tmp_path, env=cluster, capture_output=True, text=True, check=True
    ).stdout.strip()
    until(lambda: steps_done(tmp_path) >= 4)
    slurm(cluster, "scancel", "--signal=USR2", job)
    until(lambda: "JobState=COMPLETED" in job_said(cluster, job))
    assert "Restarts=1" in job_said(cluster, job)
    assert_same(outcome(tmp_path), uninterrupted)


def test_a_killed_rank_ends_the_job_with_the_reason(cluster, data, tmp_path):
    arguments = [*SMALL, data, "schedule.max_steps=100", *SUBMIT, "hydra.launcher.nodes=2"]
    process = train(tmp_path, arguments, cluster, wait=False)
    try:
        until(lambda: steps_done(tmp_path) >= 3)
        job = job_of(cluster)
        hold(job)
        os.kill(process_of(job, rank=1), signal.SIGKILL)
        release(job)
        until(lambda: "JobState=FAILED" in job_said(cluster, job))
    finally:  # the launcher learns the end of such a job from sacct, which this cluster has not
        process.kill()
    logs = [
        path.read_text()
        for path in tmp_path.glob("runs/**/*")
        if path.suffix in (".log", ".err", ".out")
    ]
    assert any("rank 1 on" in log and "last.pt" in log for log in logs), logs
