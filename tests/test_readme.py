"""The snippets of the pages run as they stand, in order, with names that a reader has: data, a model, a vector model.

python tests/test_readme.py             # without pytest: in an environment that has no more than the README installs
python tests/test_readme.py PAGE ...    # pages whose first line names packages, as in <!-- needs: mlflow skops -->
"""

import contextlib
import importlib.util
import io
import os
import pathlib
import re
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import numpy as np

import tfmdn

ROOT = pathlib.Path(__file__).parents[1]
FIRST_PAGES = ["README.md", "CONTRIBUTING.md", "examples/README.md", "saved_models/README.md", "benchmarks/README.md"]
PAGES = FIRST_PAGES + sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
SPLIT = {"new": slice(0, 8), "test": slice(8, 28), "val": slice(28, 48)}


def text_of(page):
    return (ROOT / page).read_text() if (ROOT / page).exists() else ""


def needs(page):
    """The packages that a page's snippets import beyond those of the README's main command."""
    match = re.match(r"<!-- needs: ([\w. ]+) -->\n", text_of(page))
    return match[1].split() if match else []


def snippets(page):
    """The code blocks of a page, each with the number of its first line."""
    text = text_of(page)
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield text[: match.start(1)].count("\n"), match[1]


def names_of_a_reader():
    x, y = tfmdn.datasets.inverse_sinusoid().sample(48, seed=0)
    names = {"x": x, "y": y, "y_train": y, "z": np.stack([y, -y], -1), "X": x}
    for part, rows in SPLIT.items():
        names |= {f"x_{part}": x[rows], f"y_{part}": y[rows], f"X_{part}": x[rows]}
    grid = np.linspace(-10, 10, 20, dtype="float32")
    vector_model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(2, event_shape=2)])
    history = keras.callbacks.History()
    history.history = {"loss": [2.0, 1.0]}
    names |= table_of_a_reader()
    names |= {"x_grid": grid, "y_grid": grid, "vector_model": vector_model, "history": history}
    return names | {"model": model_of_a_reader(y)}


def model_of_a_reader(y):
    head = tfmdn.MDNLayer(num_components=5)
    head.adapt(y)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(8, "silu"), head])
    model.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    return model


def table_of_a_reader():
    """A frame of eight columns of several kinds, and targets of which many are 0."""
    import pandas as pd

    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": np.where(rng.uniform(size=300) < 0.1, np.nan, rng.uniform(18.0, 80.0, 300)),
            "city": rng.choice(["Oslo", "Roma", "Wien"], 300),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, 300), "D"),
            "member": rng.uniform(size=300) < 0.5,
            "size": pd.Categorical(rng.choice(["S", "M", "L"], 300), ["S", "M", "L"], ordered=True),
            "visits": rng.poisson(3.0, 300),
            "wait": pd.to_timedelta(rng.exponential(60.0, 300), "min"),
            "weight": rng.normal(70.0, 10.0, 300),
        }
    )
    noise = rng.normal(size=300)
    target = np.maximum(0.0, 0.05 * table["age"].fillna(50.0) - 2.0 + 2.0 * (table["city"] == "Oslo") + noise)
    return {"table": table, "target": target.rename("cost")}


def run_snippets(page):
    """Runs the snippets of a page in the present folder, which they write to. Returns how many there are."""
    names = names_of_a_reader()
    count = 0
    for line, code in snippets(page):
        # The lines of a traceback are those of the page.
        exec(compile("\n" * line + code, page, "exec"), names)
        count += 1
    return count


def run_pages(pages, folder):
    (folder / "saved_models").symlink_to(ROOT / "saved_models")
    os.chdir(folder)
    return {page: run_snippets(page) for page in pages}


def test_snippets_are_found():
    """They are run by .ci/run, in an environment that has no more than the README installs, or than a page names."""
    counts = {page: len([compile(code, page, "exec") for _, code in snippets(page)]) for page in PAGES}
    assert counts["README.md"] >= 1
    assert sum(counts[f"docs/{page}.md"] for page in ("tables", "models", "plots", "judging", "export")) >= 12
    assert counts["saved_models/README.md"] == 1


def test_what_pages_need_stands_in_their_first_line():
    assert not any("needs:" in text_of(page) and not needs(page) for page in PAGES)
    assert not any(map(needs, FIRST_PAGES))


if __name__ == "__main__":
    pages = sys.argv[1:] or [page for page in PAGES if not needs(page)]
    if lacking := [name for page in pages for name in needs(page) if importlib.util.find_spec(name) is None]:
        sys.exit(f"{', '.join(pages)}: not installed: {', '.join(lacking)}")
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        counts = run_pages(pages, pathlib.Path(name))
        os.chdir(ROOT)
    print(f"Snippets: {counts}")
