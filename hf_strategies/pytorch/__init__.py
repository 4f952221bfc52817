"""For any PyTorch loop: schedules as torch schedulers, best weights in memory; needs torch, not transformers."""
