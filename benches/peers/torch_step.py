#!/usr/bin/env python3
"""Times a training step of PyTorch: forward, backward, SGD with momentum and weight decay, f32, on random images.

    pip install torch numpy && python3 benches/peers/torch_step.py --model resnet20 --threads 2

Prints one JSON object. PyTorch at its best: channels_last, and an allocator that keeps what it frees and uses huge
pages (a second process is started with glibc's tunables set; `--plain-allocator` leaves them alone). `--compile` adds
torch.compile, whose first step takes long and is not counted.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time

TUNABLES = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in [
        ("hugetlb", 1),
        ("mmap_threshold", 4294967296),
        ("trim_threshold", 8589934592),
        ("top_pad", 268435456),
    ]
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--norm", default="batch", choices=["batch", "group"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-first", action="store_true")
    parser.add_argument("--plain-allocator", action="store_true")
    args = parser.parse_args()
    if not args.plain_allocator and os.environ.get("GLIBC_TUNABLES") != TUNABLES:
        # The C library reads them when a process starts.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "GLIBC_TUNABLES": TUNABLES})
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch
    from torch.nn import functional as F

    from torch_models import build, sgd

    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(1)
    layout = torch.contiguous_format if args.channels_first else torch.channels_last
    net = build(args.model, args.norm).to(memory_format=layout)
    shape = (args.batch, 3, args.size, args.size)
    batches = [
        (torch.randn(shape).contiguous(memory_format=layout), torch.randint(0, 10, (args.batch,))) for _ in range(4)
    ]
    optimizer = sgd(net)
    run = torch.compile(net) if args.compile else net
    times = []
    for step in range(args.warm_up + args.steps):
        x, y = batches[step % 4]
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(run(x), y).backward()
        optimizer.step()
        times.append(1e3 * (time.perf_counter() - start))
    first, times = times[0], times[args.warm_up :]
    median = statistics.median(times)
    print(
        json.dumps(
            {
                "model": args.model,
                "version": torch.__version__,
                "threads": args.threads,
                "batch": args.batch,
                "compile": args.compile,
                "first_ms": first,
                "ms_median": median,
                "ms_min": min(times),
                "ms_max": max(times),
                "images_per_s": 1e3 * args.batch / median,
                "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
