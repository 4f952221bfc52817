"""How deep each parameter of a model lies, by the model's structure."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn
from transformers import PreTrainedModel

from hf_strategies.errors import StrategyError

__all__ = ["Depths", "parameter_depths"]


class Depths(NamedTuple):
    """How deep each parameter lies: 0 the embeddings, 1 to ``layers`` the layers, ``layers + 1`` the head."""

    layers: int
    by_name: dict[str, int]


def parameter_depths(model: nn.Module) -> Depths:
    """Find the depth of every parameter, by the model's structure.

    The layers are the one `nn.ModuleList` (or several of one length side by side, as in XLM) of the model under
    the head: transformers' ``base_model``, inside whatever wraps it (DDP, PEFT, a module with a head of its own);
    of a module without any `PreTrainedModel`, the module itself. What that model registers before the layers is
    embeddings, and so is a table of relative positions beside them, with what follows it there (DeBERTa, MPNet).
    All else is the head: poolers, final norms, classifiers. A tied parameter counts once, with the embeddings.
    ALBERT's layers share their weights: each of its groups, usually one, is a layer.

    Raises `StrategyError` for a model without numbered layers and for one with several stacks of them, such as
    an encoder-decoder.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> sizes = {"hidden_size": 4, "num_attention_heads": 1, "intermediate_size": 4, "vocab_size": 8}
    >>> depths = parameter_depths(BertForSequenceClassification(BertConfig(num_hidden_layers=2, **sizes)))
    >>> depths.layers, depths.by_name["bert.encoder.layer.1.output.dense.weight"], depths.by_name["classifier.bias"]
    (2, 2, 3)
    """
    base = _base_model(model)
    parent, stacks = _numbered_layers(base, type(model).__name__)
    layers = len(stacks[0])
    depths = {id(p): 0 for p in _relative_positions(parent, stacks)}
    for stack in stacks:
        for depth, layer in enumerate(stack, start=1):
            depths |= {id(p): depth for p in layer.parameters()}
    top = 0
    for parameter in base.parameters():
        # In the order of registration: the first layer divides what is below from what is above.
        if depths.setdefault(id(parameter), top) > 0:
            top = layers + 1
    return Depths(layers, {name: depths.get(id(p), layers + 1) for name, p in model.named_parameters()})


def _base_model(model: nn.Module) -> nn.Module:
    found = list(dict.fromkeys(_pretrained(model)))
    if len(found) > 1:
        names = " and ".join(type(one).__name__ for one in found)
        raise StrategyError(
            f"{type(model).__name__} holds several models ({names}), so its parameters have no one order by depth:"
            " leave out layer_decay, head_learning_rate and gradual unfreezing"
        )
    return found[0].base_model if found else model


def _pretrained(module: nn.Module) -> Iterator[PreTrainedModel]:
    if isinstance(module, PreTrainedModel):
        yield module
        return
    for child in module.children():
        yield from _pretrained(child)


def _numbered_layers(base: nn.Module, name: str) -> tuple[nn.Module, list[nn.ModuleList]]:
    found = dict(_stacks(base))
    kinds = {(path.rpartition(".")[0], len(stack)) for path, stack in found.items()}
    if len(kinds) != 1:
        what = f"several stacks of layers ({', '.join(found)})" if found else "no numbered layers (no nn.ModuleList)"
        raise StrategyError(
            f"{name} has {what}, so its parameters have no one order by depth: leave out layer_decay,"
            " head_learning_rate and gradual unfreezing, or use a model with one stack, such as BERT"
        )
    ((path, _),) = kinds
    return base.get_submodule(path), list(found.values())


def _stacks(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.ModuleList]]:
    """Find the outermost lists of modules that have parameters."""
    for name, child in module.named_children():
        if not isinstance(child, nn.ModuleList):
            yield from _stacks(child, f"{path}{name}.")
        elif any(True for _ in child.parameters()):
            yield f"{path}{name}", child


def _relative_positions(parent: nn.Module, stacks: list[nn.ModuleList]) -> Iterator[nn.Parameter]:
    """Find the parameters of a table of positions that is registered after the layers, and of what follows it."""
    children = list(parent.children())
    after = children[children.index(stacks[-1]) + 1 :]
    tables = [index for index, child in enumerate(after) if isinstance(child, nn.Embedding)]
    for child in after[tables[0] :] if tables else ():
        yield from child.parameters()
