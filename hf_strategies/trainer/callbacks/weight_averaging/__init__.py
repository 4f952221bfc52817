"""The callback `WeightAveraging`: its settings, its run, and the evaluations of the average."""
