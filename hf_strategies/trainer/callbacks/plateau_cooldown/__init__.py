"""`PlateauCooldown`: its settings, its run, the learning rates it sets, and how it resumes."""
