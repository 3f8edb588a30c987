"""How long `import sklearn_gal` takes, against importing what it is made of.

    python benchmarks/import_time.py [--repeats 15] [--output FILE]

CPU seconds (user and system) of a fresh interpreter less those of an empty one, the
statements taking turns; median, and the ratio to scikit-learn and LightGBM.
"""

import argparse
import os
import statistics
import subprocess
import sys

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


def main():
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--output")
    options = parser.parse_args()
    seconds = {name: [] for name in STATEMENTS}
    for _ in range(options.repeats + 1):  # the first of them fills the disk's cache
        empty = cpu_seconds("pass")
        for name, statement in STATEMENTS.items():
            seconds[name].append(cpu_seconds(statement) - empty)
    medians = {name: statistics.median(each[1:]) for name, each in seconds.items()}
    reference = medians["scikit-learn and LightGBM"]
    lines = [__doc__.strip(), "", f"{'import':28}{'seconds':>8}{'ratio':>8}"]
    for name, median in medians.items():
        lines.append(f"{name:28}{median:8.2f}{median / reference:8.2f}")
    print("\n".join(lines))
    if options.output:
        with open(options.output, "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
