#!/usr/bin/env python3
"""Prints random.txt: the published test vectors of the random draws and of the digests.

    python3 engine/tests/vectors/random.py > engine/tests/vectors/random.txt

A second implementation, from the definitions in the documentation of `random` and `digest` alone. It needs nothing
but Python's standard library; the normal quantile is computed there by bisection of erfc in 60-digit decimals.
"""

import hashlib
import struct
from decimal import Decimal, getcontext
from fractions import Fraction

getcontext().prec = 60
WORD = 0xFFFFFFFF


def rotate(x, n):
    return ((x << n) | (x >> (32 - n))) & WORD


def chacha8(key, nonce, counter):
    """The 16 words of a block; the key is 32 bytes."""
    start = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    start += [counter & WORD, counter >> 32, nonce & WORD, nonce >> 32]
    x = start[:]
    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for _ in range(4):
        for a, b, c, d in columns + diagonals:
            for (i, j, k), n in zip([(a, b, d), (c, d, b), (a, b, d), (c, d, b)], [16, 12, 8, 7]):
                x[i] = (x[i] + x[j]) & WORD
                x[k] = rotate(x[k] ^ x[i], n)
    return [(p + q) & WORD for p, q in zip(x, start)]


# Test case 1 of the published set for ChaCha8 with 256-bit keys: all of key and nonce zero.
assert struct.pack("<16I", *chacha8(bytes(32), 0, 0))[:16].hex() == "3e00ef2f895f40d67f5bb8e81f09a5a1"


