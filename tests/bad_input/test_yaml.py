"""YAML files of flags: whatever is in the file, the answer is one line, in a moment."""

import pytest

from tests.bad_input.conftest import Refused
from tests.bad_input.yaml_files import YAML


@pytest.mark.parametrize("name", YAML)
def test_a_file_that_is_no_file_of_flags_is_refused_in_one_line(name: str, refused: Refused) -> None:
    content = YAML[name]
    with open("flags.yaml", "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    assert refused("text_classification", "--train_file", "good.csv", "--config", "flags.yaml")
