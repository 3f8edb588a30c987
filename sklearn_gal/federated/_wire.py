"""Messages between hosts: a name, a few scalars and arrays of numbers, as bytes.

A message consists of a mark, the length of a JSON header, the header, and the values of the
arrays one after the other. Reading a message can only create strings, numbers and arrays,
because the format has no way to describe other objects.
"""

import json
import math
import struct

import numpy as np

FORMAT = 1
_NAME = b"sklearn_gal "
_MARK = _NAME + b"%d\n" % FORMAT
_LENGTH = struct.Struct("<I")
# dtype in a message -> dtype in memory. Messages are little-endian on all hosts.
_DTYPES = {
    "<f8": np.float64,
    "<f4": np.float32,
    "<i8": np.int64,
    "|u1": np.uint8,
    "|b1": np.bool_,
}
MAX_HEADER = 4096
MAX_ARRAYS = 8
# Default size in bytes of the largest message that is read.
MAX_MESSAGE = 2**30


class MessageError(ValueError):
    """Raised for bytes that are not a message, or for a message that is too large."""


def encode(name, fields):
    """Encode a message as bytes.

    Parameters
    ----------
    name : str
        Name of a call, or ``"ok"`` or ``"error"`` in a reply.
    fields : dict
        Strings, numbers, bools, None, and arrays of float64, float32, int64, uint8 or
        bool.

    Returns
    -------
    message : bytes

    Raises
    ------
    TypeError
        If a field has another type.
    """
    scalars, arrays, buffers = {}, [], []
    for key, value in fields.items():
        if isinstance(value, np.ndarray):
            code = value.dtype.newbyteorder("<").str
            if code not in _DTYPES:
                raise TypeError(
                    f"{key!r} has dtype {value.dtype}, which cannot be sent. Arrays must "
                    "be float64, float32, int64, uint8 or bool."
                )
            value = np.ascontiguousarray(value, dtype=code)
            arrays.append([key, code, list(value.shape)])
            buffers.append(value.reshape(-1).view(np.uint8).data)
        elif value is None or isinstance(value, (str, bool, int, float)):
            scalars[key] = value
        else:
            raise TypeError(
                f"{key!r} has type {type(value).__name__}, which cannot be sent. Fields "
                "must be strings, numbers, bools, None or arrays."
            )
    content = {"name": name, "scalars": scalars, "arrays": arrays}
    header = json.dumps(content, separators=(",", ":")).encode()
    return b"".join([_MARK, _LENGTH.pack(len(header)), header, *buffers])


def decode(message, max_bytes=MAX_MESSAGE, check_header=None):
    """Return the name and the fields of a message.

    Parameters
    ----------
    message : bytes
        The message.
    max_bytes : int, default=MAX_MESSAGE
        Size in bytes of the largest message that is read.
    check_header : callable, default=None
        ``check_header(name, scalars, shapes)`` raises an error if the arrays are not to be
        read; `shapes` is a dict of their shapes.

    Raises
    ------
    MessageError
        If the bytes are not exactly one message, or more than `max_bytes`.
    """
    if not isinstance(message, (bytes, bytearray, memoryview)):
        raise MessageError(f"a message must be bytes, got {type(message).__name__}")
    if len(message) > max_bytes:
        raise MessageError(
            f"the message has {len(message)} bytes, at most {max_bytes} are allowed"
        )
    message = memoryview(message)
    start = len(_MARK) + _LENGTH.size
    if bytes(message[: len(_MARK)]) != _MARK or len(message) < start:
        raise MessageError(_what_is_wrong(bytes(message[: len(_MARK)])))
    (length,) = _LENGTH.unpack(message[len(_MARK) : start])
    if length > MAX_HEADER or start + length > len(message):
        raise MessageError(f"the header cannot have {length} bytes")
    name, fields, arrays = _header(bytes(message[start : start + length]))
    if check_header is not None:
        check_header(name, fields, {key: tuple(shape) for key, _, shape in arrays})
    position = start + length
    for key, code, shape in arrays:
        dtype = np.dtype(code)
        size = math.prod(shape) * dtype.itemsize
        if position + size > len(message):
            raise MessageError("the arrays are longer than the message")
        values = np.frombuffer(message[position : position + size], dtype=dtype)
        if code == "|b1" and values.view(np.uint8).max(initial=0) > 1:
            raise MessageError(f"{key!r} has truth values other than 0 and 1")
        fields[key] = values.reshape(shape).astype(_DTYPES[code])  # aligned, writeable
        position += size
    if position != len(message):
        raise MessageError("there are bytes after the last array")
    return name, fields


def _what_is_wrong(mark):
    """Return why bytes that begin like this cannot be read."""
    if mark.startswith(_NAME):
        return (
            f"the other host runs a release of sklearn_gal with another format of messages "
            f"than {FORMAT}: install the same release on both hosts"
        )
    return "the bytes are not a message of sklearn_gal"


def _header(text):
    """Return name, scalars and descriptions of the arrays, after strict checks."""
    try:
        header = json.loads(
            text, parse_constant=_finite, parse_float=_finite, parse_int=_small_int
        )
        name, scalars, arrays = header["name"], header["scalars"], header["arrays"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise MessageError("the header cannot be read") from None
    simple = (str, bool, int, float, type(None))
    well_formed = (
        isinstance(name, str)
        and isinstance(scalars, dict)
        and all(isinstance(value, simple) for value in scalars.values())
        and isinstance(arrays, list)
        and len(arrays) <= MAX_ARRAYS
        and all(_describes_array(entry) for entry in arrays)
    )
    if not well_formed:
        raise MessageError("the header is malformed")
    keys = [*scalars, *(key for key, _, _ in arrays)]
    if len(set(keys)) != len(keys):
        raise MessageError("a field appears twice")
    return name, dict(scalars), arrays


def _finite(number):
    """Return a float; refuse NaN and infinity."""
    if not math.isfinite(float(number)):
        raise ValueError(f"{number} is not a finite number")
    return float(number)


def _small_int(digits):
    """Return an integer of at most 64 bits."""
    if len(digits) > 20:
        raise ValueError("the number has too many digits")
    return int(digits)


def _describes_array(entry):
    return (
        isinstance(entry, list)
        and len(entry) == 3
        and isinstance(entry[0], str)
        and isinstance(entry[1], str)
        and entry[1] in _DTYPES
        and isinstance(entry[2], list)
        and len(entry[2]) <= 4
        and all(type(n) is int and 0 <= n for n in entry[2])
        and math.prod(n for n in entry[2] if n) < 2**40  # also if another length is 0
    )
