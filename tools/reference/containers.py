"""Files: safetensors in and out, JSON, golden pairs, and numbers that depend on nothing but a seed and a name.

Written out here instead of using the safetensors package, so that the vectors are made by a second, independent
reading of the format.  Known to go wrong: the order of tensors in the file (data type size first, then name), and the
header length, which need not be a multiple of 8.
"""
import hashlib
import json
import os

import numpy as np
import torch

DTYPES = {  # safetensors name -> (torch type, bytes of one element)
    "F64": (torch.float64, 8), "I64": (torch.int64, 8), "F32": (torch.float32, 4),
    "F16": (torch.float16, 2), "BF16": (torch.bfloat16, 2),
}
NAMES = {torch_type: name for name, (torch_type, _) in DTYPES.items()}


def random_state(*key):
    """A generator fixed by its key.  RandomState's streams are frozen: they are the same in every numpy release."""
    digest = hashlib.sha256("|".join(str(part) for part in key).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4").tolist())


def raw_bytes(tensor):
    tensor = tensor.detach().contiguous()
    if tensor.dtype is torch.bfloat16:  # numpy has no bfloat16
        tensor = tensor.view(torch.int16)
    return tensor.numpy().tobytes()


def write_tensors(path, tensors, metadata=None, odd_header=False):
    """tensors: name -> torch tensor.  odd_header leaves out the usual padding and makes the data start at an odd byte."""
    order = sorted(tensors, key=lambda name: (-DTYPES[NAMES[tensors[name].dtype]][1], name))
    header, offset, chunks = {}, 0, []
    if metadata:
        header["__metadata__"] = metadata
    for name in order:
        data = raw_bytes(tensors[name])
        header[name] = {"dtype": NAMES[tensors[name].dtype], "shape": list(tensors[name].shape),
                        "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        chunks.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * ((1 - len(text) % 2) if odd_header else (-len(text) % 8))
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(chunks))


def read_tensors(path):
    with open(path, "rb") as file:
        blob = file.read()
    start = 8 + int.from_bytes(blob[:8], "little")
    tensors = {}
    for name, entry in json.loads(blob[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        torch_type, _ = DTYPES[entry["dtype"]]
        data = bytearray(blob[start + begin:start + end])
        tensor = torch.frombuffer(data, dtype=torch_type) if data else torch.empty(0, dtype=torch_type)
        tensors[name] = tensor.reshape(entry["shape"])
    return tensors


def read_folder(folder):
    """All tensors of a model folder, one file or shards with an index."""
    index = os.path.join(folder, "model.safetensors.index.json")
    if not os.path.exists(index):
        return read_tensors(os.path.join(folder, "model.safetensors"))
    tensors = {}
    for shard in sorted(set(read_json(index)["weight_map"].values())):
        tensors.update(read_tensors(os.path.join(folder, shard)))
    return tensors


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write_json(path, value, indent=1):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        json.dump(value, file, ensure_ascii=False, indent=indent, allow_nan=False)
        file.write("\n")


class Golden:
    """golden/<name>.json and golden/<name>.safetensors, filled piece by piece."""

    def __init__(self, out, name):
        self.base = os.path.join(out, "golden", name)
        self.json, self.arrays = {}, {}

    def put(self, key, value, with_nan=False):
        tensor = torch.as_tensor(value).detach().clone()
        if key in self.arrays or tensor.dtype not in (torch.float64, torch.int64):
            raise ValueError(f"{self.base}: {key} is there already or is {tensor.dtype}")
        if tensor.dtype is torch.float64 and not (torch.isfinite(tensor) | (torch.isnan(tensor) if with_nan else False)).all():
            raise ValueError(f"{self.base}: {key} is not finite")
        self.arrays[key] = tensor

    def save(self):
        os.makedirs(os.path.dirname(self.base), exist_ok=True)
        write_tensors(self.base + ".safetensors", self.arrays)
        write_json(self.base + ".json", self.json)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
