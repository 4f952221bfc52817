"""Folders of cached files, which are read only if they are complete, and written completely or not at all."""

import contextlib
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

__all__ = ["complete_files", "new_folder"]

_DIGESTS = "digests.json"


def complete_files(folder: Path) -> list[Path] | None:
    """Return the files that `new_folder` left in ``folder``, sorted by name, or None if they are to be made anew.

    They have to be made anew if there is no such folder, or if a file in it is missing, damaged or of another folder.
    A line is printed in the second case.

    >>> complete_files(Path("no", "such", "folder")) is None
    True
    """
    files = _checked_files(folder)
    if files is None and _exists(folder):
        # Imported here, because it loads transformers, which the offline data sets do without.
        from hf_strategies.finetune.command_line import notify

        notify(f"The cache {folder} is incomplete, damaged or foreign: it is made anew.")
    return files


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder to write files to; rename it to ``folder`` when they are complete.

    A complete ``folder`` stays as it is, because another process has written the same files. Any other folder of this
    name is replaced. Raises OSError, and leaves nothing behind, if the files cannot be written.
    """
    # Not tempfile.mkdtemp: it makes a folder that other users of a shared cache cannot read.
    temporary = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        digests = {file.name: _digest(file) for file in sorted(temporary.iterdir())}
        # With the name, a folder that was copied from that of other data is recognised as foreign.
        content = json.dumps({"folder": folder.name, "files": digests})
        (temporary / _DIGESTS).write_text(content, encoding="utf-8")
        _put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _checked_files(folder: Path) -> list[Path] | None:
    try:
        written = json.loads((folder / _DIGESTS).read_bytes())
        files = [folder / Path(name).name for name in sorted(written["files"])]
        is_complete = written == {"folder": folder.name, "files": {file.name: _digest(file) for file in files}}
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    return files if files and is_complete else None


def _exists(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError:  # a folder that this user may not read
        return False


def _put_in_place(temporary: Path, folder: Path) -> None:
    if _checked_files(folder):
        return  # another process was first
    replaced = temporary.with_name(f"{temporary.name}-replaced")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(replaced)  # a folder with files in it cannot be renamed over
    try:
        temporary.rename(folder)
    except OSError:
        if _checked_files(folder) is None:
            raise  # otherwise another process was first
    finally:
        shutil.rmtree(replaced, ignore_errors=True)
        with contextlib.suppress(OSError):
            replaced.unlink()  # where a file stood in place of the folder


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
