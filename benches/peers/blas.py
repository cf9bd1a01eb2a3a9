#!/usr/bin/env python3
"""Times the sgemm of a BLAS library: one JSON line a shape, with the keys of `regularity bench gemm --json`.

    python3 benches/peers/blas.py --library numpy --threads 1
    python3 benches/peers/blas.py --library mkl --threads 2 --shape 512,512,512 --shape 16,144,131072

Libraries: `numpy` (the OpenBLAS inside of numpy: pip install numpy), `mkl` (pip install mkl), or the path of any
shared library with a cblas_sgemm. Matrices are row-major, C = A B with beta = 0.
"""

import argparse
import ctypes
import glob
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SAMPLE_S = 0.01  # as `regularity bench` takes them

# (m, n, k): squares; convolution layers as products; their weight gradients; a classifier.
SHAPES = [
    (256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048),
    (16, 131072, 144), (32, 32768, 288), (64, 8192, 576), (128, 8192, 1152), (256, 2048, 2304), (512, 2048, 4608),
    (16, 144, 131072), (32, 288, 32768), (64, 576, 8192), (128, 1152, 8192),
    (128, 10, 512),
]  # fmt: skip


def shape(text):
    m, n, k = (int(part) for part in text.split(","))
    return m, n, k


def arguments(parser):
    """The arguments that every script about products takes."""
    parser.add_argument("--shape", type=shape, action="append", metavar="M,N,K", help="default: all of the list")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=21)
    default = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "regularity")
    parser.add_argument("--regularity", default=default, metavar="FILE", help="the built program (%(default)s)")


def regularity(program, m, n, k, threads, *flags):
    """The result of `regularity bench gemm`."""
    sizes = ["--m", str(m), "--n", str(n), "--k", str(k), "--threads", str(threads)]
    command = [program, "bench", "gemm", *sizes, "--json", *flags]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def numpy_library():
    import numpy

    folder = os.path.join(os.path.dirname(numpy.__file__), os.pardir, "numpy.libs")
    return first(glob.glob(os.path.join(folder, "*openblas*.so*")), "an OpenBLAS inside of numpy; pip install numpy")


def mkl_library():
    folders = [os.path.join(sys.prefix, "lib"), os.path.expanduser("~/.local/lib"), "/opt/intel/oneapi/mkl/latest/lib"]
    found = [path for folder in folders for path in glob.glob(os.path.join(folder, "libmkl_rt.so*"))]
    return first(found, "libmkl_rt; pip install mkl")


def first(paths, what):
    if not paths:
        sys.exit(f"error: cannot find {what}")
    return sorted(paths)[0]


def load_sgemm(library):
    """The function cblas_sgemm of a library, and whether its integers have 64 bits."""
    path = {"numpy": numpy_library, "mkl": mkl_library}.get(library, lambda: library)()
    handle = ctypes.CDLL(path)
    for name, wide in [("cblas_sgemm", False), ("scipy_cblas_sgemm64_", True), ("cblas_sgemm64_", True)]:
        if hasattr(handle, name):
            return getattr(handle, name), wide
    sys.exit(f"error: {path} has no cblas_sgemm")


def measure(sgemm, wide, m, n, k, repetitions):
    """Gives GFLOP/s of each sample."""
    integer = ctypes.c_int64 if wide else ctypes.c_int
    a, b, c = ((ctypes.c_float * count)() for count in (m * k, k * n, m * n))
    pattern = (ctypes.c_float * 17)(*range(-8, 9))
    for matrix in (a, b):
        size = ctypes.sizeof(matrix)
        ctypes.memmove(matrix, (bytes(pattern) * (size // ctypes.sizeof(pattern) + 1))[:size], size)
    row_major, no_transpose = 101, 111
    one, zero = ctypes.c_float(1), ctypes.c_float(0)
    sizes = [integer(size) for size in (m, n, k)]
    lda, ldb, ldc = integer(k), integer(n), integer(n)
    sgemm.restype = None

    def run(calls):
        start = time.perf_counter()
        for _ in range(calls):
            sgemm(row_major, no_transpose, no_transpose, *sizes, one, a, lda, b, ldb, zero, c, ldc)
        return time.perf_counter() - start

    run(1)
    calls = max(1, round(SAMPLE_S / run(1)))
    run(calls)
    flops = 2.0 * m * n * k * calls
    return [flops / run(calls) / 1e9 for _ in range(repetitions)], calls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", dest="blas", metavar="NAME", default="numpy", help="numpy, mkl, or a path")
    parser.add_argument("--no-peak", action="store_true", help="do not run `regularity` for the multiply-add peak")
    arguments(parser)
    args = parser.parse_args()
    # Read by the libraries when they are loaded.
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS"):
        os.environ[variable] = str(args.threads)
    sgemm, wide = load_sgemm(args.blas)
    for m, n, k in args.shape or SHAPES:
        samples, calls = measure(sgemm, wide, m, n, k, args.repetitions)
        line = {
            "library": args.blas, "m": m, "n": n, "k": k, "threads": args.threads,
            "repetitions": args.repetitions, "calls_per_sample": calls,
            "gflops_median": statistics.median(samples), "gflops_min": min(samples), "gflops_max": max(samples),
        }  # fmt: skip
        if not args.no_peak:
            line["peak_gflops"] = regularity(args.regularity, 64, 64, 64, args.threads)["peak_gflops"]
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
