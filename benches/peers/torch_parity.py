#!/usr/bin/env python3
"""Compares a training run of `regularity` with PyTorch, number by number, from the same weights and images.

    pip install torch numpy safetensors && cargo build --release && python3 benches/peers/torch_parity.py

For each network: logits, loss and every gradient of the first step, then all parameters and running statistics after
three steps of SGD, against PyTorch in double and in single precision. A difference is relative to the largest number of
its tensor; for the bias of a convolution, whose gradient before a batch normalisation is zero but for rounding, to the
largest of the convolution's weight; else at least to a thousandth of the largest gradient of the network. Exits with 1 if
one from double precision is 1e-4 or more; those from single precision hold PyTorch's own rounding too.

A gradient jumps where a rectifier's input passes zero, or another element of a pooling window becomes the largest. Among
millions of inputs some lie so near that rounding decides, and then two correct programs differ by far more than rounding:
PyTorch in single precision from PyTorch in double, too. So PyTorch takes here the branches that `regularity` took
(`activations-N.safetensors`), and it is checked that rounding alone could have decided: `flipped` counts the branches
that PyTorch would have taken otherwise, and `margin` is the largest input among them, relative to the root mean square
of its tensor; in double precision it must be under 1e-4 as well. `--free` lets PyTorch take its own branches, to show what that does.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from torch_models import build, sgd, state

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "..", "target"))
CASES = [("resnet20", "batch"), ("wrn-16-2", "batch"), ("resnet18", "group"), ("vgg16", "batch")]
RELU, MAX_POOL = F.relu, F.max_pool2d
LIMIT = 1e-4


class Branches:
    """While active, rectifiers and poolings decide as the given activations say, in the order of the forward pass."""

    def __init__(self, activations):
        self.activations = activations
        self.flipped, self.margin = 0, 0.0

    def __enter__(self):
        F.relu, F.max_pool2d = self.relu, self.max_pool
        self.next = iter(self.activations)
        return self

    def __exit__(self, *_):
        F.relu, F.max_pool2d = RELU, MAX_POOL
        assert next(self.next, None) is None, "an activation of regularity that PyTorch does not have"

    def relu(self, z, inplace=False):
        self.last = next(self.next)
        assert self.last.shape == z.shape, (self.last.shape, z.shape)
        passes = self.last > 0
        differ = passes != (z > 0)
        if differ.any():
            self.flipped += int(differ.sum())
            scale = z.detach().square().mean().sqrt()
            self.margin = max(self.margin, (z.detach()[differ].abs().max() / scale).item())
        return torch.where(passes, z, torch.zeros((), dtype=z.dtype))

    def max_pool(self, x, *args, **kwargs):
        where = MAX_POOL(self.last.to(x.dtype), *args[:3], return_indices=True)[1]
        taken = x.flatten(2).gather(2, where.flatten(2)).view(where.shape)
        short = MAX_POOL(x.detach(), *args[:3]) - taken.detach()
        if (short > 0).any():
            self.flipped += int((short > 0).sum())
            self.margin = max(self.margin, (short.max() / x.detach().square().mean().sqrt()).item())
        return taken


def differences(expected, actual, floor=0.0):
    for name, x in expected.items():
        scale = max(x.abs().max().item(), floor, 1e-30)
        weight = expected.get(name.replace(".bias", ".weight"))
        if weight is not None and weight.dim() == 4:
            scale = max(scale, weight.abs().max().item())
        yield (actual[name].to(x.dtype).reshape(x.shape) - x).abs().max().item() / scale, name


def order(model):
    """The names of the rectified layers in the order of the forward pass."""
    if model == "vgg16":
        return [f"features.{i}" for i, layer in enumerate(build(model).features) if hasattr(layer, "running_var")]
    names = [name for name, _ in build(model).named_modules() if name.split(".")[-1] in ("bn1", "bn2")]
    first = [] if model.startswith("wrn") else ["bn1"]
    return first + [name for name in names if "." in name] + ([] if first else ["bn1"])


def run(args, model, norm, files, dtype):
    """PyTorch's own steps: what is compared, and the branches that it would have taken otherwise."""
    weights, batch, activations = files["weights"], files["batch"], files["activations"]
    net = build(model, norm).to(dtype)
    net.load_state_dict({name: x.to(dtype) for name, x in weights.items()}, strict=False)
    missing = set(state(net)) ^ set(weights)
    assert not missing, f"tensors that one side lacks: {sorted(missing)}"
    x, y = batch["images"].permute(0, 3, 1, 2).to(dtype), batch["labels"].long()
    optimizer = sgd(net)
    flipped, margin, first = 0, 0.0, None
    for step in range(args.steps):
        optimizer.zero_grad()
        if args.free:
            logits = net(x)
        else:
            with Branches([activations[step][name].permute(0, 3, 1, 2) for name in order(model)]) as branches:
                logits = net(x)
            flipped, margin = flipped + branches.flipped, max(margin, branches.margin)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        if step == 0:
            gradients = {name: p.grad.detach().clone() for name, p in net.named_parameters()}
            first = {"logits": logits.detach(), "loss": loss.detach()}, gradients
        optimizer.step()
    return *first, dict(state(net)), flipped, margin


def compare(args, model, norm, folder):
    command = [args.regularity, "bench", "exchange", "--model", model, "--norm", norm, "--batch", str(args.batch)]
    command += ["--steps", str(args.steps), "--out", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    load = lambda name: load_file(os.path.join(folder, f"{name}.safetensors"))
    files = {name: load(name) for name in ("weights", "batch", "first", "after")}
    files["activations"] = [load(f"activations-{step}") for step in range(args.steps)]
    for dtype in (torch.float64, torch.float32):
        outputs, gradients, after, flipped, margin = run(args, model, norm, files, dtype)
        largest = max(g.abs().max().item() for g in gradients.values())
        ours = {name: files["first"][f"gradient.{name}"] for name in gradients}
        results = [(name, *next(differences({name: x}, files["first"]))) for name, x in outputs.items()]
        results.append(("gradient", *max(differences(gradients, ours, 1e-3 * largest))))
        results.append((f"after {args.steps} steps", *max(differences(after, files["after"], 1e-3))))
        for what, difference, name in results:
            print(f"{model:<10} {norm:<6} {str(dtype)[6:]:<8} {what:<14} {difference:.2e}  {name}", flush=True)
        if not args.free:
            print(f"{model:<10} {norm:<6} {str(dtype)[6:]:<8} {'flipped':<14} {flipped}  margin {margin:.2e}", flush=True)
        if dtype == torch.float64:
            worst = max(margin, *(difference for _, difference, _ in results))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="one of the networks; repeat it for several (default: all)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--free", action="store_true", help="let PyTorch take its own branches")
    parser.add_argument("--regularity", default=os.path.join(TARGET, "release", "regularity"))
    args = parser.parse_args()
    torch.manual_seed(0)
    worst = 0.0
    for model, norm in CASES:
        if args.model is None or model in args.model:
            with tempfile.TemporaryDirectory() as folder:
                worst = max(worst, compare(args, model, norm, folder))
    print(f"largest relative difference from double precision {worst:.2e}, at batch {args.batch}")
    sys.exit(int(worst >= LIMIT))


if __name__ == "__main__":
    main()
