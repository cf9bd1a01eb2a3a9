#!/usr/bin/env python3
"""Runs `regularity bench gemm` and the sgemm of other libraries in turns, and prints how they compare.

    python3 benches/peers/compare_gemm.py --threads 1 --library numpy --library mkl

Each round runs every contestant once, each in a process of its own (A B C A B C ...), so that a machine that is slower
for a while is slower for all. Figures are medians over the rounds of the median of each run; `best` compares the
fastest sample of all. More than 1 means that regularity is faster. Exits with 1 if --floor is given and missed.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys

from blas import SHAPES, arguments, regularity

BLAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "blas.py")


def peer(library, m, n, k, threads, repetitions):
    flags = ["--shape", f"{m},{n},{k}", "--threads", str(threads), "--repetitions", str(repetitions), "--no-peak"]
    command = [sys.executable, BLAS, "--library", library, *flags]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", dest="blas", metavar="NAME", action="append", help="numpy, mkl, or a path; may be repeated (numpy)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--isa", default="auto", help="the tier of regularity")
    parser.add_argument("--floor", type=float, help="fail below this ratio to the best peer, on any shape")
    arguments(parser)
    args = parser.parse_args()
    libraries = args.blas or ["numpy"]
    names = ["regularity", *libraries]
    print(f"{'m,n,k':<18} {'peak':>7} " + "".join(f"{os.path.basename(name)[:12]:>13}" for name in names)
          + f"{'% of peak':>11}{'ratio':>8}{'best':>8}")  # fmt: skip
    ratios, bests = [], []
    for m, n, k in args.shape or SHAPES:
        runs = {name: [] for name in names}
        for _ in range(args.rounds):
            flags = ["--isa", args.isa, "--repetitions", str(args.repetitions)]
            runs["regularity"].append(regularity(args.regularity, m, n, k, args.threads, *flags))
            for library in libraries:
                runs[library].append(peer(library, m, n, k, args.threads, args.repetitions))
        peak = max(run["peak_gflops"] for run in runs["regularity"])
        median = {name: statistics.median(run["gflops_median"] for run in runs[name]) for name in names}
        best = {name: max(run["gflops_max"] for run in runs[name]) for name in names}
        ratios.append(median["regularity"] / max(median[library] for library in libraries))
        bests.append(best["regularity"] / max(best[library] for library in libraries))
        print(f"{f'{m},{n},{k}':<18} {peak:>7.1f} " + "".join(f"{median[name]:>13.1f}" for name in names)
              + f"{100 * best['regularity'] / peak:>11.1f}{ratios[-1]:>8.2f}{bests[-1]:>8.2f}", flush=True)  # fmt: skip
    mean = [math.exp(statistics.fmean(math.log(ratio) for ratio in column)) for column in (ratios, bests)]
    print(f"geometric mean of the ratios {mean[0]:.3f}, of the best {mean[1]:.3f}")
    print(f"least ratio {min(ratios):.3f}, of the best {min(bests):.3f}")
    if args.floor is not None and min(ratios) < args.floor:
        sys.exit(1)


if __name__ == "__main__":
    main()
