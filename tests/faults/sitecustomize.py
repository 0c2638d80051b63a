"""Python runs this before a training process that a test starts; VIDREC_FAULT says what happens.

`kill:NAME:N` ends the process with SIGKILL inside the N-th call of os.NAME for a checkpoint;
`nan:N` makes the loss of training step N not a number; `full:NAME` leaves no room in file NAME;
`hold:N` stays inside training step N until the process was asked to stop, or the test makes a file
`go` in the working directory: what a test does meanwhile does not race with the training.
"""

import os
import signal
import time

FAULT = os.environ.get("VIDREC_FAULT", "")


def kill_in(name: str, number: int) -> None:
    real, calls, parent = getattr(os, name), [0], os.getpid()

    def call(*arguments, **options):
        # Only files of checkpoints count.
        about = os.readlink(f"/proc/self/fd/{arguments[0]}") if name == "fsync" else arguments[0]
        if os.getpid() == parent and str(about).endswith("last.pt.part"):
            calls[0] += 1
            if calls[0] == number:
                os.kill(parent, 9)
        return real(*arguments, **options)

    setattr(os, name, call)


def at_step(number, change):
    """Pass the loss of training step `number` through `change`."""
    import torch

    real, steps = torch.nn.functional.cross_entropy, [0]

    def cross_entropy(*arguments, **options):
        loss = real(*arguments, **options)
        steps[0] += torch.is_grad_enabled()
        return change(loss) if torch.is_grad_enabled() and steps[0] == number else loss

    torch.nn.functional.cross_entropy = cross_entropy


def hold(loss):
    interrupt = signal.getsignal(signal.SIGTERM).__self__  # the handler of the training loop
    while not (interrupt.number or os.path.exists("go")):
        time.sleep(0.01)
    return loss


def fill(name: str) -> None:
    from pathlib import Path

    real = Path.open

    def open_full(self, mode="r", *arguments, **options):
        if self.name == name and mode == "a":
            self.touch()
            return real(Path("/dev/full"), mode, *arguments, **options)
        return real(self, mode, *arguments, **options)

    Path.open = open_full


if FAULT.startswith("kill:"):
    kill_in(FAULT.split(":")[1], int(FAULT.split(":")[2]))
elif FAULT.startswith("nan:"):
    at_step(int(FAULT.split(":")[1]), lambda loss: loss * float("nan"))
elif FAULT.startswith("hold:"):
    at_step(int(FAULT.split(":")[1]), hold)
elif FAULT.startswith("full:"):
    fill(FAULT.split(":")[1])
