#!/usr/bin/env python3
"""What transformers in float32 says about models that other people trained: a few hidden states, and one text.

    python real_models.py minilm FOLDER          sentence-transformers' all-MiniLM-L6-v2 (see README.md for where it comes from)
    python real_models.py tiny-gpt2-random FOLDER
    python real_models.py stories260K FOLDER     as tools/llama2c-to-folder makes it

Writes golden/<name>.json and, for hidden states, golden/<name>.safetensors into tests/data.  The models are not
committed; a test that wants one looks for it and is skipped when it is not there.  `rows` and `columns` say which
elements of hidden.<layer> are kept; layers count from 1, hidden.0 is the state before the first.
Known to go wrong: MiniLM's tokenizer.json pads every text to 128 tokens; GPT-2's last state here is after its last norm.
"""
import argparse
import os

import torch
import transformers
from tokenizers import Tokenizer

from containers import Golden, sha256, write_json
from make_reference import DATA

SENTENCES = {
    "short": "The river runs under the old bridge.",
    "accents": "Anna's café was closed on Monday, so we drank tea at home!",
    "long": "When the rain stopped, the children of the village ran down to the water and found a small red boat that "
            "nobody had seen before; it smelled of salt, tar and unbelievable adventures.",
}
IDS = {"short": [3, 14, 15, 9, 2, 6, 5], "long": [(7 * i * i + 3 * i) % 21 for i in range(40)]}  # its vocabulary has 21 entries
STEP = {"minilm": 16, "tiny-gpt2-random": 1}  # every such column is kept
# The text that doc/stories260K.md of llama2.c (MIT licence) prints for temperature 0.
STORY = '''Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, \
red ball. She wanted to play with it, but it was too high.
Lily's mom said, "Lily, let's go to the park." Lily was sad and didn't know what to do. She said, "I want to play with your ball, \
but I can't find it."
Lily was sad and didn't know what to do. She said, "I'm sorry, Lily. I didn't know what to do."
Lily didn't want to help her mom, so she said, "I'm sorry, mom. I didn't know what to do." Her mom said, "Don't worry, Lily. \
We can help you.'''


def inputs_of(name, folder):
    if name == "tiny-gpt2-random":
        return {key: {"text": None, "ids": ids} for key, ids in IDS.items()}
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return {key: {"text": text, "ids": tokenizer.encode(text).ids} for key, text in SENTENCES.items()}


def described(name, folder):
    return {"case": name, "stage": "real", "library": f"transformers {transformers.__version__}, float32",
            "weights_sha256": sha256(os.path.join(folder, "model.safetensors"))}


def hidden_states(out, name, folder):
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager", torch_dtype=torch.float32).eval()
    golden = Golden(out, name)
    columns = list(range(0, model.config.hidden_size, STEP[name]))
    golden.json = {**described(name, folder), "columns": columns, "inputs": inputs_of(name, folder)}
    last = model.config.num_hidden_layers
    for key, entry in golden.json["inputs"].items():
        ids = entry["ids"]
        rows = entry["rows"] = sorted({0, len(ids) // 2, len(ids) - 1})
        with torch.no_grad():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        for layer, state in enumerate(states):
            array = "final" if layer == last and model.config.model_type == "gpt2" else layer
            golden.put(f"{key}.hidden.{array}", state[0][rows][:, columns].double())
    golden.save()


def story(out, name, folder):
    """256 tokens after <s>, the likeliest each time."""
    model = transformers.LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager", torch_dtype=torch.float32).eval()
    tokenizer, ids, margin = Tokenizer.from_file(os.path.join(folder, "tokenizer.json")), [1], 1.0
    with torch.no_grad():
        for _ in range(256):
            values, best = torch.topk(model(torch.tensor([ids])).logits[0, -1], 2)
            ids.append(int(best[0]))
            margin = min(margin, float(values[0] - values[1]))
    text = tokenizer.decode(ids, skip_special_tokens=True)
    if text != STORY:
        raise SystemExit(f"{folder} writes another text: {text!r}")
    write_json(os.path.join(out, "golden", name + ".json"), {
        **described(name, folder), "text": text, "prompt_ids": ids[:1], "new_ids": ids[1:], "least_margin": margin,
        "note": "greedy; word for word what doc/stories260K.md of llama2.c prints"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=["minilm", "tiny-gpt2-random", "stories260K"])
    parser.add_argument("folder")
    parser.add_argument("--out", default=DATA)
    options = parser.parse_args()
    (story if options.name == "stories260K" else hidden_states)(options.out, options.name, options.folder)


if __name__ == "__main__":
    main()
