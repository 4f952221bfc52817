"""Callbacks for `Trainer(callbacks=...)`: one file for each class, and the code that they share."""
