"""The networks of `regularity` in PyTorch, with the same names of tensors. Used by torch_step.py and torch_parity.py."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F


def conv(c_in, c_out, kernel, stride, bias=False):
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=bias)


class Basic(nn.Module):
    """Two 3x3 convolutions, normalised after each; a projection where the shape changes."""

    def __init__(self, norm, c_in, c_out, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(c_in, c_out, 3, stride), norm(c_out)
        self.conv2, self.bn2 = conv(c_out, c_out, 3, 1), norm(c_out)
        changes = stride != 1 or c_in != c_out
        self.downsample = nn.Sequential(conv(c_in, c_out, 1, stride), norm(c_out)) if changes else None

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class PreActivation(nn.Module):
    """Two 3x3 convolutions, normalised before each; a projection of the first activation where the shape changes."""

    def __init__(self, norm, c_in, c_out, stride):
        super().__init__()
        self.bn1, self.conv1 = norm(c_in), conv(c_in, c_out, 3, stride)
        self.bn2, self.conv2 = norm(c_out), conv(c_out, c_out, 3, 1)
        changes = stride != 1 or c_in != c_out
        self.downsample = nn.Sequential(conv(c_in, c_out, 1, stride)) if changes else None

    def forward(self, x):
        h = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(h))))
        return y + (x if self.downsample is None else self.downsample(h))


class ResNet(nn.Module):
    def __init__(self, norm, block, stem, widths, depth, classes=10):
        super().__init__()
        self.before = block is PreActivation
        self.conv1 = conv(3, stem, 3, 1)
        c_in = stem
        self.stages = len(widths)
        for stage, width in enumerate(widths):
            blocks = []
            for i in range(depth):
                blocks.append(block(norm, c_in, width, 2 if stage and not i else 1))
                c_in = width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn1 = norm(c_in if self.before else stem)
        self.fc = nn.Linear(c_in, classes)

    def forward(self, x):
        x = self.conv1(x)
        if not self.before:
            x = F.relu(self.bn1(x))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        if self.before:
            x = F.relu(self.bn1(x))
        return self.fc(x.mean((2, 3)))


class Vgg16(nn.Module):
    def __init__(self, norm, classes=10):
        super().__init__()
        layers, c_in = [], 3
        for width, count in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
            for _ in range(count):
                layers += [conv(c_in, width, 3, 1, bias=True), norm(width), nn.ReLU()]
                c_in = width
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(c_in, classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def build(name, norm="batch"):
    """The network of that name, as `regularity bench step --model` takes it."""
    make = {"batch": nn.BatchNorm2d, "group": lambda c: nn.GroupNorm(8, c)}[norm]
    if name in ("resnet8", "resnet14", "resnet20"):
        depth = (int(name[6:]) - 2) // 6
        return ResNet(make, Basic, 16, (16, 32, 64), depth)
    if name == "resnet18":
        return ResNet(make, Basic, 64, (64, 128, 256, 512), 2)
    if name == "vgg16":
        return Vgg16(make)
    if name.startswith("wrn-"):
        depth, width = (int(number) for number in name[4:].split("-"))
        return ResNet(make, PreActivation, 16, (16 * width, 32 * width, 64 * width), (depth - 4) // 6)
    raise SystemExit(f"{name} is no network of this script")


def state(net):
    """Parameters and running statistics by name."""
    return OrderedDict((name, x) for name, x in net.state_dict().items() if not name.endswith("num_batches_tracked"))


def sgd(net, lr=0.05, nesterov=False):
    return torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4, nesterov=nesterov)