class Stream:
    def __init__(self, seed, purpose, step):
        text = b"regularity/random/1" + seed.to_bytes(8, "little") + purpose.encode()
        self.key, self.step = hashlib.sha256(text).digest(), step

    def u32(self, i):
        return chacha8(self.key, self.step, 16 * (i // 256) + i % 16)[i // 16 % 16]

    def u64(self, i):
        block = chacha8(self.key, self.step, 16 * (i // 128) + i % 16)
        word = 2 * (i // 16 % 8)
        return block[word] + (block[word + 1] << 32)

    def below(self, i, n):
        return self.u64(i) * n >> 64

    def shuffle(self, items, count=None, first=0):
        items = list(items)
        for i in range(len(items) if count is None else count):
            j = i + self.below(first + i, len(items) - i)
            items[i], items[j] = items[j], items[i]
        return items

    def class_balanced(self, labels, per_class, exclude):
        chosen = []
        for c, k in enumerate(per_class):
            candidates = [i for i, label in enumerate(labels) if label == c and i not in exclude]
            chosen.append(self.shuffle(candidates, k, c << 32)[:k])
        return [s[r] for r in range(max(per_class)) for s in chosen if r < len(s)]


def exp(x):
    return x.exp()


def pi():
    """By Machin's formula."""

    def arctan_inverse(n):
        total, term, k = Decimal(0), Decimal(1) / n, 0
        while abs(term) > Decimal(10) ** -62:
            total += term / (2 * k + 1) * (-1) ** k
            term /= n * n
            k += 1
        return total

    return 4 * (4 * arctan_inverse(5) - arctan_inverse(239))


ROOT_TWO_PI = (2 * pi()).sqrt()


def phi(z):
    """The standard normal distribution function less 1/2: z exp(-z^2/2) sum z^2k / (1 3 5 ... (2k+1)) / sqrt(2 pi)."""
    total, term, k = Decimal(0), z, 0
    while abs(term) > Decimal(10) ** -58:
        total += term
        k += 1
        term *= z * z / (2 * k + 1)
    return total * exp(-z * z / 2) / ROOT_TWO_PI


def f32_bits(x):
    """The bits of the f32 nearest to a Decimal or Fraction, ties to even."""
    x = Fraction(x)
    if x == 0:
        return 0
    sign, x = (0x80000000, -x) if x < 0 else (0, x)
    e = -126
    while x >= Fraction(2) ** (e + 1):
        e += 1
    while e > -126 and x < Fraction(2) ** e:
        e -= 1
    scaled = x / Fraction(2) ** (e - 23)  # round() of a Fraction is to nearest, ties to even
    return sign + ((e + 126) << 23) + round(scaled)


def f32(bits):
    return Fraction(struct.unpack("<f", struct.pack("<I", bits))[0])


def normal_quantile(word):
    if word < 1 << 31:
        return normal_quantile(word ^ WORD) | 0x80000000
    target = Decimal(2 * word + 1) / Decimal(1 << 33) - Decimal("0.5")
    low, high = Decimal(0), Decimal(7)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if phi(middle) < target else (low, middle)
    assert f32_bits(low) == f32_bits(high)
    return f32_bits(low)


def fma(a, b, c):
    return f32_bits(f32(a) * f32(b) + f32(c))


def scaled_uniform(word, low, high):
    """low and high as f32 numbers whose difference is one, too."""
    x = fma(f32_bits(Fraction(word >> 8, 1 << 24)), f32_bits(Fraction(high) - Fraction(low)), f32_bits(Fraction(low)))
    assert f32(x) < Fraction(high)
    return x


def line(kind, *fields):
    *fields, values = fields
    print(" | ".join([kind, *map(str, fields), " ".join(values)]))


def hexadecimal(values, digits):
    return [f"{v:0{digits}x}" for v in values]


def main():
    print("# draw | seed | purpose | step | arguments | values (floats as their bits)")
    indices = [0, 1, 15, 16, 17, 255, 256, 1000, 1 << 32, (1 << 64) - 1]
    for seed, purpose, step in [
        (0, "", 0),
        (0, "init/conv1.weight", 0),
        (1, "init/conv1.weight", 0),
        (1, "augment/flip", 0),
        (1, "augment/flip", 1),
        ((1 << 64) - 1, "bruit d’étiquettes", (1 << 64) - 1),
    ]:
        s = Stream(seed, purpose, step)
        fields = (seed, purpose, step)
        line("u32", *fields, " ".join(map(str, indices)), hexadecimal(map(s.u32, indices), 8))
        line("u64", *fields, " ".join(map(str, indices)), hexadecimal(map(s.u64, indices), 16))
    s, fields = Stream(42, "test", 3), (42, "test", 3)
    ten = range(10)
    text = " ".join(map(str, ten))
    line("uniform", *fields, text, hexadecimal((f32_bits(Fraction(s.u32(i) >> 8, 1 << 24)) for i in ten), 8))
    bits = [struct.unpack("<Q", struct.pack("<d", (s.u64(i) >> 11) / 2**53))[0] for i in ten]
    line("uniform_f64", *fields, text, hexadecimal(bits, 16))
    line("fill_uniform -0.25 0.75", *fields, text, hexadecimal((scaled_uniform(s.u32(i), -0.25, 0.75) for i in ten), 8))
    z = [normal_quantile(s.u32(i)) for i in ten]
    line("fill_normal 0 1", *fields, text, hexadecimal(z, 8))
    half, mean = f32_bits(Fraction(1, 2)), f32_bits(Fraction(1, 8))
    line("fill_normal 0.125 0.5", *fields, text, hexadecimal((fma(v, half, mean) for v in z), 8))
    for n in [1, 2, 10, 1000, (1 << 64) - 1]:
        line(f"below {n}", *fields, text, map(str, (s.below(i, n) for i in ten)))
    for p in [0.0, 0.1, 0.5, 0.9, 1.0]:
        threshold = (Fraction(p) * 2**32 + Fraction(1, 2)) // 1
        line(f"bernoulli {p}", *fields, text, (str(int(s.u32(i) < threshold)) for i in ten))
    line("permutation", *fields, "20", map(str, s.shuffle(range(20))))
    line("permutation", *fields, "300, the last 10", map(str, s.shuffle(range(300))[-10:]))
    line("sample", *fields, "1000 10", map(str, s.shuffle(range(1000))[:10]))
    labels = [i * i % 11 % 3 for i in range(40)]
    line("class_balanced", *fields, "i^2 mod 11 mod 3, i < 40; 4 2 3; less 0 1 2", map(str, s.class_balanced(labels, [4, 2, 3], [0, 1, 2])))

    number = lambda n: struct.pack("<Q", n)
    text = lambda t: number(len(t.encode())) + t.encode()
    tensor = lambda name, dtype, shape, data: (
        text(name) + text(dtype) + number(len(shape)) + b"".join(map(number, shape)) + data
    )
    digest = lambda *tensors: [hashlib.sha256(b"regularity/digest/1" + b"".join(tensors)).hexdigest()]
    weight = tensor("weight", "f32", [2, 3], struct.pack("<6f", 1, 2, 3, 4, 5, 6))
    line("digest", "nothing", digest())
    line("digest", "weight, step", digest(weight, tensor("step", "u64", [], struct.pack("<Q", 7))))
    line(
        "digest",
        "all types",
        digest(
            tensor("é", "f64", [1, 2], struct.pack("<2d", -0.0, 5e-324)),
            tensor("", "u8", [3], bytes([0, 1, 255])),
            tensor("u", "u32", [1], struct.pack("<I", 0xDEADBEEF)),
            tensor("i", "i64", [2], struct.pack("<2q", -1, -(1 << 63))),
            tensor("empty", "f32", [5, 0], b""),
        ),
    )
    line("digest", "10000 f32", digest(tensor("x", "f32", [10000], b"".join(struct.pack("<f", i) for i in range(10000)))))


main()
