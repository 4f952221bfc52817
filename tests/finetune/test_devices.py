"""Which precision is chosen: what was asked for, else what the machine is good at."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hf_strategies import StrategyError
from hf_strategies.finetune import devices
from hf_strategies.finetune.devices import choose_precision, warn_of_slow_bf16
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET

ENVIRONMENT = "ACCELERATE_MIXED_PRECISION"


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)


def machine(monkeypatch: pytest.MonkeyPatch, *, gpu: bool, bf16: bool, tf32: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(devices, "is_torch_bf16_gpu_available", lambda: bf16)
    monkeypatch.setattr(devices, "is_torch_tf32_available", lambda: tf32)


def chosen(bf16: bool | None = None, **given: Any) -> Any:
    args: Any = SimpleNamespace(**({"bf16": bf16, "fp16": False, "tf32": None, "use_cpu": False} | given))
    choose_precision(args, bf16_is_unset=bf16 is None)
    return args


def test_a_gpu_that_has_bf16_and_tf32_uses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpu=True, bf16=True, tf32=True)
    assert (chosen().bf16, chosen().tf32) == (True, True)


@pytest.mark.parametrize(
    ("gpu", "bf16", "flags"),
    [(False, False, {}), (True, False, {}), (False, True, {}), (True, True, {"use_cpu": True})],
)
def test_a_cpu_and_a_gpu_without_bf16_stay_at_fp32(
    gpu: bool, bf16: bool, flags: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, gpu=gpu, bf16=bf16, tf32=bool(flags))
    assert (chosen(**flags).bf16, chosen(**flags).tf32) == (False, None)


@pytest.mark.parametrize(("bf16", "gpu"), [(True, False), (True, True), (False, True)])
def test_what_was_asked_for_wins(bf16: bool, gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpu=gpu, bf16=gpu, tf32=gpu)
    assert chosen(bf16=bf16).bf16 is bf16
    assert chosen(tf32=False).tf32 is False


def test_fp16_wins_over_what_the_gpu_has(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    machine(monkeypatch, gpu=True, bf16=True, tf32=True)
    monkeypatch.setenv(ENVIRONMENT, "no")
    assert chosen(fp16=True).bf16 is False
    assert not caplog.text


@pytest.mark.parametrize("said", ["no", "fp16", "bf16"])
def test_what_accelerate_says_wins(
    said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine(monkeypatch, gpu=True, bf16=True, tf32=True)
    monkeypatch.setenv(ENVIRONMENT, said)
    assert chosen().bf16 is False  # so that TrainingArguments looks at what Accelerate says
    assert ("add --mixed_precision bf16" in caplog.text) is (said == "no")


def test_bf16_asked_for_on_a_processor_without_it_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for has_it, asked, rank in ((False, "bf16", 0), (True, "bf16", 0), (False, "no", 0), (False, "bf16", 1)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has_it=has_it: has_it)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        monkeypatch.setenv("RANK", str(rank))
        args: Any = SimpleNamespace(device=torch.device("cpu"), mixed_precision=asked)
        warn_of_slow_bf16(args)
    assert caplog.text.count("about 10 times slower than fp32") == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("eagr", r"attn_implementation='eagr': did you mean 'eager'\?"),
        ("flash", r"attn_implementation='flash': known: 'eager', 'flash_attention_2', .*, 'sdpa'"),
    ],
)
def test_an_unknown_attention_is_told_before_data_is_loaded(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(text_classification, "load_classification")
    with pytest.raises(StrategyError, match=words) as raised:
        text_classification.main([*QUIET, "--attn_implementation", name])
    assert "\n" not in str(raised.value)
