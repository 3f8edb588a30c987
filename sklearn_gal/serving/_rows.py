"""The rows of a request: JSON is checked, and becomes the table that a model takes."""

import json
import math
from typing import Any, NamedTuple

import numpy as np

from ._errors import RequestError

# Kinds of the values of a column
NUMBER, TEXT, ID = "number", "text", "id"
# At most this many names are listed in a message.
_MAX_NAMES = 10
_OPTIONS = {"predict": (), "interval": ("coverage",), "explain": ()}


class ParsedRows(NamedTuple):
    """The rows of a request.

    Parameters
    ----------
    values : list of list
        Values by row, in the order of the model's columns.
    kinds : tuple of str
        Kind of each column. Rows with the same kinds can be in one table.
    """

    values: list
    kinds: tuple


def parse_body(body, endpoint, columns, max_rows):
    """Return the rows and the options of a request.

    Parameters
    ----------
    body : bytes
        ``{"rows": [...]}``, and options of the endpoint.
    endpoint : str
        Its name.
    columns : Columns
        The columns of the model.
    max_rows : int
        Largest number of rows.

    Returns
    -------
    rows : ParsedRows
    options : dict

    Raises
    ------
    RequestError
        If the request is not what the endpoint takes.
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise RequestError(400, f"The request is not valid JSON: {reason}.") from error
    allowed = ["rows", *_OPTIONS[endpoint]]
    if not isinstance(request, dict) or "rows" not in request:
        raise RequestError(
            400, f'Send a JSON object with the field "rows"; got {_shown(request)}.'
        )
    unknown = sorted(set(request) - set(allowed))
    if unknown:
        raise RequestError(
            400, f"/{endpoint} does not know the fields {_listed(unknown)}, only {allowed}."
        )
    rows = request["rows"]
    if not isinstance(rows, list) or not rows:
        raise RequestError(
            400, f'"rows" must be a list with at least one row, got {_shown(rows)}.'
        )
    if len(rows) > max_rows:
        raise RequestError(
            413,
            f"The request has {len(rows)} rows, but at most {max_rows} are answered at "
            "once. Send several requests.",
        )
    options = {}
    if "coverage" in allowed:
        options["coverage"] = _coverage(request.get("coverage", 0.9))
    return columns.parse(rows), options


class Columns:
    """The columns of a model.

    Parameters
    ----------
    names : list of str or None
        Names of the columns; None if the model was fitted without names.
    number : int
        Number of columns.
    key : int, default=None
        Position of the column of row ids, if organizations on other hosts are asked by
        them.
    text_columns : list of str, default=None
        Names of the columns that hold texts, if all others are known to hold numbers.

    Raises
    ------
    ValueError
        If there is no column of a name in `text_columns`.
    """

    def __init__(self, names, number, key=None, text_columns=None):
        self.names = names
        self.number = number
        self.key = key
        self._known = frozenset(names or ())
        unknown = sorted(set(text_columns or ()) - self._known)
        if unknown:
            raise ValueError(
                f"text_columns has {unknown}, which are no columns of the model; "
                f"{self._expected()}."
            )
        self._kinds: list = [None] * number  # that are known
        if text_columns is not None and names is not None:
            self._kinds = [TEXT if name in text_columns else NUMBER for name in names]
        if key is not None:
            self._kinds[key] = ID

    def is_text(self, position):
        """Tell whether a column is known to hold texts or ids."""
        return self._kinds[position] in (TEXT, ID)

    def example(self):
        """Return a row of zeros and of empty texts."""
        kinds = tuple(kind or NUMBER for kind in self._kinds)
        return ParsedRows([[0.0 if kind == NUMBER else "" for kind in kinds]], kinds)

    def name_of(self, position):
        """Return the name of a column in messages."""
        return f"column {self.names[position]!r}" if self.names else f"column {position}"

    def parse(self, rows):
        """Return rows of JSON, checked, as `ParsedRows`."""
        values = [self._row(number, row) for number, row in enumerate(rows)]
        columns = zip(*values, strict=True)
        return ParsedRows(values, tuple(map(self._kind, range(self.number), columns)))

    def _row(self, number, row):
        """Return the values of a row in the order of the columns."""
        if isinstance(row, dict):
            return self._row_of_names(number, row)
        if not isinstance(row, list):
            if self.number != 1:
                raise RequestError(
                    400, f"Row {number} is {_shown(row)}; expected a list or an object."
                )
            row = [row]
        if len(row) != self.number:
            raise RequestError(
                400, f"Row {number} has {len(row)} values, but {self._expected()}."
            )
        return row

    def _row_of_names(self, number, row):
        if self.names is None:
            raise RequestError(
                400,
                f"Row {number} is an object, but the model was fitted without column "
                f"names. Send lists of {self.number} values.",
            )
        if row.keys() != self._known:
            missing = [name for name in self.names if name not in row]
            extra = [name for name in row if name not in self._known]
            problems = []
            if missing:
                problems.append(f"lacks the columns {_listed(missing)}")
            if extra:
                problems.append(f"has the unknown columns {_listed(extra)}")
            raise RequestError(
                400, f"Row {number} {' and '.join(problems)}; {self._expected()}."
            )
        return [row[name] for name in self.names]

    def _expected(self):
        if self.names is None:
            return f"the model takes {self.number} columns"
        return f"the model takes {self.number} columns, {_listed(self.names)}"

    def _kind(self, position, column):
        """Return the kind of a column; raise an error for values that cannot be used."""
        known = kind = self._kinds[position]
        for number, value in enumerate(column):
            found = self._kind_of(number, position, value)
            if known == ID or found is None:
                continue
            if known is not None and found != known:
                raise self._unusable(number, position, value, f"a {known}")
            if kind is not None and found != kind:
                raise RequestError(
                    400,
                    f"The values of {self.name_of(position)} are both numbers and texts, "
                    f"first in row {number}. Send either of them.",
                )
            kind = found
        return kind or NUMBER

    def _kind_of(self, number, position, value):
        """Return the kind of a value; None if it is missing."""
        if isinstance(value, str):
            return TEXT
        if isinstance(value, (int, float)):
            if position != self.key:
                self._check_number(number, position, value)
            return NUMBER
        if value is not None:
            expected = "a number, a text, true, false"
            raise self._unusable(number, position, value, expected)
        if position == self.key:
            raise RequestError(400, f"Row {number} lacks its id, {self.name_of(position)}.")
        return None

    def _unusable(self, number, position, value, expected):
        return RequestError(
            400,
            f"Row {number}, {self.name_of(position)}, is {_shown(value)}; expected "
            f"{expected}, or null where it is missing.",
        )

    def _check_number(self, number, position, value):
        try:
            is_usable = not math.isinf(value)
        except OverflowError:  # an int beyond floats
            is_usable = False
        if not is_usable:
            raise RequestError(
                400,
                f"Row {number}, {self.name_of(position)}, is infinite or too large for a "
                "float; expected a number, or null where it is missing.",
            )

    def table(self, rows):
        """Return the table of rows as the model takes it.

        Parameters
        ----------
        rows : ParsedRows
            The rows.

        Returns
        -------
        X : DataFrame or ndarray of shape (n_samples, n_columns)
            A dataframe if the model was fitted with column names. Numbers are floats, and
            NaN is missing; ids and texts are as they were sent.
        """
        if all(kind == NUMBER for kind in rows.kinds):
            values = np.array(rows.values, dtype=np.float64)
            return values if self.names is None else self._frame(values)
        columns = [
            _values_of(column, kind)
            for column, kind in zip(zip(*rows.values, strict=True), rows.kinds, strict=True)
        ]
        if self.names is not None:
            return self._frame(dict(enumerate(columns)), rows.kinds)
        if self.number == 1 and self.key == 0:
            return np.array(columns[0])[:, None]
        table = np.empty((len(rows.values), self.number), dtype=object)
        for position, column in enumerate(columns):
            table[:, position] = column
        return table

    def _frame(self, values, kinds=()):
        import pandas as pd

        frame = pd.DataFrame(values)
        if TEXT in kinds:
            # the type that pandas reads texts from a file as
            dtype = pd.Series(["text"]).dtype
            for position in np.flatnonzero([kind == TEXT for kind in kinds]):
                frame[position] = frame[position].astype(dtype)
        # columns are selected faster by objects than by the strings of pandas 3
        frame.columns = pd.Index(self.names, dtype=object)
        return frame


def _values_of(column, kind):
    """Return the values of a column: an array of floats or texts, or a list of ids."""
    if kind == NUMBER:
        return np.array(column, dtype=np.float64)
    if kind == ID:
        return list(column)
    return np.array([math.nan if text is None else text for text in column], dtype=object)


def _coverage(coverage):
    is_number = isinstance(coverage, (int, float)) and not isinstance(coverage, bool)
    if not is_number or not 0 < coverage < 1:
        raise RequestError(
            400, f'"coverage" must be a number between 0 and 1, got {_shown(coverage)}.'
        )
    return float(coverage)


def _shown(value: Any):
    """Return a short description of a value of JSON."""
    if isinstance(value, (dict, list)):
        kind = "an object" if isinstance(value, dict) else "a list"
        return f"{kind} of length {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _listed(names):
    """Return names for a message, the first ones of many."""
    shown = ", ".join(repr(name)[:80] for name in names[:_MAX_NAMES])
    more = len(names) - _MAX_NAMES
    return f"[{shown}, and {more} more]" if more > 0 else f"[{shown}]"
