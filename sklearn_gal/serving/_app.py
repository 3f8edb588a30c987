"""The ASGI application: endpoints, limits and errors."""

import asyncio
import json
import logging
import time
from contextlib import asynccontextmanager
from importlib.resources import files
from numbers import Integral, Real
from typing import NamedTuple

from sklearn.utils import check_scalar
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from ._batches import Batches
from ._errors import RequestError
from ._metrics import Metrics
from ._rows import parse_body

log = logging.getLogger("sklearn_gal.serving")

# Requests of more bytes, and answers about more rows, are read and written by another
# thread, so that the others do not wait.
_READ_HERE_BYTES, _WRITE_HERE_ROWS = 2**16, 50
# Number of full requests that may wait.
_MAX_WAITING_REQUESTS = 20
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Limits(NamedTuple):
    """The limits of a request.

    Parameters
    ----------
    max_rows : int
        Largest number of rows.
    max_bytes : int
        Largest number of bytes.
    body_timeout : float
        Seconds in which it must arrive.
    """

    max_rows: int
    max_bytes: int
    body_timeout: float

    def check(self):
        """Raise an error unless all limits are positive."""
        check_scalar(self.max_rows, "max_rows", Integral, min_val=1)
        check_scalar(self.max_bytes, "max_bytes", Integral, min_val=1)
        check_scalar(
            self.body_timeout, "body_timeout", Real, min_val=0, include_boundaries="neither"
        )


def application(served, limits):
    """Make the application.

    Parameters
    ----------
    served : ServedModel
        The model.
    limits : Limits
        The limits of a request.
    """
    limits.check()
    service = Service(served, limits)

    @asynccontextmanager
    async def lifespan(app):
        served.warm_up()
        yield
        service.batches.close()

    routes = service.routes()
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _routing_error, Exception: _fault},
    )
    app.router.redirect_slashes = False  # a path with a slash at its end is another one
    paths = {route.path for route in routes}
    app.add_middleware(Counted, metrics=service.metrics, paths=paths)
    return app


class Service:
    """The endpoints.

    Parameters
    ----------
    served : ServedModel
        The model.
    limits : Limits
        The limits of a request.
    """

    def __init__(self, served, limits):
        self.served = served
        self.limits = limits
        self.metrics = Metrics()
        max_waiting = _MAX_WAITING_REQUESTS * limits.max_rows
        self.batches = Batches(served.answer, limits.max_rows, max_waiting)
        self._page = files(__package__).joinpath("page.html").read_text()

    def routes(self):
        """Return the routes of all endpoints."""
        questions = [
            Route(f"/{name}", self._endpoint(name), methods=["POST"], name=name)
            for name in ("predict", "interval", "explain")
        ]
        pages = {
            "/": self.page,
            "/model": self.describe,
            "/health": self.health,
            "/metrics": self.show_metrics,
        }
        return questions + [Route(path, page) for path, page in pages.items()]

    def _endpoint(self, name):
        async def endpoint(request):
            try:
                return await self._answer(name, request)
            except RequestError as error:
                return _error(error.status, error.message)
            except ClientDisconnect:
                return _error(400, "The client left before it had sent its request.")
            except (ValueError, TypeError) as error:
                log.info("/%s refused rows", name, exc_info=error)
                return _error(400, f"The model cannot use these rows: {error}")
            except Exception as error:
                log.exception("/%s failed", name)
                return _error(500, f"The model failed with {type(error).__name__}.")

        return endpoint

    async def _answer(self, name, request):
        self.served.check_has(name)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # browsers send others from any page
            raise RequestError(
                415, f"Send Content-Type: application/json, not {kind or 'nothing'}."
            )
        body = await read_body(request, self.limits)
        settings = name, self.served.columns, self.limits.max_rows
        if len(body) <= _READ_HERE_BYTES:
            rows, options = parse_body(body, *settings)
        else:
            rows, options = await asyncio.to_thread(parse_body, body, *settings)
        answer = await self.batches((name, options.get("coverage")), rows)
        self.metrics.count_rows(f"/{name}", len(rows.values))
        self.metrics.count_absent(answer.shared.get("absent", ()))
        if len(rows.values) <= _WRITE_HERE_ROWS:
            return _json(answer.as_json())
        return await asyncio.to_thread(lambda: _json(answer.as_json()))

    async def page(self, request):
        """Show the page with a form."""
        return HTMLResponse(self._page, headers=_HEADERS)

    async def describe(self, request):
        """Tell what a client may want to know of the model."""
        return _json(self.served.describe())

    async def health(self, request):
        """Tell that the service answers."""
        return _json({"status": "ok"})

    async def show_metrics(self, request):
        """Show the counts in Prometheus' text format."""
        return PlainTextResponse(
            self.metrics.text(), media_type="text/plain; version=0.0.4"
        )


class Counted:
    """Counts the requests of an application, and the seconds that they take.

    Parameters
    ----------
    app : ASGI application
        The application.
    metrics : Metrics
        Where they are counted.
    paths : set of str
        Paths of the endpoints. Requests to others are counted together.
    """

    def __init__(self, app, metrics, paths):
        self._app = app
        self._metrics = metrics
        self._paths = paths

    async def __call__(self, scope, receive, send):
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, statuses = time.perf_counter(), []

        async def send_and_note(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            endpoint = scope["path"] if scope["path"] in self._paths else "other"
            status = statuses[0] if statuses else 500
            self._metrics.count(endpoint, status, time.perf_counter() - begin)


async def read_body(request, limits):
    """Read the body of a request.

    Raises
    ------
    RequestError
        If it has too many bytes, or does not arrive in time.
    """
    too_large = RequestError(
        413,
        f"The request has more than {limits.max_bytes} bytes. Send fewer rows at once.",
    )
    if int(request.headers.get("content-length", 0)) > limits.max_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_bytes:
                    raise too_large
    except TimeoutError:
        raise RequestError(
            408, f"The request did not arrive within {limits.body_timeout:g} seconds."
        ) from None
    return bytes(body)


def _json(content, status=200, headers=None):
    body = json.dumps(content, allow_nan=False).encode()
    return Response(body, status, headers, media_type="application/json")


def _error(status, message):
    # the rest of a body that was not read is not waited for
    headers = {"Connection": "close"} if status in (408, 413, 415, 501) else None
    if status == 503:
        headers = {"Retry-After": "1"}
    return _json({"error": message}, status, headers)


async def _routing_error(request, error):
    """Answer to an unknown path or a wrong method."""
    path, method = request.url.path, request.method
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"{path} does not answer to {method}. Use {allowed}."
    else:
        message = (
            f"There is no {path}. GET / shows a page with a form, GET /model the model."
        )
    response = _error(error.status_code, message)
    response.headers.update(error.headers or {})
    return response


async def _fault(request, error):
    """Answer to a request that fails for a reason of the service; the server logs it."""
    return _error(500, f"The service failed with {type(error).__name__}.")
