"""LightGBM's boosters, whose text is read when they are first used."""

from threading import RLock

from lightgbm import Booster

_READING = RLock()


class UnreadBooster(Booster):
    """A booster as it comes back from a pickle, but for its text, which is not read yet.

    A fit makes boosters in every round, and reading takes as long as growing a tree of few
    rows. It becomes an ordinary booster when it is first asked for what the text tells.

    Parameters
    ----------
    state : dict
        Of a booster, as `Booster.__getstate__` returns it, with the text as ``"_handle"``.
    """

    def __init__(self, state):
        self.__dict__.update(state)
        self._text = self.__dict__.pop("_handle")

    def __getattr__(self, name):
        with _READING:
            if type(self) is UnreadBooster:  # no other thread has read it meanwhile
                read = Booster.__new__(Booster)
                read.__setstate__(self.__reduce_ex__(2)[2])
                self._handle, read._handle = read._handle, None  # type: ignore[assignment]
                del self._text
                self.__class__ = Booster  # type: ignore[assignment]
        return getattr(self, name)

    def __reduce_ex__(self, protocol):
        """An ordinary booster, to pickles and to copies."""
        with _READING:
            if type(self) is not UnreadBooster:
                return Booster.__reduce_ex__(self, protocol)
            state = dict(vars(self))
        return object.__new__, (Booster,), state | {"_handle": state.pop("_text")}

    def __del__(self):
        """There is nothing to free yet."""
