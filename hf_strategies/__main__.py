"""Run the command ``hf-strategies`` as ``python -m hf_strategies``."""

import sys

from hf_strategies.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
