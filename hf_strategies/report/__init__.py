"""What a run looked like: tables, figures, a section for the model card."""
