"""A model card: what a fitted model is, how good it is, and what was disclosed for it."""

from pathlib import Path

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from ._card_sections import (
    add_certainty,
    add_data,
    add_disclosure,
    add_importances,
    add_partners,
    add_prediction,
    add_scores,
    add_settings,
    add_versions,
    add_worth,
    n_training_rows,
)
from ._common import check_model
from ._document import Document

_SUFFIXES = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html"}


def model_card(
    estimator,
    path=None,
    *,
    X=None,
    y=None,
    sample_weight=None,
    y_train=None,
    title=None,
    sections=None,
) -> str:
    """Describe a fitted model for people who decide about its use.

    The card tells what the model predicts, who has which columns, how good it is, what each
    organization and each column adds, and what was disclosed for it.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator of this package, also a federated one.
    path : path-like, default=None
        File to which the card is written, as Markdown (``.md``) or HTML (``.html``). None
        writes no file.
    X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features), \
            default=None
        Rows to which the model was not fitted, for scores.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Their target.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights in the scores.
    y_train : array-like of shape (n_training_samples,) or \
            (n_training_samples, n_outputs), default=None
        The target that was given to `fit`, for scores of the out-of-fold predictions. The
        estimator does not keep it.
    title : str, default=None
        Title of the card. None is the name of the class.
    sections : dict of str to str, default=None
        Further sections by their headings, such as ``"Intended use"`` or ``"Limits"``, as
        plain text. They are the first ones of the card.

    Returns
    -------
    card : str
        The card in the format of the file; Markdown without a file.

    Raises
    ------
    TypeError
        If `estimator` is not an estimator of this package.
    ValueError
        If only one of X and y is given, if lengths do not match, or if the suffix of the
        file is neither that of Markdown nor of HTML.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    See Also
    --------
    assistance_report : Compares with models alone and with joint models.

    Notes
    -----
    Names of columns, classes and organizations are written as text: markup in them has no
    effect. The importance of columns is explained with the training rows that the estimator
    keeps. The card of a federated estimator therefore asks the organizations, which reveal
    what their owners permit.

    References
    ----------
    M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_gal import GALRegressor
    >>> from sklearn_gal.inspection import model_card
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> organizations = [("clinic", None, [0, 1, 2, 3]), ("lab", None, slice(4, 10))]
    >>> model = GALRegressor(organizations, random_state=0).fit(X[:300], y[:300])
    >>> card = model_card(model, X=X[300:], y=y[300:], y_train=y[:300])
    >>> print(card.splitlines()[0])
    # Model card: GALRegressor
    """
    check_model(estimator)
    check_is_fitted(estimator)
    form: str | None = "markdown"
    if path is not None:
        form = _SUFFIXES.get(Path(path).suffix.lower())
        if form is None:
            raise ValueError(
                f"path must end with .md or .html, for a card in Markdown or HTML; got "
                f"{str(path)!r}."
            )
    if (X is None) != (y is None):
        raise ValueError("Pass X and y together: a score needs both.")
    check_consistent_length(X, y, sample_weight)
    if sample_weight is not None:
        sample_weight = np.asarray(sample_weight)
    _check_y_train(estimator, y_train)
    document = Document(title or f"Model card: {type(estimator).__name__}")
    for heading, text in (sections or {}).items():
        document.heading(heading)
        document.paragraph(text)
    add_prediction(document, estimator)
    add_data(document, estimator, X, y, y_train)
    contributions = estimator.feature_contributions()
    add_partners(document, estimator, contributions)
    add_settings(document, estimator)
    add_scores(document, estimator, X, y, sample_weight, y_train)
    add_certainty(document, estimator, X, y)
    add_worth(document, estimator, X, y, sample_weight)
    add_importances(document, contributions)
    add_disclosure(document, estimator)
    add_versions(document)
    card = document.to_html() if form == "html" else document.to_markdown()
    if path is not None:
        Path(path).write_text(card, encoding="utf-8")
    return card


def _check_y_train(estimator, y_train):
    """Raise an error if there is not a target for each out-of-fold prediction."""
    n_samples = n_training_rows(estimator)
    if y_train is None:
        return
    if n_samples is None:
        raise ValueError(
            "y_train is for out-of-fold predictions, which a fit without cross-fitting "
            "(cv=None) does not have. Leave it out, and pass X and y."
        )
    if len(y_train) != n_samples:
        raise ValueError(
            f"y_train must be the target that was given to fit, with {n_samples} rows; it "
            f"has {len(y_train)}."
        )
