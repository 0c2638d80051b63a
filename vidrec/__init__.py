"""vidrec: video understanding research, composed with Hydra."""

__version__ = "0.1.0"
