#!/usr/bin/env python3
"""Makes the reference vectors of the tests: tiny random models and what PyTorch in float64 says about them.

    python make_reference.py            writes models/, golden/, tokenizers/, PROVENANCE.json, SHA256SUMS into tests/data
    python make_reference.py --check    makes them again in a temporary folder and compares, writes nothing

Reads nothing but this folder.  When golden arrays change, the largest change of each file is printed.
"""
import argparse
import math
import os
import platform
import sys
import tempfile

import numpy
import tokenizers
import torch

import bytepairs
import folders
import forward_goldens
import generation_goldens
import gradient_goldens
import perturbation_goldens
import unigrams
import wordpieces
from containers import read_json, read_tensors, sha256, write_json

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.normpath(os.path.join(HERE, "..", "..", "tests", "data"))
TREES = ("golden", "models", "tokenizers")
REAL = ("minilm", "tiny-gpt2-random", "stories260K")
CLOSE = 1e-9  # relative to the largest magnitude of an array; other builds of PyTorch differ in the last digits
LOOSE = 1e-6  # `converged` along a path with kinks: bisection may stop one level earlier or later


def make_all(out):
    for name in folders.CASES:
        folders.write_folder(out, name)
        forward_goldens.make(out, name)
        print(f"{name}: folder, forward", flush=True)
    for name in folders.QUESTIONS:
        gradient_goldens.make(out, name)
        perturbation_goldens.make(out, name)
        print(f"{name}: gradients, perturbation", flush=True)
    for name in folders.GENERATIONS:
        generation_goldens.make(out, name)
        print(f"{name}: generation", flush=True)
    for name in folders.TOKENIZER_GOLDENS:
        wordpieces.write_golden(out, name, folders.case_of(name)["tokenizer"], os.path.join(out, "models", name))
    bytepairs.make(out)
    unigrams.write_all(out)
    scripts = sorted(file for file in os.listdir(HERE) if file.endswith(".py"))
    write_json(os.path.join(out, "PROVENANCE.json"), {
        "seed": folders.SEED, "python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__,
        "tokenizers": tokenizers.__version__, "scripts": {file: sha256(os.path.join(HERE, file)) for file in scripts}})


def files_under(out, real=False):
    """Files that are made here, or the golden ones that real_models.py makes of models that are elsewhere."""
    found = [os.path.join(top, file) for tree in TREES for top, _, files in os.walk(os.path.join(out, tree)) for file in files]
    return sorted(os.path.relpath(path, out) for path in found if (os.path.basename(path).split(".")[0] in REAL) == real)


def write_sums(out):
    with open(os.path.join(out, "SHA256SUMS"), "w", encoding="utf-8", newline="\n") as file:
        for path in ["PROVENANCE.json", *sorted(files_under(out) + files_under(out, real=True))]:
            file.write(f"{sha256(os.path.join(out, path))}  {path}\n")


def array_change(old, new):
    """Largest relative change of the arrays of two safetensors files, with the array's name."""
    before, after = read_tensors(old), read_tensors(new)
    if {k: v.shape for k, v in before.items()} != {k: v.shape for k, v in after.items()}:
        return math.inf, "names or shapes"
    worst = (0.0, "")
    for key, value in after.items():
        if not torch.equal(torch.isnan(value), torch.isnan(before[key])):
            return math.inf, key
        value, before[key] = torch.nan_to_num(value), torch.nan_to_num(before[key])
        size = max(float(before[key].abs().max()), 1e-3) if value.numel() else 1.0
        change = float((value - before[key]).abs().max()) / size if value.numel() else 0.0
        worst = max(worst, (change / (LOOSE / CLOSE) if ".converged." in key else change, key))
    return worst


def same_json(old, new):
    if isinstance(old, dict) and isinstance(new, dict):  # measured agreement and error are not results
        keys = (set(old) | set(new)) - {"f32_error", "agreement", "residual", "converged"}
        return all(key in old and key in new and same_json(old[key], new[key]) for key in keys)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(same_json, old, new))
    if isinstance(old, float) and isinstance(new, float):
        return abs(old - new) <= CLOSE * max(1.0, abs(old))
    return old == new


def compare(old_out, new_out):
    """Lines about what differs between two sets of vectors."""
    for path in sorted(set(files_under(old_out)) | set(files_under(new_out))):
        old, new = os.path.join(old_out, path), os.path.join(new_out, path)
        if not (os.path.exists(old) and os.path.exists(new)):
            yield f"{path}: only in one of the two"
        elif sha256(old) == sha256(new):
            continue
        elif path.startswith("golden") and path.endswith(".safetensors"):
            change, key = array_change(old, new)
            if change > CLOSE:
                yield f"{path}: {key} changes by {change:.3g} of its largest magnitude"
        elif not (path.startswith("golden") and same_json(read_json(old), read_json(new))):
            yield f"{path}: differs"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=DATA, help="folder of the vectors (tests/data)")
    parser.add_argument("--check", action="store_true", help="compare with the vectors in --out, write nothing there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as fresh:
        make_all(fresh)
        lines = list(compare(options.out, fresh))
        print("\n".join(lines) if lines else "no change")
        if options.check:
            return 1 if lines else 0
        for tree in TREES:
            os.makedirs(os.path.join(options.out, tree), exist_ok=True)
        for path in files_under(options.out):
            os.remove(os.path.join(options.out, path))
        for path in ["PROVENANCE.json", *files_under(fresh)]:
            target = os.path.join(options.out, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(os.path.join(fresh, path), "rb") as source, open(target, "wb") as copy:
                copy.write(source.read())
        write_sums(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
