"""Which releases can work with each other.

A release works with the releases of the same major number whose minor number differs by at
most one, such as 1.1 with 1.0 and 1.2, and with the same major version of LightGBM.
Candidates and development versions count as the release that they precede. Messages name
the releases of the host that sends them.
"""

import re

import lightgbm
import sklearn

from .._version import __version__
from ._refusals import OtherVersion

VERSIONS = {
    "sklearn_gal": __version__,
    "lightgbm": lightgbm.__version__,
    "scikit-learn": sklearn.__version__,
}
# The part of them that crosses, as text.
HANDSHAKE = f"sklearn_gal {__version__}, LightGBM {lightgbm.__version__}"
_HANDSHAKE = re.compile(
    r"sklearn_gal (\d{1,6})\.(\d{1,6})[\w.+]{0,40}, LightGBM (\d{1,6})\.[\w.+]{1,40}"
)


def can_work_with(theirs, ours=HANDSHAKE):
    """Whether two hosts whose messages name these releases can work with each other."""
    matches = _HANDSHAKE.fullmatch(theirs), _HANDSHAKE.fullmatch(ours)
    numbers = [[int(n) for n in match.groups()] for match in matches if match]
    if len(numbers) < 2:
        return False
    (major, minor, trees), (our_major, our_minor, our_trees) = numbers
    same = (major, trees) == (our_major, our_trees)
    return same and abs(minor - our_minor) <= 1


def check_handshake(theirs):
    """Refuse a label holder whose release this one cannot answer."""
    if not can_work_with(theirs):
        raise OtherVersion(
            HANDSHAKE,
            f"the label holder runs {theirs[:120]!r}, this organization {HANDSHAKE}; their "
            "minor releases may differ by one",
        )
