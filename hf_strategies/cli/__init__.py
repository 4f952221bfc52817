"""The command ``hf-strategies``: one file a command, with its flags and its run."""
