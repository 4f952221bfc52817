"""Which weights are the result: the best ones, kept in memory or on disk and put back when training ends."""
