"""The method: rounds, weights and rates. It knows neither tables nor estimators."""
