"""The checkpoints of any run of the Trainer, and averages of their weights; needs torch, and no transformers."""
