"""The command with these arguments; then, in MiB, the peak memory of this process before and after it, as JSON."""

import json
import re
import sys
from pathlib import Path

import torch

import hf_strategies.checkpoints.folder  # noqa: F401  what the command imports counts as memory from before
from hf_strategies.cli.main import main


def peak() -> float:
    """The highest memory of this process so far, pages of files that are mapped into it included.

    `resource.getrusage` has the memory of the process that started this one in its maximum.
    """
    (kib,) = re.findall(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    return int(kib) / 1024


if __name__ == "__main__":
    torch.ones(2).add_(torch.ones(2), alpha=0.5)
    before = peak()
    code = main(["average", *sys.argv[1:]])
    print(json.dumps({"before": before, "after": peak()}))
    sys.exit(code)
