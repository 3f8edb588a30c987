"""The table of an organization: its columns, their kinds, and the ids of its rows."""

from collections import Counter

from ._keys import as_text

# Kinds of columns. Numbers of all widths are the same, as a table that is read again may
# have floats where it had integers before.
_KINDS = {"b": "number", "i": "number", "u": "number", "f": "number", "M": "date"}
_MOST_SHAPES = 5


def own_table(name, table, key, columns):
    """Return the columns that the estimator receives, and the ids of the rows.

    Raises
    ------
    ValueError
        If the key or a column is not in the table, or an id is missing, empty or not
        unique.
    """
    names = list(getattr(table, "columns", []))
    if key not in names:
        raise ValueError(
            f"The table of organization {name!r} has no key column {key!r}. Its columns "
            f"are {names}."
        )
    columns = [each for each in names if each != key] if columns is None else list(columns)
    wrong = [each for each in columns if each not in names or each == key]
    if wrong or not columns:
        raise ValueError(
            f"The columns of organization {name!r} must be columns of its table other than "
            f"the key {key!r}, at least one; got {wrong or columns}."
        )
    ids = table[key].to_list()
    texts = [as_text(each) for each in ids]  # raises an error for a missing id
    if len(set(texts)) < len(texts):
        raise ValueError(
            f"The key {key!r} of organization {name!r} is not unique: {len(texts)} rows, "
            f"{len(set(texts))} different ids. Aggregate the table to one row per id."
        )
    return table[columns], texts


def kinds_of(table):
    """Return the kind of every column by name: number, text, category, date or other."""
    return {str(name): _kind(table[name].dtype) for name in table.columns}


def _kind(dtype):
    name = str(dtype).lower()
    if hasattr(dtype, "is_numeric") and dtype.is_numeric():  # polars
        return "number"
    if name.startswith("category"):
        return "category"
    if name.startswith(("string", "str", "object")):
        return "text"
    if name == "boolean":
        return "number"
    return _KINDS.get(getattr(dtype, "kind", ""), name)


def key_shapes(texts):
    """Return what ids look like: digits as 9, letters as A, with how many look like this.

    Parameters
    ----------
    texts : list of str
        The ids, as text.

    Returns
    -------
    shapes : list of (str, int)
        The most frequent shapes.
    """
    shapes = Counter(
        "".join("9" if c.isdigit() else "A" if c.isalpha() else c for c in text)
        for text in texts
    )
    return shapes.most_common(_MOST_SHAPES)
