"""Processes that have loaded torch and transformers, but nothing of this package: each starts in milliseconds.

``python -m tests.fresh_process`` reads requests, a line of JSON each, and forks a process for each of them.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO, cast

__all__ = ["FreshProcesses"]


class FreshProcesses:
    """A server that runs pieces of Python as ``python -c`` does, in a process each."""

    def __init__(self, checkout: Path) -> None:
        command = [sys.executable, "-m", "tests.fresh_process"]
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(command, cwd=checkout, stdin=pipe, stdout=pipe, text=True)

    def run(self, code: str, folder: Path, argv: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
        """Run ``code`` in ``folder`` with the arguments and this process's environment; return how it ended."""
        request = {"code": code, "folder": str(folder), "argv": list(argv), "environment": dict(os.environ)}
        stdin, stdout = cast(TextIO, self._server.stdin), cast(TextIO, self._server.stdout)
        print(json.dumps(request), file=stdin, flush=True)
        returncode, out, err = json.loads(stdout.readline())
        return subprocess.CompletedProcess(["python", "-c", code], returncode, out, err)

    def close(self) -> None:
        """End the server."""
        cast(TextIO, self._server.stdin).close()
        self._server.wait()
        cast(TextIO, self._server.stdout).close()


def _serve() -> dict[str, Any] | None:
    """Answer the requests until there are no more; in the process that is forked for a request, return it.

    The forked process returns, so that it ends as any other does, with its exit functions and its threads.
    """
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            if (child := os.fork()) == 0:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                return dict(json.loads(line))
            _, status = os.waitpid(child, 0)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read())
            print(json.dumps([os.waitstatus_to_exitcode(status), *texts]), flush=True)
    return None


if __name__ == "__main__":
    for name in ("datasets", "sklearn.metrics", "transformers.trainer"):
        importlib.import_module(name)
    gc.freeze()
    assert "hf_strategies" not in sys.modules
    if (request := _serve()) is not None:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv, sys.path[0] = ["-c", *request["argv"]], ""
        exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})
