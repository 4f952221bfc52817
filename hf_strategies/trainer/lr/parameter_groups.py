"""Parameter groups of an optimizer: by depth, by patterns of names, or both, and the table of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from torch import nn
from transformers import Trainer

from hf_strategies.errors import StrategyError
from hf_strategies.trainer.lr.layer_depth import Depths, parameter_depths
from hf_strategies.trainer.lr.patterns import Pattern, patterns_of, read_patterns, settings_text
from hf_strategies.values import number

__all__ = ["groups_table", "parameter_groups", "read_rates"]


class _Place(NamedTuple):
    """Where a parameter belongs: parameters of equal places are one group."""

    pattern: Pattern | None
    depth: int
    weight_decay: float


def parameter_groups(
    model: nn.Module,
    *,
    learning_rate: float,
    layer_decay: float | None = None,
    head_learning_rate: float | None = None,
    weight_decay: float = 0.0,
    patterns: Mapping[str, Any] | str | None = None,
) -> list[dict[str, Any]]:
    r"""Return an optimizer's parameter groups, with learning rates by depth, by patterns of names, or both.

    With ``layer_decay``, layer d of L has the rate ``learning_rate * layer_decay ** (L - d)``, where layer 0 is the
    embeddings. So the top layer has ``learning_rate`` and the embeddings ``learning_rate * layer_decay ** L``. The
    head has ``head_learning_rate``, or ``learning_rate`` if that is None. Without these two, every parameter has
    ``learning_rate``, and the model needs no layers.

    ``patterns`` is a mapping of regular expressions, which may match any part of a parameter's name. The last one
    that matches a name decides for it. ``{"lr_ratio": r}`` multiplies the rate that the parameter has by its depth
    with r; ``{"weight_decay": w}`` takes the place of ``weight_decay``, also for biases and norms; ``"freeze"``
    sets ``requires_grad`` of the parameter to False, so that it does not train.

    A schedule multiplies the rates of all groups by the same number. The groups are in order from the top layer to
    the embeddings, then the head, then those of the patterns. The Trainer logs the rate of the first group. Each
    group has a ``name``, and with rates by depth a ``depth`` (see `parameter_depths`). Frozen parameters are in no
    group.

    Args:
        model: the model; with rates by depth it has to have numbered layers.
        learning_rate: the peak rate of the top layer.
        layer_decay: the factor from a layer to the layer below it, in (0, 1]; ELECTRA uses 0.8 and 0.9.
        head_learning_rate: the peak rate of the head.
        weight_decay: the weight decay of the parameters that the Trainer decays (no biases, no norms); all other
            parameters have 0.
        patterns: the mapping, or the JSON of it.

    Raises `StrategyError` for a bad value, for a model whose parameters have no depth, for a pattern that decides
    for no parameter, and if nothing is left to train.

    Sources: Howard & Ruder 2018, arXiv:1801.06146, section 3.2 (a factor of 1/2.6); Clark et al. 2020,
    arXiv:2003.10555, whose code gives the top layer ``layer_decay ** 2``, not 1, of the head's rate; Ben Zaken et al.
    2021, arXiv:2106.10199, who train the biases and the head alone.

    >>> model = nn.ModuleDict({"body": nn.Linear(2, 2), "head": nn.Linear(2, 1)})
    >>> groups = parameter_groups(model, learning_rate=0.1, patterns={"body": {"lr_ratio": 0.5}, "bias": "freeze"})
    >>> [(group["name"], group["lr"], len(group["params"])) for group in groups]
    [('other parameters', 0.1, 1), ('body', 0.05, 1)]
    """
    layer_decay, head_learning_rate = read_rates(layer_decay, head_learning_rate)
    rows = read_patterns(patterns)
    names = dict(model.named_parameters())
    by_pattern = patterns_of(names, rows)
    _freeze(parameter for name, parameter in names.items() if name in by_pattern and by_pattern[name].frozen)
    depths = None if layer_decay is None and head_learning_rate is None else parameter_depths(model)
    # The method uses no attribute of the Trainer, so that none is needed here.
    decayed = set(Trainer.get_decay_parameter_names(cast(Trainer, None), model))
    members: dict[_Place, list[nn.Parameter]] = {}
    for name, parameter in names.items():
        if parameter.requires_grad:
            pattern, depth = by_pattern.get(name), depths.by_name[name] if depths else 0
            decay = _weight_decay(pattern, weight_decay if name in decayed else 0.0)
            members.setdefault(_Place(pattern, depth, decay), []).append(parameter)
    if not members:
        raise StrategyError("no parameter is left to train: freeze fewer of them")
    rates = _rates(depths, learning_rate, layer_decay, head_learning_rate)
    places = sorted(members, key=lambda place: _order(place, rows, depths))
    groups = [
        {"params": members[place], "name": _name(place, depths), "lr": rates[place.depth] * _ratio(place)}
        | {"weight_decay": place.weight_decay}
        | ({"depth": place.depth} if depths else {})
        | ({"pattern": place.pattern.text if place.pattern else None} if rows else {})
        for place in places
    ]
    if rows:
        groups[0]["patterns"] = settings_text(rows)
    return groups


def groups_table(model: nn.Module, groups: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of what trains: for each name of a group its parameters, peak rate and weight decay.

    Groups of one name and rate, which differ in their weight decay alone, are one row. What is frozen comes last.

    >>> model = nn.Linear(2, 1)
    >>> print(groups_table(model, parameter_groups(model, learning_rate=0.1, patterns={"bias": "freeze"})))
    group              parameters   learning rate   weight decay
    other parameters            2             0.1              0
    frozen                      1               -              -
    """
    rows: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for group in groups:
        rows.setdefault((group["name"], group["lr"]), []).append(group)
    lines = [("group", "parameters", "learning rate", "weight decay")]
    for (name, rate), each in rows.items():
        decays = sorted({group["weight_decay"] for group in each}, reverse=True)
        count = sum(_size(parameter) for group in each for parameter in group["params"])
        lines.append((name, f"{count:,}", f"{rate:.6g}", ", ".join(f"{decay:g}" for decay in decays)))
    frozen = sum(_size(parameter) for parameter in model.parameters() if not parameter.requires_grad)
    if frozen:
        lines.append(("frozen", f"{frozen:,}", "-", "-"))
    width = max(len(line[0]) for line in lines)
    return "\n".join(
        f"{name:<{width}}   {count:>10}   {rate:>13}   {decay:>12}" for name, count, rate, decay in lines
    )


