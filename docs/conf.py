"""Sphinx's settings for the site. What is peculiar to it is in docs/_extensions."""

import importlib
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "docs" / "_extensions"), str(ROOT)]
# Tutorials run in processes that inherit these.
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "Agg", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

sys.path.append(str(ROOT / "examples"))
importlib.import_module("_quiet")
sys.path.pop()

project = "tfmdn"
author = copyright = "tfmdn developers"
version = release = importlib.import_module("tfmdn").__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    # Ours, of docs/_extensions.
    "gallery",
    "kernels",
    "links",
    "mathml",
    "notebooks",
    "pictures",
    "playground",
    "reference",
]
exclude_patterns = ["_extensions"]
suppress_warnings = ["config.cache", "myst.xref_missing"]

# Pages: Markdown that reads well on its own.
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

# Tutorials run whenever their page is made.
nb_execution_mode = "auto"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 180
nb_output_stderr = "remove"
nb_merge_streams = True

highlight_language = "none"
html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "tfmdn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False

# The reference. What is of tfmdn must be there; what annotations name of others has no page here.
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_mock_imports = ["skpro"]
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
autodoc_typehints_format = "short"
napoleon_custom_sections = ["Call arguments", "Input shape", "Output shape"]
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!tfmdn\.).*")]
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
