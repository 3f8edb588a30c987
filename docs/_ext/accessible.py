"""Mends what screen readers stumble over in the HTML of Sphinx and of the theme."""

# roles that docutils gives to elements that do not have what the roles ask for
ROLES = {
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    ' role="doc-biblioentry"': "",
}


def mend_page(app, page, template, context, document):
    """Leave out the roles of citations, and name what opens a section of the sidebar."""
    for wrong, right in ROLES.items():
        if "body" in context:
            context["body"] = context["body"].replace(wrong, right)
    sidebar = context["generate_toctree_html"]

    def with_names(*args, **kwargs):
        named = '<summary aria-label="Pages of this section">'
        return str(sidebar(*args, **kwargs)).replace("<summary>", named)

    context["generate_toctree_html"] = with_names


def setup(app):
    """Register the mending of each page, after the theme has added its functions."""
    app.connect("html-page-context", mend_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
