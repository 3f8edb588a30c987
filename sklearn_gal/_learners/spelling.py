"""What a misspelt name may have meant."""

from difflib import get_close_matches


def did_you_mean(name, known):
    """Return a question for an error about an unknown name.

    Parameters
    ----------
    name : str
        The unknown name.
    known : iterable of str
        The known names.

    Returns
    -------
    question : str
        It asks for known names that are close to `name`, and ends with a space. Empty if
        there are none.
    """
    return question(get_close_matches(name, list(known)))


def question(names):
    """Return "Did you mean ...? " for some names; an empty string if there are none."""
    return f"Did you mean {' or '.join(map(repr, names))}? " if names else ""
