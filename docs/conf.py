"""How Sphinx builds the documentation: ``make docs``, with warnings as errors."""

import os
import tomllib
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

_project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "hf_strategies"
author = "the authors of hf_strategies"
copyright = author  # noqa: A001 - the name that Sphinx reads
version = release = _project["version"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "jupyter_execute"]

# Pages are Markdown; headings are targets of links such as `stopping.md#criteria`.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# The notebooks run at every build, and a cell that fails fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_in_temp = True
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars and notes of libraries

# Single backticks of the docstrings are names, shown as code.
default_role = "literal"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autoclass_content = "both"

nitpicky = True
html_theme = "furo"
html_title = "hf_strategies"
