#!/usr/bin/env python3
"""Compares the written-out forward pass with Hugging Face transformers on every committed folder, in float64.

    python compare_transformers.py [--data tests/data]

Wants transformers and safetensors beside the other requirements; nothing else needs it.  Every hidden state, attention
matrix and logit of every input must agree within 1e-12 of the largest magnitude, greedy decoding must give the same
tokens, and a change of 1e-7 in one weight must be seen, or the comparison itself is blind.

Known to go wrong: T5 and the Llama type compute norms, softmax and rotary tables in float32 even in a float64 model.
Here these few places are widened; rotary angles stay float32 on both sides, their cosine and sine do not.  Its decoders
classify at the token before the first padding, newer ones and the goldens at the last that is not padding.
OPT's last state is projected and cannot be compared where its words have another width; the logits can.  Its ALBERT
counts head masks by layers and fails on two blocks a layer.
"""
import argparse
import contextlib
import os
import sys

import torch
import transformers

import folders
from containers import read_folder, read_json
from families import open_net
from forward_goldens import arrays_of
from make_reference import DATA
from transformers.models.albert import modeling_albert
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.t5 import modeling_t5

CLOSE = 1e-12
QUERY = ("query.weight", "q_lin.weight", "c_attn.weight", "q_proj.weight", ".q.weight")


def wide_rotary(self, x, position_ids):
    angles = (position_ids[:, :, None].type(torch.float32) * self.inv_freq[None, None].type(torch.float32)).type(torch.float64)
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def wide_rotary_of_length(self, x, seq_len):
    cos, sin = wide_rotary(self, x, torch.arange(seq_len)[None])
    return cos[0], sin[0]


def narrow_to_wide(value):
    return torch.float64 if value is torch.float32 else value


@contextlib.contextmanager
def widened():
    """Conversions to float32 inside the models go to float64; OPT's mask, whose type is nowhere said, is made in it."""
    to, narrow, softmax = torch.Tensor.to, torch.Tensor.float, torch.nn.functional.softmax
    bucket = modeling_t5.T5Attention._relative_position_bucket

    def wide_to(self, *places, **more):
        return to(self, *map(narrow_to_wide, places), **{key: narrow_to_wide(value) for key, value in more.items()})

    def own_bucket(*positions, **more):  # its logarithm is float32 on purpose
        torch.Tensor.float, torch.Tensor.to = narrow, to
        try:
            return bucket(*positions, **more)
        finally:
            torch.Tensor.float, torch.Tensor.to = torch.Tensor.double, wide_to

    torch.Tensor.to, torch.Tensor.float = wide_to, torch.Tensor.double
    torch.nn.functional.softmax = lambda x, dim, dtype=None: softmax(x, dim=dim, dtype=narrow_to_wide(dtype))
    modeling_t5.T5Attention._relative_position_bucket = staticmethod(own_bucket)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.Tensor.to, torch.Tensor.float, torch.nn.functional.softmax = to, narrow, softmax
        modeling_t5.T5Attention._relative_position_bucket = staticmethod(bucket)


def widen_rotary():
    """cos and sin of the float32 angles in float64; the frequencies are the model's own."""
    modeling_llama.LlamaRotaryEmbedding.forward = wide_rotary
    modeling_mistral.MistralRotaryEmbedding.forward = wide_rotary
    modeling_qwen2.Qwen2RotaryEmbedding.forward = wide_rotary_of_length


