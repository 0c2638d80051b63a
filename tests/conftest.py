"""What every test shares: one thread, so that results and times do not depend on the machine."""

import torch

torch.set_num_threads(1)
