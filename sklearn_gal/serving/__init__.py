"""A fitted model as an HTTP service, with JSON in and out."""

__all__ = ["make_app"]


def make_app(
    model,
    *,
    max_rows=1000,
    max_bytes=4 * 2**20,
    body_timeout=10.0,
    deadline=5.0,
    text_columns=None,
):
    """Make an ASGI application that answers with a fitted model.

    The endpoints are ``POST /predict``, ``POST /interval`` and ``POST /explain``, and ``GET
    /`` (a page with a form), ``/model``, ``/health`` and ``/metrics``. The command
    ``sklearn-gal serve`` runs the application with uvicorn.

    There is no authentication: every host that reaches the service can ask it. Put it
    behind a proxy that checks who asks.

    Parameters
    ----------
    model : estimator
        Fitted :class:`~sklearn_gal.GALRegressor` or :class:`~sklearn_gal.GALClassifier`, or
        a pipeline that ends in one of them; or a fitted estimator of
        :mod:`sklearn_gal.federated`.
    max_rows : int, default=1000
        Largest number of rows of a request.
    max_bytes : int, default=4194304
        Largest number of bytes of a request.
    body_timeout : float, default=10.0
        Seconds in which a request must arrive.
    deadline : float, default=5.0
        Seconds that an organization on another host has for each answer. It replaces
        `deadline` of the estimator, whose `grace_period` becomes 0.
    text_columns : list of str, default=None
        Names of the columns that hold texts. All others then hold numbers, other values are
        an error, and a row whose text is missing can be told from one whose number is
        missing. If None, the values of a request say what a column holds, and a column
        without values is one of numbers.

    Returns
    -------
    app : starlette.applications.Starlette
        The application.

    Raises
    ------
    TypeError
        If the model is not an estimator of this package.
    ValueError
        If a limit is not positive, or a name in `text_columns` is not one of a column.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_gal import GALRegressor
    >>> from sklearn_gal.serving import make_app
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> organizations = [("clinic", None, ["age", "bmi"]), ("laboratory", None, ["s5"])]
    >>> model = GALRegressor(organizations, max_iter=5, random_state=0).fit(X, y)
    >>> app = make_app(model)
    >>> [route.path for route in app.routes]
    ['/predict', '/interval', '/explain', '/', '/model', '/health', '/metrics']
    """
    from ._app import Limits, application
    from ._model import ServedModel

    served = ServedModel(model, deadline, text_columns)
    return application(served, Limits(max_rows, max_bytes, body_timeout))
