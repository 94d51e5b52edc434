"""A million rows through a SavedModel by Apache Beam: `RunInference` from Parquet to Parquet.

    python examples/clusters/beam.py            # 1,000,000 rows, two processes
    python examples/clusters/beam.py --quick    # 10,000

It needs `pip install 'tfmdn[clusters]'`. The runner here is the one for tests, which holds what it passes on in memory.
On a cluster Beam's option --runner names another, the model lies where all machines see it, and `_scorer.py` travels by
--setup_file; Python on the workers needs TensorFlow alone, beside Beam.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Sequence

import _job
import _scorer
import apache_beam
import pyarrow as pa
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

FOLDER = pathlib.Path(__file__).resolve().parent
SCHEMA = pa.schema([("id", pa.int64()), *((name, pa.float64()) for name in [*_scorer.LEVELS, "mean"])])


class SavedModelHandler(ModelHandler[pa.Table, pa.Table, _scorer.Scorer]):
    """A model of raw columns, of which `RunInference` loads one in each process. Beam's own handlers take tensors."""

    def __init__(self, path: str, log: str):
        super().__init__(min_batch_size=1, max_batch_size=1)  # an element is a batch of rows already
        self._path, self._log = path, log

    def load_model(self) -> _scorer.Scorer:
        return _scorer.Scorer(self._path, self._log)

    def run_inference(
        self, batch: Sequence[pa.Table], model: _scorer.Scorer, inference_args=None
    ) -> Iterator[pa.Table]:
        for table in batch:
            scores = model({name: table[name].to_numpy() for name in table.column_names})
            yield pa.table(scores, schema=SCHEMA)


def score(job: _job.Job) -> None:
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")]))
    options = PipelineOptions(
        direct_running_mode="multi_processing",
        direct_num_workers=job.num_workers,
        default_sdk_harness_log_level="WARNING",
    )
    with apache_beam.Pipeline(FnApiRunner(), options) as pipeline:
        (
            pipeline
            | apache_beam.io.ReadFromParquetBatched(f"{job.rows}/*.parquet")
            | RunInference(SavedModelHandler(job.model, job.log))
            | apache_beam.io.WriteToParquetBatched(f"{job.scores}/part", SCHEMA, file_name_suffix=".parquet")
        )


if __name__ == "__main__":
    _job.run(__doc__, "apache-beam", score)
