"""Learners that a worker process has received, kept for the next rounds."""

from collections import OrderedDict

# The worker keeps this many of the learners that it used last.
MAX_CACHED_LEARNERS = 32
_WORKER_CACHE: OrderedDict = OrderedDict()


def cached_learner(cache_key, learner, arguments):
    """The learner of this process that has a key, made at the first call.

    Parameters
    ----------
    cache_key : str
        The same for all copies of one learner.
    learner : type
        Class of the learner.
    arguments : tuple
        Arguments of its constructor.

    Returns
    -------
    learner : Learner
        The same object for the same key, with what it has computed so far.
    """
    if cache_key not in _WORKER_CACHE:
        _WORKER_CACHE[cache_key] = learner(*arguments)
        _WORKER_CACHE[cache_key].cache_key = cache_key
    _WORKER_CACHE.move_to_end(cache_key)
    while len(_WORKER_CACHE) > MAX_CACHED_LEARNERS:
        _WORKER_CACHE.popitem(last=False)
    return _WORKER_CACHE[cache_key]
