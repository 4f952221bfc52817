"""Folders of models: whatever is in their files, the answer is one line, no code of theirs runs, nothing is left."""

import shutil
from pathlib import Path

import pytest
from transformers import BertConfig, BertForSequenceClassification

from hf_strategies.finetune.small_bert import train_wordpiece
from tests.bad_input.conftest import GOOD, Refused
from tests.bad_input.model_folders import FOLDERS, Change


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model that can be loaded."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_wordpiece(GOOD.splitlines())
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **size)
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def change(file: Path, new: Change) -> None:
    """Give a file its new content, or delete it."""
    if new is None:
        file.unlink(missing_ok=True)
    elif callable(new):
        file.write_bytes(new(file.read_bytes()))
    else:
        file.write_bytes(new if isinstance(new, bytes) else new.encode())


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_holds_no_whole_model_is_refused_in_one_line(name: str, model: Path, refused: Refused) -> None:
    shutil.copytree(model, "broken")
    for file, new in FOLDERS[name].items():
        change(Path("broken", file), new)
    message = refused("text_classification", "--train_file", "good.csv", "--model_name_or_path", "broken")
    assert "broken" in message


@pytest.mark.parametrize(
    "name", ["good.csv", "empty", "nowhere", "no/where", "em\x1b[2Jpty", "em pty\u202e", "@", "a" * 300]
)
def test_what_is_no_folder_of_a_model_is_refused_in_one_line(name: str, refused: Refused) -> None:
    for folder in ("empty", "em pty\u202e"):
        Path(folder).mkdir()
    assert "model_name_or_path" in refused(
        "text_classification", "--train_file", "good.csv", "--model_name_or_path", name
    )
