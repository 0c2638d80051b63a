"""Python runs this before a training process that a test starts; VIDREC_FAULT says what happens.

`kill:NAME:N` ends the process with SIGKILL inside the N-th call of os.NAME for a checkpoint;
`nan:N` makes the loss of training step N not a number; `full:NAME` leaves no room in file NAME.
"""

import os

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


def nan_at(number: int) -> None:
    import torch

    real, steps = torch.nn.functional.cross_entropy, [0]

    def cross_entropy(*arguments, **options):
        loss = real(*arguments, **options)
        steps[0] += torch.is_grad_enabled()
        return loss * float("nan") if steps[0] == number else loss

    torch.nn.functional.cross_entropy = cross_entropy


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
    nan_at(int(FAULT.split(":")[1]))
elif FAULT.startswith("full:"):
    fill(FAULT.split(":")[1])
