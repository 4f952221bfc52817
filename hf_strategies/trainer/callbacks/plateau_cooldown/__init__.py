"""The callback `PlateauCooldown`: its settings, its run, its learning rates, and its resumption."""