def read_rates(layer_decay: object, head_learning_rate: object) -> tuple[float | None, float | None]:
    """Return both arguments as numbers, or None; raise `StrategyError` if one is out of its range."""
    decay = None if layer_decay is None else number("layer_decay", layer_decay)
    if decay is not None and not 0 < decay <= 1:
        raise StrategyError(f"layer_decay={layer_decay!r} is not in (0, 1]: give a factor such as 0.9")
    head = None if head_learning_rate is None else number("head_learning_rate", head_learning_rate)
    if head is not None and head <= 0:
        raise StrategyError(f"head_learning_rate={head_learning_rate!r} is not above 0: give a rate such as 1e-4")
    return decay, head


def _freeze(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.requires_grad_(False)


def _rates(depths: Depths | None, learning_rate: float, decay: float | None, head: float | None) -> dict[int, float]:
    """Return the rate of each depth, before patterns."""
    if depths is None:
        return {0: learning_rate}
    factor = 1.0 if decay is None else decay
    rates = {depth: learning_rate * factor ** (depths.layers - depth) for depth in range(depths.layers + 1)}
    return rates | {depths.layers + 1: learning_rate if head is None else head}


def _order(place: _Place, patterns: Sequence[Pattern], depths: Depths | None) -> tuple[int, bool, int, float]:
    of_pattern = patterns.index(place.pattern) + 1 if place.pattern else 0
    return of_pattern, depths is not None and place.depth > depths.layers, -place.depth, -place.weight_decay


def _name(place: _Place, depths: Depths | None) -> str:
    if depths is None:
        return place.pattern.text if place.pattern else "other parameters"
    depth = depths.name(place.depth)
    return f"{depth}, {place.pattern.text}" if place.pattern else depth


def _ratio(place: _Place) -> float:
    return place.pattern.lr_ratio if place.pattern else 1.0


def _weight_decay(pattern: Pattern | None, otherwise: float) -> float:
    return otherwise if pattern is None or pattern.weight_decay is None else pattern.weight_decay


def _size(parameter: nn.Parameter) -> int:
    """Return the number of a parameter's weights; ZeRO-3 leaves the parameter empty and notes it beside."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))
