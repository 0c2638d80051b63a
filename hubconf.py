"""Networks for `torch.hub`, from a checkout or by the name of its repository.

    net = torch.hub.load("path/to/vidrec", "load_model", "runs/tsn_tiny_shapes", source="local")

`help(vidrec.load_model)` says what it takes.
"""

from vidrec import load_model as load_model

dependencies = ["torch", "torchvision", "hydra", "omegaconf", "timm", "numpy", "av", "tqdm"]
