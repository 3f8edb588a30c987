"""Why an organization refuses a request, in words that may cross to the label holder."""


class RequestRefused(ValueError):
    """Raised for a request that the organization does not answer."""


class NotPrepared(RuntimeError):
    """Raised if the training rows of a fit have not been received, or were released."""


class Refusal(RequestRefused):
    """Raised if a rule of the organization forbids a request.

    Parameters
    ----------
    detail : str
        A word that the label holder is told, such as the name of a limit.
    message : str
        Text for the log of the organization. It does not cross.
    """

    meaning = ""  # what the label holder is told

    def __init__(self, detail, message):
        super().__init__(message)
        self.detail = detail


class LimitExceeded(Refusal):
    """Raised if a request exceeds a limit or a daily budget of the organization."""

    meaning = "it refuses, because its limit {detail} does not allow this"


class ApprovalPending(Refusal):
    """Raised if the organization has not approved the fit yet.

    Parameters
    ----------
    fit_id : str
        The fit.
    is_news : bool
        Whether the label holder asks for the first time; it asks again and again.
    """

    meaning = "it must first approve the fit by `sklearn-gal approve {detail}`"

    def __init__(self, fit_id, is_news):
        super().__init__(fit_id, f"the fit {fit_id} waits for approval")
        self.is_news = is_news


class Revoked(Refusal):
    """Raised if the organization has revoked the rights of the label holder."""

    meaning = "it has revoked the rights of {detail}"


class NotPermitted(Refusal):
    """Raised if a label holder makes a call for which it has no right."""

    meaning = "it does not permit this label holder to {detail}"


class NotTheOwner(Refusal):
    """Raised if the fit belongs to another label holder."""

    meaning = "the fit {detail} belongs to another label holder"


class OtherSecret(Refusal):
    """Raised if the label holder has another secret than the organization."""

    meaning = (
        "it has another secret than this federation. Give all parties the same secret; a "
        "model fitted before then needs `model.federation = connect(kit)`"
    )


class OtherVersion(Refusal):
    """Raised if the label holder runs a release that the organization cannot answer."""

    meaning = (
        "it cannot work with this release, because it runs {detail}. Install the same "
        "release on both hosts"
    )


class FitChanged(Refusal):
    """Raised if the organization has changed since the fit began."""

    meaning = (
        "its {detail} changed since the fit began. It must restore what it had then, or "
        "the model must be fitted again"
    )


_REFUSALS = {
    kind.__name__: kind
    for kind in (
        LimitExceeded,
        ApprovalPending,
        Revoked,
        NotPermitted,
        NotTheOwner,
        OtherSecret,
        OtherVersion,
        FitChanged,
    )
}


def describe(error):
    """Return the fields of a reply to a request that could not be answered."""
    fields = {"type": type(error).__name__}
    if isinstance(error, Refusal):
        fields["detail"] = error.detail
    return fields


def meaning_of(reply):
    """Return why a request was refused, or None if it was not by a rule."""
    if reply.get("type") == "MessageError":
        return (
            "it cannot read the request, which is larger than its limit max_bytes, or of "
            "another release. Install the same release on both hosts"
        )
    kind = _REFUSALS.get(str(reply.get("type")))
    return kind and kind.meaning.format(detail=str(reply.get("detail"))[:120])
