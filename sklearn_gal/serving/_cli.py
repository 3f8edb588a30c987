"""The command `sklearn-gal serve`."""

import importlib.util

from . import make_app

_NEEDED = ("pandas", "skops", "starlette", "uvicorn")


def add_serve_command(add_command):
    """Add `serve` to the command line.

    Parameters
    ----------
    add_command : callable
        ``add_command(name, run, about)`` returns the parser of a new command, which calls
        ``run(options)``.
    """
    sub = add_command("serve", _serve, "answer with a fitted model over HTTP")
    sub.add_argument("--model", required=True, help="file that skops or joblib has written")
    sub.add_argument("--trust", action="store_true", help="trust the types in the file")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on; loopback")
    sub.add_argument("--port", type=int, default=8000, help="port to listen on; 0: any")
    sub.add_argument(
        "--text-columns",
        nargs="*",
        metavar="NAME",
        help="columns of texts; others: numbers",
    )
    sub.add_argument("--max-rows", type=int, default=1000, help="rows of a request")
    sub.add_argument("--max-bytes", type=int, default=4 * 2**20, help="bytes of a request")
    sub.add_argument(
        "--body-timeout", type=float, default=10.0, help="seconds for a request to arrive"
    )
    sub.add_argument(
        "--deadline",
        type=float,
        default=5.0,
        help="seconds for an answer of an organization on another host",
    )


def _serve(options):
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"`sklearn-gal serve` needs {', '.join(missing)}. Install the extra: "
            'python -m pip install "sklearn_gal[serve]"'
        )
    from ._server import load_model, run

    model = load_model(options.model, options.trust)
    try:
        app = make_app(
            model,
            max_rows=options.max_rows,
            max_bytes=options.max_bytes,
            body_timeout=options.body_timeout,
            deadline=options.deadline,
            text_columns=options.text_columns,
        )
    except TypeError as error:
        raise ValueError(f"{options.model} cannot be served: {error}") from error
    run(app, options.host, options.port)