def let_albert_have_blocks():
    group = modeling_albert.AlbertLayerGroup.forward

    def whole(self, states, attention_mask=None, head_mask=None, *more):
        return group(self, states, attention_mask, [None] * len(self.albert_layers), *more)
    modeling_albert.AlbertLayerGroup.forward = whole


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
    """Under the golden names; what transformers does not show (the state before the last norm) is left out."""
    extra = {"token_type_ids": torch.tensor([entry["types"]])} if net.typed else {}
    if "decoder_ids" in entry:
        extra["decoder_input_ids"] = torch.tensor([entry["decoder_ids"]])
    with torch.no_grad(), widened():
        out = model(input_ids=torch.tensor([entry["ids"]]), output_hidden_states=True, output_attentions=True, **extra)
    if "decoder_ids" in entry:
        return {**stack_arrays("encoder", out.encoder_hidden_states, out.encoder_attentions),
                **stack_arrays("decoder", out.decoder_hidden_states, out.decoder_attentions),
                **{f"decoder.cross.probs.{layer}": probs[0] for layer, probs in enumerate(out.cross_attentions, 1)}, "logits": out.logits[0]}
    every = getattr(net, "inner", 1)  # ALBERT shows only the state after all blocks of a layer
    arrays = {f"hidden.{layer * every}": state[0] for layer, state in enumerate(out.hidden_states)}
    arrays.update({f"attention.probs.{layer}": probs[0] for layer, probs in enumerate(flat(out.attentions), 1)})
    if net.is_decoder:
        arrays["hidden.final"] = read = arrays.pop(f"hidden.{net.layers}")
    if net.family == "opt" and (net.words.shape[1] != net.d or not net.has_last_norm):
        del arrays["hidden.final"]
    if net.is_decoder and net.head == "cls":
        padding = net.config.get("pad_token_id")
        last = max(i for i, token in enumerate(entry["ids"]) if token != padding)
        arrays["logits"] = model.score(read[last]).detach()
    elif net.head == "qa":
        arrays["logits"] = torch.stack([out.start_logits[0], out.end_logits[0]], -1)
    else:
        arrays["logits"] = out.logits[0][:, None] if net.head == "disc" else out.logits[0]
    return arrays


def flat(attentions):
    return [probs for layer in attentions for probs in (layer if isinstance(layer, tuple) else (layer,))]


def stack_arrays(stack, states, attentions):
    arrays = {f"{stack}.hidden.{layer}": state[0] for layer, state in enumerate(states)}
    arrays[stack + ".hidden.final"] = arrays.pop(f"{stack}.hidden.{len(states) - 1}")
    return {**arrays, **{f"{stack}.attention.probs.{layer}": probs[0] for layer, probs in enumerate(attentions, 1)}}


def worst_difference(model, net, inputs):
    worst = 0.0
    for entry in inputs.values():
        ours, theirs = arrays_of(net, entry), arrays_by_transformers(model, net, entry)
        hidden = {key for key in ours.keys() - theirs.keys() if "hidden" not in key}
        if hidden or theirs.keys() - ours.keys() or len(theirs) < net.layers + 2:
            raise ValueError(f"different arrays: {sorted(ours)} and {sorted(theirs)}")
        worst = max([worst] + [float((ours[key] - theirs[key]).abs().max() / theirs[key].abs().max()) for key in theirs])
    return worst


def same_greedy(model, golden):
    """Do both write the same?"""
    for key, wanted in golden.get("greedy", {}).items():
        ids, steps = torch.tensor([golden["inputs"][key]["ids"]]), len(wanted["new_ids"])
        with torch.no_grad(), widened():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=steps, min_new_tokens=steps, do_sample=False,
                                 num_beams=1, eos_token_id=None, pad_token_id=0)
        if out[0, -steps:].tolist() != wanted["new_ids"]:
            return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=DATA)
    parser.add_argument("cases", nargs="*", help="names of cases (all)")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    widen_rotary()
    let_albert_have_blocks()
    failed, worst = False, 0.0
    for name in options.cases or folders.CASES:
        folder = os.path.join(options.data, "models", name)
        net, golden = open_net(folder), read_json(os.path.join(options.data, "golden", name + ".json"))
        model = open_model(folder, net)
        equal, greedy = worst_difference(model, net, golden["inputs"]), same_greedy(model, golden)
        query = next(p for key, p in model.named_parameters() if key.endswith(QUERY))
        query.data[0, 0] += 1e-7
        changed = worst_difference(model, net, golden["inputs"])
        good = equal <= CLOSE and changed > 1e-10 and greedy
        failed, worst = failed or not good, max(worst, equal)
        verdict = ("" if good else "  FAILED") + ("" if greedy else ", greedy differs")
        print(f"{name}: {equal:.2g}, with one weight changed {changed:.2g}{verdict}", flush=True)
    print(f"largest difference {worst:.2g}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
