"""Formulas as MathML in the page, so that no script has to be loaded to see them."""

from docutils import nodes
from docutils.utils.math import pick_math_environment
from docutils.utils.math.latex2mathml import tex2mathml


def visit_inline(translator, node):
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def visit_block(translator, node):
    tex = node.astext()
    environment = pick_math_environment(tex)
    tex = rf"\begin{{{environment}}}{tex}\end{{{environment}}}"
    translator.body.append(
        f'{translator.starttag(node, "div", CLASS="math")}{tex2mathml(tex, True)}</div>\n'
    )
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
