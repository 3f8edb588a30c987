"""Formulas as MathML in the page, so that no script has to be loaded to see them."""

from html import escape

from docutils import nodes
from docutils.utils.math import MathError, wrap_math_code
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.logging import getLogger


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
        return tex2mathml(tex, as_block=as_block)
    except MathError as error:
        getLogger(__name__).warning("%s: %s", tex, error, location=node)
        return escape(tex)


def setup(app):
    """Register the renderer of formulas."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
