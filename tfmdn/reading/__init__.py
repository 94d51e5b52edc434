"""What is given to learn from, before any training: arrays, frames and batches, and how much each row counts.

- `containers`: the parts of datasets that `model.fit` takes, and what is no data.
- `values`: numbers of arrays and frames, and what is none.
- `weighted`: how much rows count: means, quantiles and samples in which they do.
"""
