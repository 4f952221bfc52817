"""The benchmarks. Each runs as a module from the root of the checkout, such as ``python -m benchmarks.schedules``."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
"""The root of this checkout."""

RESULTS = CHECKOUT / "benchmarks" / "results"
"""The folder of the committed results."""
