"""``python -m hf_strategies`` is the command ``hf-strategies``."""

import sys

from hf_strategies.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
