"""Quick compilation, and one cache of it for the session: many tests compile the same small programs.

Small networks compile for seconds and run for milliseconds, so LLVM optimises nothing here; XLA's own passes remain.
With XLA_FLAGS set (to nothing, say) the suite runs as codax does for its users.
"""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # set by the first process; workers and subprocesses inherit it
    folder = tempfile.mkdtemp(prefix="codax-tests-")
    owner = os.getpid()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
