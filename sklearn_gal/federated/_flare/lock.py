"""A lock, because FLARE's processes with the same certificate push each other off."""

import fcntl
import os


def hold(workspace):
    """Lock a workspace of FLARE for this process, until it ends.

    Parameters
    ----------
    workspace : Path
        Part of a start-up kit.

    Raises
    ------
    ValueError
        If another process of this host has locked it.
    """
    # a descriptor, which stays open until the process ends, and the lock with it
    file = os.open(workspace / "lock", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise ValueError(
            f"The start-up kit {workspace.parent} is used by another process of this host. "
            "End it first."
        ) from None
