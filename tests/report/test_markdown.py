"""Texts of a run in Markdown, as a reader that knows Markdown takes them."""

import pytest

from hf_strategies.report.markdown import inline, without_html

markdown_it = pytest.importorskip("markdown_it")  # rich brings it

TEXTS = [
    "<script>x</script>",
    "![x](http://a.b)",
    "`a` *b* [c](d)",
    "<img src=x onerror=y>",
    "a\x1b[2J",
    "</div><!-- x",
]


def rendered(text: str) -> str:
    return str(markdown_it.MarkdownIt("commonmark", {"html": True}).render(text))


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_on_a_line_makes_no_element(text: str) -> None:
    made = rendered(f"- {inline(text)}")
    assert made.replace("<ul>\n<li>", "").replace("</li>\n</ul>\n", "").count("<") == 0


@pytest.mark.parametrize(
    "text", ["<script>x</script>", "<img src=x onerror=y>", "</div>", "<?php", "<a href='b'>c</a>"]
)
def test_a_card_has_no_tag_of_a_name_in_it(text: str) -> None:
    made = rendered(without_html(f"# {text}\n\nresult: {text}\n"))
    assert not [tag for tag in ("<script", "<img", "</div", "<?php", "<a ") if tag in made]


def test_code_comments_and_the_badge_of_trl_stay() -> None:
    badge = '[<img src="https://raw.githubusercontent.com/wandb/assets/x.svg" alt="W&B"/>](https://wandb.ai)'
    card = f"<!-- made by x -->\n`<mask>`\n```python\nfill('<mask>')\n```\n{badge}"
    assert without_html(card) == card
    assert without_html(f"{badge} <script>") == f"{badge} &lt;script>"
