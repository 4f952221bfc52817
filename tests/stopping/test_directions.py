"""Whether lower or higher is better follows from the whole name of a metric, as several libraries write it."""

import pytest

from hf_strategies import StrategyError
from hf_strategies.stopping.metric import known_direction


@pytest.mark.parametrize(
    ("names", "mode"),
    [
        ("loss val_loss valid_loss dev_nll test_mse MAE neg_accuracy max_error brier_score", "min"),
        ("val_binary_crossentropy val_mse val_mae mean_squared_logarithmic_error", "min"),
        ("f1_score val_f1_score accuracy_score roc_auc_score f1_macro_score val_acc val_accuracy val_auc acc", "max"),
        ("neg_log_loss neg_mean_squared_error neg_root_mean_squared_error val_neg_log_loss r2_score", "max"),
        ("val_binary_accuracy sparse_categorical_accuracy matthews_corrcoef balanced_accuracy_score", "max"),
    ],
)
def test_names_of_keras_and_scikit_learn_have_their_direction(names: str, mode: str) -> None:
    assert {name: known_direction(name) for name in names.split()} == dict.fromkeys(names.split(), mode)


@pytest.mark.parametrize(
    "name", ["score", "val_score", "val_", "neg_", "neg_score", "books_loss", "my_val_loss", "loss_val"]
)
def test_nothing_is_inferred_from_a_part_of_another_name(name: str) -> None:
    with pytest.raises(StrategyError, match="no telling whether lower or higher is better"):
        known_direction(name)
