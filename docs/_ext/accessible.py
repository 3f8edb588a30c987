"""Mends what screen readers stumble over in the HTML of Sphinx and of the theme."""

# roles that docutils gives to elements that do not have what the roles ask for
ROLES = {
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    ' role="doc-biblioentry"': "",
}


def mend_body(app, page, template, context, document):
    """Leave out the roles of citations."""
    for wrong, right in ROLES.items():
        if "body" in context:
            context["body"] = context["body"].replace(wrong, right)


def setup(app):
    """Register the mending of each page."""
    app.connect("html-page-context", mend_body)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
