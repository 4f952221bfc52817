"""Replays: what other stop settings would have done to runs that have ended."""
