"""The README: its first block, its table, and the figure that it shares with the site."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.rst").read_text()
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
specification = importlib.util.spec_from_file_location(
    "first_block", ROOT / "docs" / "_ext" / "first_block.py"
)
first_block = importlib.util.module_from_spec(specification)
specification.loader.exec_module(first_block)


def assert_same(text, expected):
    """Compare texts; their numbers may differ in the last digits."""
    assert NUMBER.sub("#", text) == NUMBER.sub("#", expected)
    numbers = [np.array(NUMBER.findall(each), float) for each in (text, expected)]
    # sums of trees differ between processors in the last digits
    np.testing.assert_allclose(*numbers, atol=2e-3)


@pytest.mark.slow
def test_first_block_prints_and_draws_what_the_readme_shows(tmp_path):
    assert_same(first_block.run(tmp_path), first_block.output())
    assert (tmp_path / "report.png").stat().st_size > 10_000
    drawn, shown = map(first_block.texts, (tmp_path / "report.png", first_block.PICTURE))
    assert "What is lost if one leaves after the fit?" in drawn
    assert_same(drawn, shown)


def test_sentence_about_the_first_block_has_its_numbers():
    score = dict(re.findall(r"^(\w+) +(0\.\d+)", first_block.output(), re.MULTILINE))
    alone, assisted, joint = (score[name] for name in ("Alone", "Assisted", "Joint"))
    sentence = " ".join(README.partition("Of the variance among")[2].split())
    assert f"the clinic alone explains {float(alone):.0%}".replace("%", " %") in sentence
    assert f"it explains {float(assisted):.0%}".replace("%", " %") in sentence
    assert f"{float(assisted):.0%}" == f"{float(joint):.0%}"  # "and so does"

    def numbers(begin):
        line = re.search(rf"^{begin}.*$", first_block.output(), re.MULTILINE)[0]
        return [float(each) for each in NUMBER.findall(line)]

    gain, _, low, _ = numbers("Gain")
    assert f"the gain, {gain:.3f}," in sentence
    assert low > 0
    assert numbers("without cardiology")[-2] > 0
    low, high = numbers("without laboratory")[-2:]
    assert low < 0 < high


def test_first_command_says_which_data_it_shows():
    said = f"an example on tumours of {len(load_breast_cancer().target)} patients."
    assert said in " ".join(README.split())
    source = (ROOT / "examples" / "quickstart.py").read_text()
    first = re.search(r"print\((.*)\)", source)[1]
    assert "Breast cancer, {len(y)} patients: which tumours are malignant?" in first


def table_of_readme():
    """The cells of each row of the table of results."""
    section = README.partition("On real tables\n")[2].partition("How it works\n")[0]
    rows = section.split("==\n")[2].splitlines()
    return [re.split(r"  +", row.strip()) for row in rows if not row.startswith("==")]


@pytest.mark.parametrize(
    ("name", "n_rows", "score", "alone", "assisted", "joint"), table_of_readme()
)
def test_table_has_the_numbers_of_the_benchmark(
    name, n_rows, score, alone, assisted, joint
):
    lines = (ROOT / "benchmarks" / "real.txt").read_text().splitlines()
    shown = {"best alone": alone, "default": assisted, "joint": joint}
    for model, value in shown.items():
        pattern = rf"{name} +{n_rows} +\d+  {model} +{score} +([\d.]+) "
        (measured,) = [m[1] for m in (re.match(pattern, line) for line in lines) if m]
        assert float(value) == pytest.approx(float(measured), abs=0.0005 + 1e-9)


def test_times_of_the_readme_are_those_of_the_benchmark():
    said = re.findall(r"(\d+) (?:times )?for (\w+)", README.partition("A fit\ntakes")[2])
    assert [name for _, name in said] == ["flights", "bike"]
    table = (ROOT / "benchmarks" / "real.txt").read_text()
    for times, name in said:
        line = re.search(rf"^{name} .* default .*$", table, re.MULTILINE)[0]
        assert int(times) == int(float(re.findall(r"\d+\.\d+", line)[-2]))


def test_figure_of_a_round_differs_in_its_colours_only():
    light, dark = (
        (ROOT / "docs" / "_static" / name).read_text()
        for name in ("process.svg", "process-dark.svg")
    )
    colours = re.compile(r"  <style>.*?</style>\n", re.DOTALL)
    assert light != dark
    assert colours.sub("", light, count=1) == colours.sub("", dark, count=1)


def test_files_that_the_readme_shows_and_names_exist():
    local = re.findall(r"^\.\. image:: (?!https)(\S+)", README, re.MULTILINE)
    named = re.findall(r"``((?:docs|benchmarks)/\S+|[A-Z]+\.rst)``", README)
    assert local
    for path in local + named:
        assert (ROOT / path).is_file(), path
