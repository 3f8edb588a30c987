"""Files of start-up kits that their owner alone can read."""

import os


def private_file(path, text):
    """Return the text of a file, written if there is none, that its owner alone reads."""
    if not path.exists():
        write_private(path, text)
    return path.read_text()


def write_private(path, text):
    """Write a file that its owner alone can read, such that it never exists in part."""
    partial = path.with_name(f".{path.name}.part")
    with open(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    os.replace(partial, path)
