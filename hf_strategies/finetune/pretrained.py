"""Where a pretrained model comes from, and the error when a part of it cannot be loaded."""

from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.arguments import ModelArguments

__all__ = ["cannot_load", "source"]


def source(args: ModelArguments) -> dict[str, Any]:
    """Return the options of ``from_pretrained`` that each part of a model is loaded with."""
    return {"revision": args.model_revision, "trust_remote_code": args.trust_remote_code}


def cannot_load(flag: str, name: str | None, mistake: Exception, needed: str) -> StrategyError:
    """Return the error, in one line, for a model whose ``needed`` files cannot be loaded because of ``mistake``."""
    reason = (str(mistake).strip() or type(mistake).__name__).splitlines()[0]
    hub = "" if flag == "resume_from_checkpoint" else "the name of a model on the Hub, or "
    return StrategyError(f"{flag}={name!r} cannot be loaded: {reason} Give {hub}a folder with {needed}")
