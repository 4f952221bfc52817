"""The command `hf-strategies`: one file a command, its flags and its run."""
