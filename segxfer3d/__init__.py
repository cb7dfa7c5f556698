"""Choose what to pretrain and what to transfer, to segment volumes from few labels."""

__version__ = "0.1.0"
