"""How the site is built: `make docs`. Its pages are the markdown files of this folder.

They stand on a code host as they are, so links are those of files. What lies outside this folder
comes to the site in one of two ways: the pages of `STAND_INS` show a file of the repository, and
any other file that a page links to is copied for download.
"""

import re
from importlib.metadata import version as version_of
from os.path import relpath
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

project = "allmlp"
author = copyright = "The allmlp developers"
release = version = version_of("allmlp")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/pictures"]
myst_heading_anchors = 3  # page.md#a-heading, as on a code host
smartquotes_action = "D"  # dashes; quotes and dots stand as they are written

html_theme = "furo"
html_title = f"allmlp {release}"
html_copy_source = False
html_static_path = ["style"]
html_css_files = ["site.css"]
pygments_style = "tango"
pygments_dark_style = "monokai"

# torch's and scikit-learn's own methods, which say nothing about ours
FOREIGN = ["extra_repr", "get_metadata_routing"] + [
    f"set_{method}_request" for method in ("fit", "partial_fit", "predict", "score", "transform")
]
autodoc_default_options = {"exclude-members": ", ".join(FOREIGN)}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
default_role = "code"  # docstrings write `code` as markdown does
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape"]
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the signature of a dataclass has the types

ROOT = Path(__file__).parents[1]
# page of the site -> file of the repository that it shows
STAND_INS = {
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "measurements": "benchmarks/README.md",
}
# what pages link to outside this folder -> page of the site
ELSEWHERE = {ROOT / file: page for page, file in STAND_INS.items()} | {
    ROOT / "README.md": "index",
    ROOT / "recipes": "recipes",
}


def lead_inside(app: Sphinx, page: str, source: list[str]) -> None:
    """Shows the file that a page stands for, and turns links out of the folder to pages of it."""
    here = (app.srcdir / page).parent
    file = ROOT / STAND_INS[page] if page in STAND_INS else here / "page"
    text = file.read_text(encoding="utf-8") if page in STAND_INS else source[0]

    def led(link: re.Match[str]) -> str:
        target = (file.parent / link["file"]).resolve()
        if target in ELSEWHERE:
            target = app.srcdir / f"{ELSEWHERE[target]}.md"
        return f"]({relpath(target, here)}{link['anchor'] or ''})"

    source[0] = re.sub(r"\]\((?!\w+:)(?P<file>[^)#\s]+)(?P<anchor>#[^)]*)?\)", led, text)


def keep_forward(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> Any:
    """`forward` is described at its class, but its signature shows the shapes."""
    return False if name == "forward" else None


def mend(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with `code`: nothing else in them is docutils' markup."""
    if name.endswith(".forward") and lines and lines[0].startswith("Define the computation"):
        lines.clear()  # inherited from torch
    text = "\n".join(lines)
    if what == "module":  # one paragraph each for paper, reference, differences, axes
        text = re.sub(r"\n +(?=\S)", "\n", text)
        text = re.sub(r"\n(?=(?:Papers?|Reference|DIFF|Axes):)", "\n\n", text)
    paragraphs = text.split("\n\n")
    for i, paragraph in enumerate(paragraphs):
        literal = i and paragraphs[i - 1].endswith("::")
        if not literal and not paragraph.lstrip().startswith(">>>"):
            parts = re.split(r"(`[^`]*`)", paragraph)
            parts[::2] = [re.sub(r"[*|]|\b_(?=\W|$)", r"\\\g<0>", part) for part in parts[::2]]
            # "in_features: i." names an axis and begins no list
            item = r"^(\s*(?:\w+: )?\(?[a-z])([.)])(?=\s|$)"
            paragraphs[i] = re.sub(item, r"\1\\\2", "".join(parts), flags=re.MULTILINE)
    lines[:] = "\n\n".join(paragraphs).split("\n")


def setup(app: Sphinx) -> None:
    """Joins the above to Sphinx."""
    app.connect("source-read", lead_inside)
    app.connect("autodoc-skip-member", keep_forward)
    app.connect("autodoc-process-docstring", mend, priority=400)  # before napoleon
