"""A lock, because FLARE's processes with the same certificate push each other off."""

import fcntl

_held: list = []  # open files, whose locks end with the process


def hold(workspace):
    """Lock a workspace of FLARE for this process.

    Parameters
    ----------
    workspace : Path
        Part of a start-up kit.

    Raises
    ------
    ValueError
        If another process of this host has locked it.
    """
    file = open(workspace / "lock", "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ValueError(
            f"The start-up kit {workspace.parent} is used by another process of this host. "
            "End it first."
        ) from None
    _held.append(file)
