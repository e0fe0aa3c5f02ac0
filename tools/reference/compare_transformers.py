#!/usr/bin/env python3
"""Compares the written-out forward pass with Hugging Face transformers on every committed folder, in float64.

    python compare_transformers.py [--data tests/data]

Wants transformers and safetensors beside the other requirements; nothing else needs it.  Every hidden state, attention
matrix and logit of every input must agree within 1e-12 of the largest magnitude, and a change of 1e-7 in one weight
must be seen, or the comparison itself is blind.
"""
import argparse
import os
import sys

import torch
import transformers

import folders
from containers import read_folder, read_json
from forward_goldens import arrays_of
from forward_pass import Net
from make_reference import DATA

CLOSE = 1e-12


def open_model(folder, net):
    model_class = getattr(transformers, net.config["architectures"][0])
    state = None
    if net.prefix == "":  # transformers 4 refuses a head beside a body without prefix, 5 reads it: put the prefix back
        body = net.names["prefix"]
        state = {key if key.startswith("cls.") else body + key: tensor for key, tensor in read_folder(folder).items()}
    # Weights are widened after loading, so a float16 file must not be rounded again on the way.
    model = model_class.from_pretrained(None if state else folder, config=transformers.AutoConfig.from_pretrained(folder),
                                        state_dict=state, attn_implementation="eager", torch_dtype=torch.float32)
    return model.to(torch.float64).eval()


def arrays_by_transformers(model, net, entry):
    extra = {"token_type_ids": torch.tensor([entry["types"]])} if net.family == "bert" else {}
    with torch.no_grad():
        out = model(input_ids=torch.tensor([entry["ids"]]), output_hidden_states=True, output_attentions=True, **extra)
    arrays = {f"hidden.{layer}": state[0] for layer, state in enumerate(out.hidden_states)}
    arrays.update({f"attention.probs.{layer}": probs[0] for layer, probs in enumerate(out.attentions, 1)})
    arrays["logits"] = out.logits[0]
    return arrays


def worst_difference(model, net, inputs):
    worst = 0.0
    for entry in inputs.values():
        ours, theirs = arrays_of(net, entry), arrays_by_transformers(model, net, entry)
        if ours.keys() != theirs.keys():
            raise ValueError(f"different arrays: {sorted(ours)} and {sorted(theirs)}")
        worst = max([worst] + [float((ours[key] - theirs[key]).abs().max() / theirs[key].abs().max()) for key in theirs])
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=DATA)
    data = parser.parse_args().data
    failed = False
    for name in folders.CASES:
        folder = os.path.join(data, "models", name)
        net, inputs = Net(folder), read_json(os.path.join(data, "golden", name + ".json"))["inputs"]
        model = open_model(folder, net)
        equal = worst_difference(model, net, inputs)
        query = next(p for key, p in model.named_parameters() if key.endswith(("query.weight", "q_lin.weight")))
        query.data[0, 0] += 1e-7
        changed = worst_difference(model, net, inputs)
        good = equal <= CLOSE and changed > 1e-10
        failed |= not good
        print(f"{name}: {equal:.2g}, with one weight changed {changed:.2g}{'' if good else '  FAILED'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
