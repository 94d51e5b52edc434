"""From a table to a density.

- `regressor`: scikit-learn's interface, `tfmdn.MDNRegressor`.
- `answers`: what it is asked once it is fitted.
- `recipe`: what it trains, and how.
- `lessons`: what is learnt from, how, and as what kind of members.
- `trainings`: of members of one kind.
- `stacked`: all kinds as one.
- `plans`: sizes of networks and lengths of trainings.
- `columns`: anybody's tables, as the columns that were fitted.
- `tables`: their columns and names.
- `series`: the values of their columns.
- `objects`: those that are Python's objects.
- `values`: what values are.
- `dates`: in seconds, by the clock on the wall.
- `inputs`: tables as the model takes them.
- `counting`: rows that do not count, whatever they hold.
- `encoding`: from these to features, as a Keras model.
- `encoded_numbers`: what is made of numbers and dates.
- `encoded_categories`: what is made of text.
- `off_data`: what answers for rows that are unlike the table's.
- `composition`: what the fitted Keras model is made of.
- `layout`: which of the features are what.
- `tree_features`: predictions of trees as further features.
- `targets`: numbers, pairs, and what is missing.
- `design`: what networks are made of.
- `workshop`: the networks, built and traced once for tables of a kind.
- `network`: the default network.
- `graph_mode`: graphs where users run functions eagerly.
- `progress`: what a fit shows of itself, and when its time is over.
- `streams`: tables larger than memory.
- `folds`: which rows judge which network.
- `conformal`: the ends of intervals that cover as often as they say.
- `members`: what networks predict that have not learnt from a row.
- `questions`: what is asked of many rows, as a part of the networks' graph.
- `chunks`: predictions for many rows.
- `evaluation`: how good they are, in a few figures.
- `labels`: the names of columns and rows, in and out, and in files.
- `storage`: files and pickles.

Nothing is imported here: it needs scikit-learn, and `tfmdn.MDNRegressor` says so.
"""
