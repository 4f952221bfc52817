"""The edge: all that touches torch, accelerate and transformers."""
