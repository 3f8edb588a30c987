"""Messages between hosts contain numbers and short strings, and nothing else."""

import json
import pickle
import struct

import numpy as np
import pytest

from sklearn_gal.federated import _wire
from sklearn_gal.federated._wire import MessageError, decode, encode


def message(header, body=b""):
    """Return a message with this header, valid or not."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return _wire._MARK + struct.pack("<I", len(header)) + header + body


def header(scalars=None, arrays=()):
    return {"name": "call", "scalars": scalars or {}, "arrays": list(arrays)}


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, -0.0], [np.pi, 1e-308]]),
        np.arange(7),
        np.zeros((0, 3)),
        np.array([[True, False]]),
        np.arange(32, dtype=np.uint8).reshape(2, 16),
        np.arange(24.0).reshape(2, 3, 4)[:, ::-1],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    ],
)
def test_arrays_arrive_to_the_last_bit(array):
    name, fields = decode(encode("call", {"array": array, "text": "ä", "n": 3, "no": None}))
    assert name == "call"
    assert fields["array"].dtype == array.dtype
    assert fields["array"].tobytes() == array.tobytes()
    assert fields["array"].shape == array.shape
    assert (fields["text"], fields["n"], fields["no"]) == ("ä", 3, None)


@pytest.mark.parametrize(
    "value", [object(), [1], {"a": 1}, np.array(["a"]), np.array([None]), np.float64, b"x"]
)
def test_objects_do_not_leave(value):
    with pytest.raises(TypeError, match="cannot be sent"):
        encode("call", {"value": value})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"sklearn_gal 1\n",
        pickle.dumps({"name": "call"}),
        "text",
        message(b"{"),
        message(b"[" * 4000),
        message([]),
        message({"name": "call"}),
        message(header({"a": [1]})),
        message(header({"a": {}})),
        message(header(arrays=[["a", "|O8", [1]]]), bytes(8)),
        message(header(arrays=[["a", "<U4", [1]]]), bytes(16)),
        message(header(arrays=[["a", ">f8", [1]]]), bytes(8)),
        message(header(arrays=[["a", "<f8", [-1]]]), bytes(8)),
        message(header(arrays=[["a", "<f8", [2**39, 2**39]]]), bytes(8)),
        message(header(arrays=[["a", "<f8", [0, 2**39, 2**39]]])),
        message(header(arrays=[["a", "<f8", [0, 2**70]]])),
        message(header({"a": float("nan")})),
        message(header({"a": float("inf")})),
        message(b'{"name":"c","scalars":{"a":1e999},"arrays":[]}'),
        message(b'{"name":"c","scalars":{"a":%s},"arrays":[]}' % (b"9" * 3900)),
        message(header(arrays=[["a", "<f8", [1.0]]]), bytes(8)),
        message(header(arrays=[["a", "<f8", [True]]]), bytes(8)),
        message(header(arrays=[["a", "<f8", [2]]]), bytes(8)),
        message(header(arrays=[["a", "<f8", [1]]]), bytes(9)),
        message(header(arrays=[["a", "<f8", [1, 1, 1, 1, 1]]]), bytes(8)),
        message(header(arrays=[["a", "|b1", [1]]]), b"\x02"),
        message(header({"a": 1}, [["a", "<f8", [1]]]), bytes(8)),
        message(header(arrays=[["a", "<f8", [0]]] * 9)),
        message(header({"a": "x" * 5000})),
        message(header())[:-1],
    ],
)
def test_anything_else_is_refused(data):
    with pytest.raises(MessageError):
        decode(data)


def test_messages_have_a_largest_size():
    big = encode("call", {"array": np.zeros(1000)})
    with pytest.raises(MessageError, match="at most 4000 are allowed"):
        decode(big, max_bytes=4000)


def test_arrays_are_not_read_if_their_shapes_are_refused():
    def check(name, scalars, shapes):
        assert (name, scalars) == ("call", {"n": 3})
        raise ValueError(f"too many: {shapes}")

    big = encode("call", {"n": 3, "a": np.zeros((2, 5)), "b": np.ones(1)})
    with pytest.raises(ValueError, match=r"too many: {'a': \(2, 5\), 'b': \(1,\)}"):
        decode(big, check_header=check)
    with pytest.raises(ValueError, match="too many"):
        decode(big[:-8], check_header=check)  # before it looks at the arrays


def test_another_format_of_messages_is_told():
    newer = encode("call", {}).replace(b" 1\n", b" 2\n", 1)
    with pytest.raises(MessageError, match="format of messages than 1: install the same"):
        decode(newer)
