"""Schedulers and best weights for any PyTorch training loop; needs torch, but not transformers."""
