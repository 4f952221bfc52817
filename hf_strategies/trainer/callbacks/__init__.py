"""Callbacks for `Trainer(callbacks=...)`: one file a class, and what they share."""
