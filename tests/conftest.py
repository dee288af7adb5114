"""One compilation cache for the session: many tests compile the same small programs, some in their own processes."""

import atexit
import os
import shutil
import tempfile

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # set by the first process; workers and subprocesses inherit it
    folder = tempfile.mkdtemp(prefix="codax-tests-")
    owner = os.getpid()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
