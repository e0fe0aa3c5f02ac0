#!/usr/bin/env python3
"""Tokray's tokenizers against the Rust library `tokenizers`, one thread each, same tokenizer and text, in turns.

    python tokenizers_peer.py --program BUILD/bench/bench_tokenizer --text TEXT... FOLDER[=FAMILY]...

Every line of a text is encoded with special tokens.  For the library the faster of line-by-line and batch calls counts.  Both
sides must give the same ids: a hash over all of them is compared.  The ratio is Tokray's speed over the library's.
"""
import os

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
import pathlib
import statistics
import subprocess
import sys
import time

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors


def open_peer(folder):
    """tokenizer.json as it is, or GPT-2's parts around vocab.json and merges.txt."""
    whole = folder / "tokenizer.json"
    begun = time.perf_counter()
    if whole.exists():
        tokenizer = Tokenizer.from_file(str(whole))
    else:
        tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=False)])
    return tokenizer, 1e3 * (time.perf_counter() - begun)


def hash_ids(encodings):
    value = 0xCBF29CE484222325
    for encoding in encodings:
        for token in encoding.ids:
            value = (value ^ token) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def time_peer(tokenizer, lines):
    begun = time.perf_counter()
    for line in lines:
        tokenizer.encode(line)
    single = time.perf_counter() - begun
    begun = time.perf_counter()
    tokenizer.encode_batch(lines)
    return min(single, time.perf_counter() - begun)


def time_ours(program, folder, family, text):
    """Seconds, tokens, hash and milliseconds of opening; the second round of two, caches warm."""
    out = subprocess.run([program, "--rounds", "2", folder, family, text], check=True, capture_output=True, text=True).stdout
    opened, speed, _, tokens, ids = out.strip().split("\n")[-1].split(",")
    return float(speed), int(tokens), ids, float(opened)


def compare(options, folder, family, text):
    tokenizer, peer_open = open_peer(pathlib.Path(folder))
    content = pathlib.Path(text).read_bytes()
    lines = content.decode().split("\n")
    peer_hash = hash_ids(tokenizer.encode_batch(lines))
    ours, theirs, opened = [], [], []
    for _ in range(options.rounds):
        speed, tokens, ids, open_ms = time_ours(options.program, folder, family, text)
        ours.append(speed)
        opened.append(open_ms)
        theirs.append(len(content) / 1e6 / time_peer(tokenizer, lines))
    a, b = statistics.median(ours), statistics.median(theirs)
    rate = a * 1e6 / len(content) * tokens
    print(f"{pathlib.Path(folder).name:20} {pathlib.Path(text).name:16} {a:8.2f} MB/s {rate:10.0f} tokens/s   tokenizers {b:6.2f} MB/s"
          f"   ratio {a / b:5.2f}   open {statistics.median(opened):5.0f} ms / {peer_open:5.0f} ms   ids {'equal' if ids == peer_hash else 'DIFFER'}",
          flush=True)
    return ids == peer_hash


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--text", action="append", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("folders", nargs="+", help="FOLDER, or FOLDER=FAMILY where there are only vocabulary files")
    options = parser.parse_args()
    same = True
    for entry in options.folders:
        folder, _, family = entry.partition("=")
        for text in options.text:
            same &= compare(options, folder, family or "bert", text)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
