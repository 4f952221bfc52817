"""What a run uploads to the Hub: its output folder without private data."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import trainer as transformers_trainer
from transformers.trainer import TRAINER_STATE_NAME

__all__ = ["uploading_without"]

PRIVATE = ("*training_args.bin",)
"""Patterns of files that are never uploaded: the Trainer's arguments have the token of the Hub, and local paths."""


@contextmanager
def uploading_without(patterns: tuple[str, ...]) -> Iterator[None]:
    """Leave out files that match ``patterns``, or those in `PRIVATE`, when the Trainer uploads its folder.

    The Trainer passes fixed patterns to the Hub's client, and has no argument for others. So this replaces the
    function by which it gets the client.
    """
    module: Any = transformers_trainer
    client = module.hf_api
    module.hf_api = lambda: _UploadClient(client(), (*PRIVATE, *patterns))
    try:
        yield
    finally:
        module.hf_api = client


class _UploadClient:
    """The Hub's client, which leaves out more files when it uploads a folder."""

    def __init__(self, client: Any, patterns: tuple[str, ...]) -> None:
        self._client, self._patterns = client, patterns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def upload_folder(self, *, ignore_patterns: list[str] | str | None = None, **options: Any) -> Any:
        """Upload a folder as the client does; the state of the Trainer in it without the path of its folder."""
        given = [ignore_patterns] if isinstance(ignore_patterns, str) else list(ignore_patterns or ())
        if (state := _state_without_path(Path(options["folder_path"]))) is not None:
            given.append(TRAINER_STATE_NAME)
            self._upload_state(state, **options)  # one thread uploads all, in this order
        return self._client.upload_folder(ignore_patterns=[*given, *self._patterns], **options)

    def _upload_state(self, state: bytes, *, folder_path: str, path_in_repo: str = "", **options: Any) -> None:
        name = f"{path_in_repo}/{TRAINER_STATE_NAME}".lstrip("/")
        self._client.upload_file(path_or_fileobj=state, path_in_repo=name, **options)


def _state_without_path(folder: Path) -> bytes | None:
    """Return the content of `trainer_state.json` with the name of the best checkpoint alone, if it has its path."""
    file = folder / TRAINER_STATE_NAME
    state = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    best = state.get("best_model_checkpoint")
    if not best or best == Path(best).name:
        return None
    state["best_model_checkpoint"] = Path(best).name
    return json.dumps(state, indent=2, sort_keys=True).encode()
