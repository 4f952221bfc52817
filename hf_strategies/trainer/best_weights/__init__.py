"""Save the best weights of a training, in memory or on disk, and restore them when training ends."""
