"""A short program for the model card that applies the trained model."""

import json

__all__ = ["usage"]

_BY_HAND = """import torch
from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained({where})
tokenizer = AutoTokenizer.from_pretrained({where})
"""

_QUESTION_ANSWERING = """question, context = "Who wrote it?", "Ada wrote it in 1843."
inputs = tokenizer(question, context, truncation="only_second", return_tensors="pt")
with torch.no_grad():
    output = model(**inputs)
start, end = int(output.start_logits.argmax()), int(output.end_logits.argmax())
print(tokenizer.decode(inputs["input_ids"][0, start : end + 1]))
"""

_MULTIPLE_CHOICE = """context, endings = "She opens the book and", ["reads.", "swims."]
inputs = tokenizer([context] * len(endings), endings, padding=True, return_tensors="pt")
with torch.no_grad():
    logits = model(**{name: values.unsqueeze(0) for name, values in inputs.items()}).logits
print(endings[int(logits.argmax())])
"""


_EXAMPLES = {"fill-mask": 'f"A {model.tokenizer.mask_token} text."'}


def usage(task: str, model: str, *, problem_type: str | None = None, pairs: bool = False) -> str:
    """Return a program that loads the model and applies it to an example.

    ``task`` is the tag of the task on the Hub, ``model`` where the model is found, ``problem_type`` that of its
    configuration. ``pairs`` tells whether the inputs are pairs of texts.

    >>> print(usage("text-classification", "runs/mood"), end="")
    from transformers import pipeline
    <BLANKLINE>
    model = pipeline("text-classification", "runs/mood")
    print(model("Your text."))
    """
    where = json.dumps(model)
    if task == "question-answering":
        return f"{_BY_HAND.format(auto='AutoModelForQuestionAnswering', where=where)}\n{_QUESTION_ANSWERING}"
    if task == "multiple-choice":
        return f"{_BY_HAND.format(auto='AutoModelForMultipleChoice', where=where)}\n{_MULTIPLE_CHOICE}"
    example = '{"text": "One text.", "text_pair": "Another one."}' if pairs else _EXAMPLES.get(task, '"Your text."')
    loaded = f'model = pipeline("{task}", {where}{_options(task, problem_type)})'
    return f"from transformers import pipeline\n\n{loaded}\nprint(model({example}))\n"


def _options(task: str, problem_type: str | None) -> str:
    """Return further arguments of the pipeline, which begin with a comma."""
    if task == "token-classification":
        return ', aggregation_strategy="simple"'
    if problem_type == "multi_label_classification":
        return ", top_k=None"
    return ', function_to_apply="none"' if problem_type == "regression" else ""
