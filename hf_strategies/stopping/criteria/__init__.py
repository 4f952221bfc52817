"""The stop criteria, as pure functions of the evaluations so far, and the table of them."""
