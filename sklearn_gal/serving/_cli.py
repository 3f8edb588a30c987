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

    def add_option(name, default, kind, about):
        about = f"{about}; default {default}"
        sub.add_argument(f"--{name}", default=default, type=kind, help=about)

    add_option("host", "127.0.0.1", str, "address to listen on")
    add_option("port", 8000, int, "port to listen on, or 0 for one that is free")
    sub.add_argument(
        "--text-columns",
        nargs="*",
        metavar="NAME",
        help="columns of texts; others: numbers",
    )
    add_option("max-rows", 1000, int, "largest number of rows of a request")
    add_option("max-bytes", 4 * 2**20, int, "largest number of bytes of a request")
    add_option("body-timeout", 10.0, float, "seconds in which a request must arrive")
    add_option("deadline", 5.0, float, "seconds for an answer of another host")


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
