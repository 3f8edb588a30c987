"""The commands with which an organization's owner sees and governs fits."""

import json
import sys
from collections import Counter

from .._text_table import aligned
from ._config import ledger_from_config, organization_settings
from ._ledger import WAITING

# What is written of a fit
_OF_FIT = ("state", "label_holder", "rows", "rounds", "bytes", "last_used")


def add_fit_commands(add_command):
    """Add `log`, `fits`, `status`, `approve`, `forget` and `revoke` to the command line.

    Parameters
    ----------
    add_command : callable
        ``add_command(name, run, about)`` returns the parser of a new command, which calls
        ``run(options)``.
    """

    def add(name, run, about):
        sub = add_command(name, run, about)
        sub.add_argument("--config", required=True, help="TOML file of the organization")
        return sub

    sub = add("log", _log, "write the log of calls, a JSON object per line")
    sub.add_argument("--since", default="", metavar="DATE", help="first day, 2026-01-31")
    sub.add_argument("--fit", default="", help="only of the fit whose id begins like this")
    sub.add_argument("--label-holder", help="only of this label holder")
    sub.add_argument("--refused", action="store_true", help="only what was not answered")
    add("fits", _fits, "list fits: id, state, label holder, rows, rounds, bytes, last use")
    add("status", _status, "sum up fits, the calls of today and revoked rights")
    sub = add("approve", _approve, "approve a fit that waits")
    sub.add_argument("fit", help="its id, or how it begins")
    sub = add("forget", _forget, "delete fits with their models")
    sub.add_argument("fit", nargs="*", help="their ids, or how these begin")
    sub.add_argument("--unused-for", type=int, metavar="DAYS", help="those unused for long")
    sub = add("revoke", _revoke, "answer a label holder no more, from its next call on")
    sub.add_argument("label_holder", help="its name, as `fits` and `log` write it")
    sub.add_argument("--undo", action="store_true", help="answer it again")


def _log(options):
    for entry in ledger_from_config(options.config).log.entries(options.since):
        wanted = (
            entry["fit"].startswith(options.fit)
            and options.label_holder in (None, entry["label_holder"])
            and not (options.refused and entry["decision"] == "answered")
        )
        if wanted:
            sys.stdout.write(json.dumps(entry) + "\n")


def _fits(options):
    ledger = ledger_from_config(options.config)
    lines = [("fit", "state", "label holder", "rows", "rounds", "bytes", "last used")]
    for fit_id in ledger.fits():
        known = {"state": "unknown"} | (ledger.read(fit_id) or {})
        known["bytes"] = ledger.size(fit_id)
        lines.append((fit_id, *(str(known.get(name, "?")) for name in _OF_FIT)))
    for line in aligned(lines, n_left=len(lines[0])):
        sys.stdout.write(f"{line}\n")


def _status(options):
    ledger = ledger_from_config(options.config)
    explain = organization_settings(options.config)["explain"]
    reveals = ", ".join(map(repr, explain)) if isinstance(explain, dict) else explain
    manifests = [ledger.read(fit_id) or {} for fit_id in ledger.fits()]
    waiting = [each["fit_id"] for each in manifests if each.get("state") == WAITING]
    sys.stdout.write(
        f"{len(manifests)} fits, {ledger.size()} bytes\n"
        f"waiting for approval: {', '.join(waiting) or 'none'}\n"
        f"revoked: {', '.join(sorted(ledger.revoked())) or 'none'}\n"
        f"explanations reveal: {reveals}\n"
    )
    calls: dict[str, Counter] = {}
    for entry in ledger.log.entries_of_today():
        decision = entry["decision"].partition(":")[0]
        counts = calls.setdefault(entry["label_holder"], Counter())
        counts[decision] += 1
        if entry["call"] == "explain" and decision == "answered":
            counts["rows explained"] += entry["rows"]
    for label_holder, counts in sorted(calls.items()):
        used = ledger.log.used_today(label_holder)
        parts = [f"{n} {decision}" for decision, n in sorted(counts.items())]
        parts += [f"{name} {value:.6g}" for name, value in sorted(used.items())]
        sys.stdout.write(f"today, {label_holder or 'retention'}: {', '.join(parts)}\n")


def _approve(options):
    fit_id = ledger_from_config(options.config).approve(options.fit)
    sys.stdout.write(f"{fit_id} is approved\n")


def _forget(options):
    ledger = ledger_from_config(options.config)
    fit_ids = {ledger.find(start) for start in options.fit}
    if options.unused_for is not None:
        fit_ids |= set(ledger.expired(days=options.unused_for))
    elif not fit_ids:
        raise ValueError("Name the fits to forget, or use --unused-for DAYS.")
    for fit_id in sorted(fit_ids):
        ledger.forget(fit_id)
        ledger.log.append(label_holder="", fit=fit_id, call="forget", decision="command")
        sys.stdout.write(f"{fit_id} is forgotten\n")


def _revoke(options):
    ledger = ledger_from_config(options.config)
    ledger.revoke(options.label_holder, revoked=not options.undo)
    ledger.log.append(
        label_holder=options.label_holder,
        fit="",
        call="revoke",
        decision="undone by command" if options.undo else "command",
    )
