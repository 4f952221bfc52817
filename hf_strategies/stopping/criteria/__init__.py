"""Stop criteria: pure functions of the evaluations so far, and the table with one row for each."""
