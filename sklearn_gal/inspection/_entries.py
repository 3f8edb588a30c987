"""Entries of feature contributions: their values, their texts and their order."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing

from ._links import significant_text

# What the whiskers are, for the label of an axis
WHISKERS = "Whiskers: one standard error, because orders of the columns are sampled."
# Longer names and values are shortened in the middle.
_MAX_NAME, _MAX_VALUE = 40, 24


class Line(NamedTuple):
    """A line of a display: an organization, one of its entries, or the sum of several.

    `band` numbers the organizations from the top. A heading names an organization, and a
    subtotal is followed by the lines of its entries.
    """

    label: str
    entries: list[int]
    band: int
    is_heading: bool = False
    is_subtotal: bool = False


def group_entries(contributions, labels, organizations, is_sum, max_features):
    """Return the lines of a display by organization, the largest contributions first.

    Parameters
    ----------
    contributions : ndarray of shape (n_samples, n_entries)
        Contributions to one output.
    labels : list of str
        Texts of the entries.
    organizations : list of str
        Organization of each entry.
    is_sum : array-like of bool of shape (n_entries,) or None
        Whether an entry is the sum of columns that an organization does not reveal.
    max_features : int
        Number of columns with a separate line. The other columns of an organization share a
        line.

    Returns
    -------
    lines : list of Line
        Lines from the top. An organization with a single line has no subtotal.
    """
    if not isinstance(max_features, Integral) or max_features < 1:
        raise ValueError(f"max_features must be a positive integer, got {max_features!r}.")
    is_sum = np.zeros(len(labels), bool) if is_sum is None else np.asarray(is_sum)
    order = np.argsort(-np.abs(contributions).mean(axis=0), kind="stable")
    shown = set(order[~is_sum[order]][:max_features].tolist())
    held: dict[str, list[int]] = {name: [] for name in organizations}
    for entry in order.tolist():
        held[organizations[entry]].append(entry)

    def size(name):
        return np.abs(contributions[:, held[name]].sum(axis=1)).mean()

    lines = []
    for band, name in enumerate(sorted(held, key=size, reverse=True)):
        heading = shorten(name, _MAX_NAME)
        parts = list(_parts(held[name], labels, is_sum, shown))
        if len(parts) == 1:
            label, entries = parts[0]
            lines.append(Line(f"{heading}: {label}", entries, band, is_heading=True))
            continue
        lines.append(Line(heading, held[name], band, is_heading=True, is_subtotal=True))
        lines += [Line(label, entries, band) for label, entries in parts]
    return lines


def _parts(held, labels, is_sum, shown):
    """Yield texts and entries of the lines of an organization."""
    columns = [entry for entry in held if not is_sum[entry]]
    rest = [entry for entry in columns if entry not in shown]
    if len(rest) == 1:  # its name says more than "1 other column"
        rest = []
    for entry in columns:
        if entry not in rest:
            yield labels[entry], [entry]
    if rest:
        others = "other columns" if len(rest) < len(columns) else "columns"
        yield f"{len(rest)} {others}", rest
    for entry in held:
        if is_sum[entry]:
            yield labels[entry], [entry]


def figure_size(lines):
    """Return the width and the height of a figure, in inches."""
    longest = max((len(line.label) for line in lines), default=0)
    return 5.7 + 0.085 * longest, 1.6 + 0.3 * len(lines)


def label_lines(ax, lines, before=(), after=()):
    """Write the labels of lines from the top, and shade every second organization."""
    labels = [*before, *(line.label for line in lines), *after]
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    headings = [line.is_heading for line in lines]
    bold = [*(True for _ in before), *headings, *(True for _ in after)]
    for label, is_bold in zip(ax.get_yticklabels(), bold, strict=True):
        label.set_fontweight("bold" if is_bold else "normal")
    for position, line in enumerate(lines, len(before)):
        if line.band % 2 == 0:
            ax.axhspan(position - 0.5, position + 0.5, color="0.5", alpha=0.12, linewidth=0)


def plot_whiskers(ax, lines, ends, errors, first=0):
    """Plot the standard errors of lines, and return where bars with whiskers end.

    A sum of several entries has no whisker, because their errors cancel out in part.

    Parameters
    ----------
    ax : matplotlib Axes
        Axes to plot into.
    lines : list of Line
        Lines from the top.
    ends : list of float
        Where the bar of each line ends.
    errors : array-like of shape (n_entries,) or None
        Standard errors of the entries, 0 where they are exact. None: all are.
    first : int, default=0
        Position of the first line.

    Returns
    -------
    low, high : ndarray of shape (n_lines,)
        Ends of the whiskers; those of the bars where there is no whisker.
    """
    sizes = np.zeros(len(lines))
    if errors is not None:
        for position, line in enumerate(lines):
            if len(line.entries) == 1:
                sizes[position] = errors[line.entries[0]]
    ends, places = np.array(ends), np.flatnonzero(sizes)
    if len(places):
        style = {"fmt": "none", "ecolor": "0.2", "capsize": 3, "linewidth": 1}
        ax.errorbar(ends[places], places + first, xerr=sizes[places], **style)
        ax.set_xlabel("\n".join(filter(None, [ax.get_xlabel(), WHISKERS])))
    return ends - sizes, ends + sizes


def entries_of(contributions, output):
    """Return the parameters of a display of one output.

    A column that no organization uses has no name of an organization, and is left out.
    """
    owners = np.asarray(contributions["organization_names"], dtype=object)
    used = owners != ""
    names = np.asarray(contributions["feature_names"], dtype=object)[used].tolist()
    is_sum = np.asarray(contributions["is_sum"], dtype=bool)[used]
    return {
        "contributions": output.scale * contributions["values"][:, used, output.position],
        "errors": abs(output.scale) * contributions["errors"][:, used, output.position],
        "feature_names": names,
        "organization_names": owners[used].tolist(),
        "feature_values": [
            None if hidden else column_values(contributions["data"], name)
            for name, hidden in zip(names, is_sum, strict=True)
        ],
        "is_sum": is_sum,
        "link": output.link,
        "prediction_name": output.prediction_name,
    }


def column_values(data, name):
    """Return the values of a column of a table, or None if the table does not have it.

    None in the column is replaced by NaN. The columns of an array are called x0, x1, ...
    """
    if data is None:
        return None
    if hasattr(data, "columns"):
        names = [str(column) for column in data.columns]
    else:
        names = [f"x{position}" for position in range(np.shape(data)[1])]
    if names.count(name) != 1:
        return None
    position = names.index(name)
    if sparse.issparse(data):
        return data.tocsc()[:, [position]].toarray()[:, 0]
    if not hasattr(data, "shape"):
        data = np.asarray(data, dtype=object)
    values = np.array(_safe_indexing(data, position, axis=1), dtype=object)
    values[[value is None for value in values]] = np.nan
    return values


def entry_label(name, value=None):
    """Return the text of an entry, with its value unless that is None."""
    name = shorten(name, _MAX_NAME)
    return name if value is None else f"{name} = {value_text(value)}"


def value_text(value):
    """Return the value of a column as text."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Real) and value == value:
        text = significant_text(value)
        # four digits may be a year
        return text.replace(",", "") if abs(float(value)) < 10_000 else text
    if not isinstance(value, str) and str(value) in {"nan", "NaN", "NaT", "<NA>"}:
        return "missing"
    return shorten(str(value), _MAX_VALUE)


def shorten(text, length):
    """Replace the middle of a long text by an ellipsis."""
    if len(text) <= length:
        return text
    end = length // 3
    return f"{text[: length - end - 1]}\N{HORIZONTAL ELLIPSIS}{text[-end:]}"
