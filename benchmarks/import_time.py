"""How long `import sklearn_gal` takes, compared with importing its dependencies.

    python benchmarks/import_time.py [--repeats 15] [--quick] [--output FILE]

CPU seconds (user and system) of a fresh interpreter, minus those of an empty one. The
statements alternate. Median, and the ratio to scikit-learn and LightGBM.
"""

import os
import statistics
import subprocess
import sys

from _harness import run

STATEMENTS = {
    "scikit-learn and LightGBM": "import sklearn, lightgbm",
    "sklearn_gal": "import sklearn_gal",
    "sklearn_gal.inspection": "import sklearn_gal.inspection",
}


def cpu_seconds(statement):
    """CPU time of an interpreter that runs the statement."""
    before = os.times()
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = os.times()
    user = after.children_user - before.children_user
    return user + after.children_system - before.children_system


def table(arguments):
    seconds = {name: [] for name in STATEMENTS}
    # The first repeat fills the disk cache and is dropped.
    for _ in range((1 if arguments.quick else arguments.repeats) + 1):
        empty = cpu_seconds("pass")
        for name, statement in STATEMENTS.items():
            seconds[name].append(cpu_seconds(statement) - empty)
    medians = {name: statistics.median(each[1:]) for name, each in seconds.items()}
    yield f"{'import':28}{'seconds':>8}{'ratio':>8}"
    for name, median in medians.items():
        ratio = median / medians["scikit-learn and LightGBM"]
        yield f"{name:28}{median:8.2f}{ratio:8.2f}"


if __name__ == "__main__":
    run(table, __doc__, options={"--repeats": {"type": int, "default": 15}})
