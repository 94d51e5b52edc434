"""What makes tfmdn part of other packages, which are imported with the file alone that is for them.

- `skpro`: the estimator and the distribution that skpro takes for its own (extra `skpro`).
"""
