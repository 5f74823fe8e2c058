"""Settings of the documentation site, built by `nox -s docs`."""

import re

from sphinx.application import Sphinx

project = "Evidential image quality assessment"
author = "The evidential IQA authors"
copyright = f"{author}, Apache-2.0"  # noqa: A001, the name that Sphinx reads

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = project
html_copy_source = False

# A single-quoted `name` in a docstring links to what it names, where that is documented here.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape"]

# A name of one of the packages that leads nowhere is an error; other projects' names are not looked up.
nitpick_ignore_regex = [
    ("py:class", r".*\.(AnyBatch|Item)"),  # type variables
    ("py:.*", r"(?!(evidential_nig|iqa_datasets|clip_iqa_backbone|map_score_fusion|defnet)(\.|$)).*"),
]


def write_as_rst(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:  # noqa: ARG001
    r"""Turn what the docstrings write more simply into reStructuredText.

    `code` that is no name becomes a literal, and the bars of \|y − δ\| are bars and not a substitution.
    """
    for number, line in enumerate(lines):
        if line.lstrip().startswith((">>>", "...")):
            continue
        line = re.sub(r"(?<![`:\w])`(?![\w.~]+`)([^`]+)`(?!`)", lambda code: f"``{code[1].strip()}``", line)
        lines[number] = line if "``" in line else line.replace("|", r"\|")


def skip_tuple_fields(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:  # noqa: ARG001
    """Leave out the fields of named tuples, which the docstring of the class describes."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def skip_metadata_requests(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:  # noqa: ARG001
    """Leave out what scikit-learn gives every estimator for the routing of metadata, and documents itself."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app: Sphinx) -> None:
    """Connect what the settings cannot say."""
    app.connect("autodoc-process-docstring", write_as_rst, priority=900)
    app.connect("autodoc-skip-member", skip_tuple_fields)
    app.connect("autodoc-skip-member", skip_metadata_requests)
