"""A million rows through a SavedModel by Apache Spark: `mapInPandas` from Parquet to Parquet.

    python examples/clusters/spark.py            # 1,000,000 rows, two processes
    python examples/clusters/spark.py --quick    # 10,000

It needs `pip install 'tfmdn[clusters]'` and Java 17 or newer. On a cluster leave `master` out and use spark-submit: the
model and `_scorer.py` travel as they do here, and Python on the workers needs TensorFlow, pandas and PyArrow alone.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from collections.abc import Iterator

import _job
import _scorer
import pandas as pd
from pyspark import SparkFiles
from pyspark.sql import SparkSession

FOLDER = pathlib.Path(__file__).resolve().parent
SCHEMA = "id long, " + ", ".join(f"{name} double" for name in [*_scorer.LEVELS, "mean"])


def score(job: _job.Job) -> None:
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    spark = (
        SparkSession.builder.master(f"local[{job.num_workers}]")
        .config("spark.log.level", "ERROR")
        .config("spark.ui.enabled", False)
        .config("spark.ui.showConsoleProgress", False)
        .config("spark.local.dir", str(job.folder / "spark"))
        .config("spark.python.worker.reuse", True)  # the default: a process, and its model, for many tasks
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", job.batch_size)
        .config("spark.sql.files.maxPartitionBytes", "4m")  # of 128m a million rows would be one task
        .getOrCreate()
    )
    try:
        # The model goes as files to each machine, once, and not as an object to each task.
        archive = shutil.make_archive(str(job.folder / "archive"), "zip", job.model)
        spark.sparkContext.addArchive(f"{archive}#model")
        spark.sparkContext.addPyFile(str(FOLDER / "_scorer.py"))
        log = job.log

        def predict(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            scorer = _scorer.scorer_of_this_process(SparkFiles.get("model"), log)
            for frame in frames:
                yield pd.DataFrame(scorer({name: frame[name].to_numpy() for name in frame}))

        spark.read.parquet(job.rows).mapInPandas(predict, SCHEMA).write.parquet(job.scores)
    finally:
        spark.stop()


if __name__ == "__main__":
    _job.run(__doc__, "pyspark", score)
