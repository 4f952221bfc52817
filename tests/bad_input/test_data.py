"""Files of examples: whatever is in the file, the answer is one line before a model is loaded."""

from pathlib import Path

import pytest

from tests.bad_input.conftest import Refused
from tests.bad_input.data_files import OF_RECIPE, data_rows

ROWS = list(data_rows())


@pytest.mark.parametrize(("recipe", "name"), ROWS, ids=[f"{recipe} {name}" for recipe, name in ROWS])
def test_a_file_without_usable_examples_is_refused_in_one_line(recipe: str, name: str, refused: Refused) -> None:
    place, content = OF_RECIPE[recipe][name]
    file = Path(place)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert refused(recipe, "--train_file", Path(place).parts[0])
