"""The calls that an organization answers, and the form that their fields must have."""

import re

import numpy as np

from ._keys import DIGEST_SIZE
from ._refusals import RequestRefused

_FIT_ID = re.compile(r"[0-9a-f]{32}")


class Field:
    """Type and shape that a field of a request must have.

    Parameters
    ----------
    dtype : type
        Type of the scalar, or dtype of the array; of floats, float32 is allowed as well.
    ndim : int
        Number of dimensions of the array, 0 for a scalar.
    required : bool
        Whether the call needs the field.
    """

    def __init__(self, dtype, ndim=0, required=True):
        self.dtype, self.ndim, self.required = dtype, ndim, required

    def takes(self, value):
        """Whether a value has this type; arrays of floats must be finite."""
        if self.ndim == 0:
            return type(value) is self.dtype
        if self.dtype is np.float64:
            return value.dtype in (np.float64, np.float32) and np.isfinite(value).all()
        return value.dtype == self.dtype


# With them a call proves that it comes from a party that the organization can work with.
_HANDSHAKE = {"check": Field(str), "versions": Field(str)}

# Functions, and the rows that provide the columns that are not known.
_FUNCTIONS = {
    "background": Field(np.uint8, 2),  # row ids
    "for_trees": Field(bool),
    "abstain": Field(bool),
    "functions": Field(np.int64, 1),  # numbers
    "bounds": Field(np.uint8, 1, required=False),  # a code for each function
    "bound_values": Field(np.float64, 3, required=False),
}

# The contract: all calls that an organization answers, with their fields.
CALLS = {
    "prepare": {
        "fit_id": Field(str),
        **_HANDSHAKE,
        "row_ids": Field(np.uint8, 2),
        "abstain": Field(bool),
        "n_outputs": Field(int, required=False),
        "sample_weight": Field(np.float64, 1, required=False),
    },
    "fit_round": {
        "fit_id": Field(str),
        "number": Field(int),
        "seed": Field(int),
        "folds": Field(np.uint8, 1, required=False),  # number of the fold plus one, or 0
        "residual": Field(np.float64, 3),
    },
    "predict": {
        "fit_id": Field(str),
        **_HANDSHAKE,
        "row_ids": Field(np.uint8, 2),
        "numbers": Field(np.int64, 1),  # of the models of a sum, or of single ones
        "coefficients": Field(np.float64, 1, required=False),  # of the sum
        "chains": Field(np.int64, 1, required=False),  # numbers: each chain of a model
        "means": Field(np.int64, 1, required=False),  # numbers: the mean of the chains
        "signs": Field(np.int64, 1, required=False),  # numbers: whether above thresholds
        "thresholds": Field(np.float64, 3, required=False),
        "abstain": Field(bool),
    },
    "expect": {"fit_id": Field(str), **_HANDSHAKE, **_FUNCTIONS},
    "explain": {
        "fit_id": Field(str),
        **_HANDSHAKE,
        **_FUNCTIONS,
        "row_ids": Field(np.uint8, 2),
        "numbers": Field(np.int64, 1),  # of the models of a sum
        "coefficients": Field(np.float64, 1, required=False),  # of the sum
        "factors": Field(np.float64, 4),  # what multiplies the functions
    },
    "release": {"fit_id": Field(str), "n_requests": Field(int)},
    "forget": {"fit_id": Field(str), **_HANDSHAKE},
}


# Fields with row ids.
IDS = {"row_ids", "background"}
# Largest number of folds that `encode_folds` can encode.
MOST_FOLDS = 255


def encode_folds(numbers):
    """Return fold numbers as bytes, one per row; `NO_FOLD` is 0."""
    if numbers.max() >= MOST_FOLDS:
        raise ValueError(
            f"cv gives {numbers.max() + 1} folds, but between hosts there can be at most "
            f"{MOST_FOLDS}. Use fewer folds."
        )
    return (numbers + 1).astype(np.uint8)


def decode_folds(encoded):
    """Return the fold numbers that `encode_folds` has encoded."""
    return encoded.astype(np.intp) - 1


def needs_handshake(call):
    """Whether a call has to prove the secret and to name its releases."""
    return _HANDSHAKE.keys() <= CALLS[call].keys()


def is_fit_id(text):
    """Whether a text is the name of a fit."""
    return _FIT_ID.fullmatch(text) is not None


def check_header(call, scalars, shapes, limits):
    """Refuse a request by its call, its scalars and the shapes of its arrays.

    Parameters
    ----------
    call : str
        Name of the call.
    scalars : dict
        The scalars of the request.
    shapes : dict of str to tuple
        The shapes of its arrays, which have not been read yet.
    limits : Limits
        What the organization answers at most.
    """
    if call not in CALLS:
        raise RequestRefused(f"there is no call {call[:40]!r}")
    known, given = CALLS[call], scalars.keys() | shapes.keys()
    needed = {key for key, field in known.items() if field.required}
    if not needed <= given <= known.keys():
        raise RequestRefused(f"{call} takes {sorted(known)}, got {sorted(given)}")
    for key, field in known.items():
        wrong = (
            (key in scalars and not (field.ndim == 0 and field.takes(scalars[key])))
            or (key in shapes and len(shapes[key]) != field.ndim)
            or (key in shapes and field.ndim == 0)
        )
        if wrong:
            raise RequestRefused(f"{key} of {call} has the wrong type or shape")
    if not is_fit_id(scalars["fit_id"]):
        raise RequestRefused("fit_id must have 32 hexadecimal digits")
    if not 0 <= scalars.get("seed", 0) < 2**63:
        raise RequestRefused("seed must be between 0 and 2**63 - 1")
    for key in ("number", "n_requests", "n_outputs"):
        if scalars.get(key, 0) < 0:
            raise RequestRefused(f"{key} must not be negative")
    limits.check("max_rounds", scalars.get("number", -1) + 1, "number of the request")
    limits.check("max_rounds_predicted", n_models(shapes), "models asked for")
    limits.check("max_rows", n_ids(shapes), "rows asked for")
    for key in IDS:
        if key in shapes and shapes[key][1] != DIGEST_SIZE:
            raise RequestRefused(f"{key} has the wrong shape {shapes[key]}")
    for key in {"residual", "factors"} & shapes.keys():
        n_chains, n_rows, n_outputs = shape = shapes[key][-3:]
        if 0 in shape:
            raise RequestRefused(f"{key} has the wrong shape {shapes[key]}")
        limits.check("max_rows", n_rows, f"rows of {key}")
        limits.check("max_folds", n_chains, "folds")
        limits.check("max_outputs", n_chains * n_outputs, f"values per row of {key}")


def check_values(call, fields):
    """Refuse a request whose arrays have the wrong type, or values that are not finite."""
    for key, value in fields.items():
        if not CALLS[call][key].takes(value):
            raise RequestRefused(f"{key} of {call} has the wrong type or values")


def n_models(shapes):
    """Return how many models a request asks to predict or to explain."""
    listed = ("numbers", "chains", "means", "signs", "functions")
    return sum(_length(shapes, key) for key in listed)


def n_ids(shapes):
    """Return how many row ids a request has."""
    return sum(_length(shapes, key) for key in IDS)


def _length(shapes, key):
    return shapes[key][0] if key in shapes else 0


def effective_size(weights):
    """Return Kish's effective number of rows with these weights."""
    largest = weights.max(initial=0)
    if largest == 0:
        return 0.0
    weights = weights / largest
    return float(weights.sum() ** 2 / (weights**2).sum())
