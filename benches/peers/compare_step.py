#!/usr/bin/env python3
"""Runs a training step of `regularity` and of PyTorch in turns, and prints how they compare.

    pip install torch numpy && cargo build --release && python3 benches/peers/compare_step.py --threads 2

Each round runs both once, each in a process of its own (A B A B ...), so that a machine that is slower for a while is
slower for both. Figures are medians over the rounds of the median of each run; `best` compares the fastest step of all.
More than 1 means that regularity is faster. Exits with 1 if --floor is given and missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "..", "target"))


def output(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="may be repeated (resnet20)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--isa", default="auto", help="the tier of regularity")
    parser.add_argument("--compile", action="store_true", help="let PyTorch compile the network too")
    parser.add_argument("--floor", type=float, help="fail below this ratio, on any model")
    parser.add_argument("--regularity", default=os.path.join(TARGET, "release", "regularity"))
    args = parser.parse_args()
    print(f"{'model':<12} {'regularity':>12} {'PyTorch':>12}  images/s {'ratio':>8} {'best':>8} {'MiB':>7} {'MiB':>7}")
    ratios = []
    for model in args.model or ["resnet20"]:
        flags = ["--model", model, "--batch", str(args.batch), "--threads", str(args.threads), "--steps", str(args.steps)]
        own = [args.regularity, "bench", "step", *flags, "--isa", args.isa, "--json"]
        peer = [sys.executable, os.path.join(HERE, "torch_step.py"), *flags] + ["--compile"] * args.compile
        runs = ([], [])
        for _ in range(args.rounds):
            text = subprocess.run(own, check=True, stdout=subprocess.PIPE, text=True).stdout
            runs[0].append(json.loads(text))
            runs[1].append(output(peer))
        median = [statistics.median(run["images_per_s"] for run in side) for side in runs]
        best = [min(run["ms_min"] for run in side) for side in runs]
        memory = [max(run["peak_rss_mib"] for run in side) for side in runs]
        ratios.append(median[0] / median[1])
        print(f"{model:<12} {median[0]:>12.1f} {median[1]:>12.1f}           {ratios[-1]:>8.3f} {best[1] / best[0]:>8.3f}"
              f" {memory[0]:>7.0f} {memory[1]:>7.0f}", flush=True)  # fmt: skip
    if args.floor is not None and min(ratios) < args.floor:
        sys.exit(1)


if __name__ == "__main__":
    main()
