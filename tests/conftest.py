"""One thread for the arithmetic of all tests: with two, a busy neighbour slows the small products a hundredfold."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
