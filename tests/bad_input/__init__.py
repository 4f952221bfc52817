"""Bad input of every kind: each is answered by one line and exit code 2, in a moment, and leaves nothing behind."""
