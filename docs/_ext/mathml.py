"""Formulas as MathML in the page, so that no script has to be loaded to see them.

Without a font for formulas, indices stand too high or too low, and not all systems have
one. So the site has the letters it needs of STIX Two Math, which ziamath contains.
"""

from html import escape
from importlib.resources import files
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError, wrap_math_code
from docutils.utils.math.latex2mathml import tex2mathml
from fontTools import subset
from sphinx.util.logging import getLogger

# Latin and Greek letters, punctuation, arrows and operators, italic letters of formulas
LETTERS = [
    *(range(0x20, 0x7F), range(0xA0, 0x100), range(0x370, 0x400), range(0x2000, 0x2070)),
    *(range(0x2190, 0x2300), range(0x1D434, 0x1D468), range(0x1D6E2, 0x1D71B)),
]


def visit_inline(translator, node):
    """Write a formula within a sentence."""
    translator.body.append(_as_mathml(node, node.astext(), as_block=False))
    raise nodes.SkipNode


def visit_block(translator, node):
    """Write a formula between paragraphs."""
    tex = wrap_math_code(node.astext(), as_block=True)
    start = translator.starttag(node, "div", CLASS="math")
    translator.body.append(f"{start}{_as_mathml(node, tex, as_block=True)}</div>\n")
    raise nodes.SkipNode


def _as_mathml(node, tex, as_block):
    # the only command of LaTeX in use that docutils lacks
    tex = tex.replace(r"\dots", r"\ldots")
    try:
        formula = tex2mathml(tex, as_block=as_block)
    except MathError as error:
        getLogger(__name__).warning("%s: %s", tex, error, location=node)
        return escape(tex)
    # the bar of a norm that has an exponent does not stretch, so the other does not either
    return formula.replace("<mo>‖</mo>", '<mo stretchy="false">‖</mo>')


def write_font(app, exception):
    """Write the font of the formulas, with their letters only."""
    if exception or app.builder.format != "html":
        return
    options = subset.Options(flavor="woff")
    font = subset.load_font(
        str(files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"), options
    )
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[code for letters in LETTERS for code in letters])
    subsetter.subset(font)
    out = Path(app.outdir, "_static", "math.woff")
    subset.save_font(font, str(out), options)


def setup(app):
    """Register the renderer of formulas, and their font."""
    app.connect("build-finished", write_font)
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
