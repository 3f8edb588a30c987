"""What each label holder may do: what all may, unless its owner says something else."""

from dataclasses import fields, replace
from typing import NamedTuple

from ._ids import IdBudget
from ._limits import Limits
from ._rules import Rules

# What can differ between label holders. The other limits and rules are about all fits.
RULES_OF_ONE = ("calls", "approve", "approve_rows")
LIMITS_OF_ONE = tuple(
    field.name for field in fields(Limits) if field.name not in ("max_fits", "max_disk")
)


class Rights(NamedTuple):
    """What a label holder may do.

    Parameters
    ----------
    limits : Limits
        How much it is answered.
    rules : Rules
        Which calls are answered, and which fits need an approval.
    id_budget : IdBudget
        Of how many ids it is told in a day.
    """

    limits: Limits
    rules: Rules
    id_budget: IdBudget


class RightsByName(dict):
    """The `Rights` of label holders by name; those that are not named have those of all.

    Parameters
    ----------
    limits : Limits
        How much is answered.
    rules : Rules
        What the owner decides about fits.
    label_holders : dict of str to dict
        What differs for a label holder, by its name: limits and rules.
    n_rows : int
        Number of rows of the table.
    log : AuditLog
        The log of calls.

    Raises
    ------
    ValueError
        If a limit or a rule is unknown or invalid.
    """

    def __init__(self, limits, rules, label_holders, n_rows, log):
        def rights(limits, rules):
            return Rights(limits, rules, IdBudget(limits.ids_per_day, n_rows, log))

        self._of_others = rights(limits, rules)
        super().__init__()
        for name, changes in label_holders.items():
            self[name] = rights(*changed(limits, rules, name, changes))

    def __missing__(self, name):
        return self._of_others


def changed(limits, rules, name, changes):
    """Return limits and rules with what differs for a label holder."""
    allowed = (*RULES_OF_ONE, *LIMITS_OF_ONE)
    unknown = sorted(set(changes) - set(allowed))
    if unknown:
        raise ValueError(
            f"The label holder {name!r} has unknown settings {unknown}. The allowed "
            f"settings are {sorted(allowed)}."
        )
    of_limits = {key: changes[key] for key in changes if key in LIMITS_OF_ONE}
    of_rules = {key: changes[key] for key in changes if key in RULES_OF_ONE}
    if "approve" in changes:  # and not a list of label holders
        of_rules["approve_label_holders"] = ()
    try:
        return replace(limits, **of_limits), replace(rules, **of_rules)
    except ValueError as error:
        raise ValueError(f"The label holder {name!r}: {error}") from error
