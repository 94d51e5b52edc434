"""From a table to a density.

- `regressor`: scikit-learn's interface, `tfmdn.MDNRegressor`.
- `recipe`: what it trains, and how.

Nothing is imported here: it needs scikit-learn, and `tfmdn.MDNRegressor` says so.
"""
