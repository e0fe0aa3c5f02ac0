"""golden/<case>.*: ids, hidden states, attention, logits of every input, and how far float32 is from float64."""
import os

import torch
from tokenizers import Tokenizer

import corpus
import folders
import wordpieces
from containers import Golden, random_state
from forward_pass import Net


def tokenizer_of(folder, case):
    path = os.path.join(folder, "tokenizer.json")
    return Tokenizer.from_file(path) if os.path.exists(path) else wordpieces.build(case["tokenizer"])


def inputs_of(name, net, tokenizer):
    """Input name -> fields of the golden file.  An input of ids alone has no text."""
    case = folders.case_of(name)
    found = {}
    for key, text in case["inputs"].items():
        if key == "pair" and net.family != "bert":
            continue
        first, second = text if isinstance(text, tuple) else (text, None)
        found[key] = {"text": first, "pair": second, **wordpieces.encode(tokenizer, first, second)}
    if "mid" not in found:
        return found

    def ids_alone(ids, types=None):
        return {"text": None, "pair": None, "ids": ids, "types": types or [0] * len(ids)}

    found["one"] = ids_alone([tokenizer.token_to_id("[CLS]")])
    body = tokenizer.encode(corpus.LONG, add_special_tokens=False).ids[:folders.POSITIONS - 2]
    if net.head == "mlm":
        body[17] = tokenizer.token_to_id("[MASK]")
    found["full"] = ids_alone([tokenizer.token_to_id("[CLS]"), *body, tokenizer.token_to_id("[SEP]")])
    if net.family == "bert":
        ids = found["mid"]["ids"]
        found["types-odd"] = ids_alone(ids, random_state(folders.SEED, name, "types").randint(0, 2, len(ids)).tolist())
    return found


def arrays_of(net, entry):
    with torch.no_grad():
        out = net.run(torch.tensor([entry["ids"]]), torch.tensor([entry["types"]]))
    arrays = {f"hidden.{layer}": state[0] for layer, state in enumerate(out.hidden)}
    arrays.update({f"attention.probs.{layer}": probs[0] for layer, probs in enumerate(out.attention, 1)})
    arrays["logits"] = out.logits[0]
    return arrays


def describe_logits(net, tokenizer, entry, logits):
    if net.head == "mlm":
        mask = tokenizer.token_to_id("[MASK]")
        entry["mask_positions"] = [i for i, token in enumerate(entry["ids"]) if token == mask]
        best = {i: torch.topk(logits[i], 5) for i in entry["mask_positions"]}
        entry["top5"] = {str(i): [[int(k), float(v)] for v, k in zip(*top)] for i, top in best.items()}
        return
    single = net.labels > 1 and net.problem != "multi_label_classification"
    entry["logits"] = logits.tolist()
    entry["probabilities"] = (torch.softmax(logits, -1) if single else torch.sigmoid(logits)).tolist()
    if not single:
        entry["probabilities_note"] = "sigmoid of each logit; a regression model shows the raw logit"


def widen_error(error, single, double):
    for key, want in double.items():
        group = "logits" if key == "logits" else "attention" if "probs" in key else "hidden"
        now = error.setdefault(group, {"max_abs": 0.0, "max_magnitude": 0.0, "max_rel_to_magnitude": 0.0})
        difference, size = float((single[key].double() - want).abs().max()), float(want.abs().max())
        for field, value in zip(now, (difference, size, difference / size)):
            now[field] = max(now[field], value)


def thinned(net, key, entry, arrays):
    """Long inputs would make large files: a few rows of the vocabulary, and of `full` the first and last states."""
    if net.head == "mlm" and key in ("full", "types-odd"):
        entry["logit_rows"] = list(range(0, len(entry["ids"]), 9))
        arrays["logits"] = arrays["logits"][entry["logit_rows"]]
    if key == "full":
        wanted = ("hidden.0", f"hidden.{net.layers}", f"attention.probs.{net.layers}", "logits")
        return {array: arrays[array] for array in wanted}
    return arrays


def make(out, name):
    folder = os.path.join(out, "models", name)
    net, single = Net(folder), Net(folder, torch.float32)
    tokenizer = tokenizer_of(folder, folders.case_of(name))
    golden, error = Golden(out, name), {}
    golden.json = {"case": name, "stage": "forward", "model_type": net.family, "architecture": net.config["architectures"][0],
                   "head": net.head, "seed": folders.SEED, "layers": net.layers, "layers_decoder": None, "heads": net.heads,
                   "hidden_size": net.d, "arrays": "float64", "inputs": {}}
    for key, entry in inputs_of(name, net, tokenizer).items():
        arrays = arrays_of(net, entry)
        widen_error(error, arrays_of(single, entry), arrays)
        describe_logits(net, tokenizer, entry, arrays["logits"])
        for array, value in thinned(net, key, entry, arrays).items():
            golden.put(f"{key}.{array}", value)
        golden.json["inputs"][key] = entry
    golden.json["f32_error"] = {"hand float32": error}
    golden.save()
