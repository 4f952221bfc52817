"""Tests of averages of weights."""
