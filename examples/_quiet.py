"""Imports TensorFlow without the lines that it logs: imported before Keras, an example says only what it has to say.

`TF_CPP_MIN_LOG_LEVEL` silences TensorFlow, but for some lines that its libraries write while they are loaded
(https://github.com/tensorflow/tensorflow/issues/100442): meanwhile the standard error stream goes to a file, which is
shown if the import fails.
"""

import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with tempfile.TemporaryFile() as file:
    stream = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        import tensorflow  # noqa: F401
    except BaseException:
        file.seek(0)
        os.write(stream, file.read())
        raise
    finally:
        os.dup2(stream, 2)
        os.close(stream)
