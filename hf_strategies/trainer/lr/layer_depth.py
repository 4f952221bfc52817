"""The depth of each parameter of a model, from the model's structure."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn
from transformers import PreTrainedModel

from hf_strategies.errors import StrategyError

__all__ = ["Depths", "parameter_depths"]


class Depths(NamedTuple):
    """The number of ``layers``, and the depth of each parameter in ``by_name``.

    Depth 0 is the embeddings, 1 to ``layers`` are the layers, and ``layers + 1`` is the head.
    """

    layers: int
    by_name: dict[str, int]

    def name(self, depth: int) -> str:
        """Return what is at a depth, in words: "embeddings", "layer 3", "head"."""
        return {0: "embeddings", self.layers + 1: "head"}.get(depth, f"layer {depth}")


def parameter_depths(model: nn.Module) -> Depths:
    """Return the depth of every parameter, by the model's structure.

    The base model is the ``base_model`` of transformers, which may be wrapped (by DDP, PEFT or a module with its own
    head); a module that contains no `PreTrainedModel` is its own base model. The parts are:

    - The layers are the items of its only `nn.ModuleList`. Several lists of equal length side by side, as in XLM,
      count as one. In ALBERT, whose layers share their weights, each group of layers (by default there is one) is a
      layer.
    - The embeddings are all parameters that the base model registers before the layers. A table of relative
      positions beside the layers, and the modules after that table, are embeddings too (DeBERTa, MPNet).
    - The head is everything else: poolers, final norms, classifiers.

    A tied parameter counts once, with the embeddings.

    Raises `StrategyError` for a model that is no module, for a model without numbered layers, and for a model with
    several stacks of layers, such as an encoder-decoder.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> sizes = {"hidden_size": 4, "num_attention_heads": 1, "intermediate_size": 4, "vocab_size": 8}
    >>> depths = parameter_depths(BertForSequenceClassification(BertConfig(num_hidden_layers=2, **sizes)))
    >>> depths.layers, depths.by_name["bert.encoder.layer.1.output.dense.weight"], depths.by_name["classifier.bias"]
    (2, 2, 3)
    """
    if not isinstance(model, nn.Module):
        raise StrategyError(
            f"{type(model).__name__} is no torch.nn.Module, so its parameters have no order by depth: leave out"
            " layer_decay, head_learning_rate and gradual unfreezing"
        )
    base = _base_model(model)
    parent, stacks = _numbered_layers(base, type(model).__name__)
    layers = len(stacks[0])
    depths = {id(p): 0 for p in _relative_positions(parent, stacks)}
    for stack in stacks:
        for depth, layer in enumerate(stack, start=1):
            depths |= {id(p): depth for p in layer.parameters()}
    default = 0
    for parameter in base.parameters():
        # In the order of registration: the embeddings come before the first layer, the head after it.
        if depths.setdefault(id(parameter), default) > 0:
            default = layers + 1
    return Depths(layers, {name: depths.get(id(p), layers + 1) for name, p in model.named_parameters()})


def _base_model(model: nn.Module) -> nn.Module:
    models = list(dict.fromkeys(_pretrained_models(model)))
    if len(models) > 1:
        names = " and ".join(type(each).__name__ for each in models)
        raise StrategyError(
            f"{type(model).__name__} holds several models ({names}), so its parameters have no one order by depth:"
            " leave out layer_decay, head_learning_rate and gradual unfreezing"
        )
    return models[0].base_model if models else model


def _pretrained_models(module: nn.Module) -> Iterator[PreTrainedModel]:
    """Yield the outermost `PreTrainedModel` modules."""
    if isinstance(module, PreTrainedModel):
        yield module
        return
    for child in module.children():
        yield from _pretrained_models(child)


def _numbered_layers(base: nn.Module, name: str) -> tuple[nn.Module, list[nn.ModuleList]]:
    """Return the module that contains the layers and its lists of layers; ``name`` is the model's, for the error."""
    stacks = dict(_stacks(base))
    places = {(path.rpartition(".")[0], len(stack)) for path, stack in stacks.items()}
    if len(places) != 1:
        paths = ", ".join(stacks)
        what = f"several stacks of layers ({paths})" if stacks else "no numbered layers (no nn.ModuleList)"
        raise StrategyError(
            f"{name} has {what}, so its parameters have no one order by depth: leave out layer_decay,"
            " head_learning_rate and gradual unfreezing, or use a model with one stack, such as BERT"
        )
    ((path, _),) = places
    return base.get_submodule(path), list(stacks.values())


def _stacks(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.ModuleList]]:
    """Yield the path and the module of each outermost `nn.ModuleList` that has parameters."""
    for name, child in module.named_children():
        if not isinstance(child, nn.ModuleList):
            yield from _stacks(child, f"{path}{name}.")
        elif any(True for _ in child.parameters()):
            yield f"{path}{name}", child


def _relative_positions(parent: nn.Module, stacks: list[nn.ModuleList]) -> Iterator[nn.Parameter]:
    """Yield the parameters of a table of positions that follows the layers, and of the modules after that table."""
    children = list(parent.children())
    after = children[children.index(stacks[-1]) + 1 :]
    tables = [index for index, child in enumerate(after) if isinstance(child, nn.Embedding)]
    for child in after[tables[0] :] if tables else ():
        yield from child.parameters()
