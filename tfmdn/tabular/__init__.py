"""From a table to a density: `regressor` is scikit-learn's interface, `recipe` what it trains.

Nothing is imported here: it needs scikit-learn, and `tfmdn.MDNRegressor` says so.
"""
