"""What other settings would have done to past runs, as text, tables and a figure."""
