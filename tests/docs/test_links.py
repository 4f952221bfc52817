"""Links and images of README and docs lead to what is there, and the pages of the docs are all in its tables."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import CHECKOUT, PAGES, links, name_of

LINKS = [(page, link) for page in PAGES for link in links(page) if "://" not in link]


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings, as links write them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda each: name_of(each) if isinstance(each, Path) else each)
def test_a_link_within_the_checkout_leads_somewhere(page: Path, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    assert not anchor or anchor in anchors(target)


def test_every_page_and_notebook_is_in_a_table_of_contents() -> None:
    named = set()
    for page in PAGES[1:]:
        for table in re.findall(
            r"^```{toctree}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            names = [line for line in table.splitlines() if line and not line.startswith(":")]
            named |= {(page.parent / name).relative_to(CHECKOUT / "docs").as_posix() for name in names}
    files = [*PAGES[1:], *(CHECKOUT / "docs" / "notebooks").glob("*.ipynb")]
    assert named == {file.relative_to(CHECKOUT / "docs").with_suffix("").as_posix() for file in files} - {"index"}


def test_every_public_name_is_in_the_reference() -> None:
    import hf_strategies

    text = (CHECKOUT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\.\. auto\w+:: (\w+)$", text, re.MULTILINE))
    assert listed == set(hf_strategies.__all__) - {"SCHEDULES"}
