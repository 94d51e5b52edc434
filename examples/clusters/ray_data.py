"""A million rows through a SavedModel by Ray Data: `map_batches` with actors, from Parquet to Parquet.

    python examples/clusters/ray_data.py            # 1,000,000 rows, two actors
    python examples/clusters/ray_data.py --quick    # 10,000

It needs `pip install 'tfmdn[clusters]'`. On a cluster `ray.init("auto")` finds it; rows and model must then lie where
all machines see them, and Python on the workers needs TensorFlow alone, beside Ray.
"""

from __future__ import annotations

import logging
import os
import pathlib
import tempfile

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}

import _job
import _scorer
import ray

FOLDER = pathlib.Path(__file__).resolve().parent


def score(job: _job.Job) -> None:
    # Not in the job's folder: the paths of sockets in it may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as temporary:
        ray.init(
            num_cpus=job.num_workers + 1,  # one for reading and writing
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=2**28,
            runtime_env={"working_dir": str(FOLDER)},
            _temp_dir=temporary,
        )
        try:
            score_by_actors(job)
        finally:
            ray.shutdown()


def score_by_actors(job: _job.Job) -> None:
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # In blocks of some batches: of 128 MB, as it would have them, a million rows are one block, and one actor's.
    rows = ray.data.read_parquet(job.rows).repartition(target_num_rows_per_block=job.rows_in_file)
    scores = rows.map_batches(
        _scorer.Scorer,  # the class: each actor makes one, and loads the model once
        fn_constructor_args=(job.model, job.log),
        compute=ray.data.ActorPoolStrategy(size=job.num_workers),
        num_cpus=1,
        batch_size=job.batch_size,
    )
    scores.write_parquet(job.scores)


if __name__ == "__main__":
    _job.run(__doc__, "ray", score)
