"""golden/<case>.*: ids, hidden states, attention, logits of every input, and how far float32 is from float64."""
import os

import torch
from tokenizers import Tokenizer

import corpus
import folders
import more_folders
import wordpieces
from containers import Golden, random_state
from families import open_net

STEPS = 8  # of greedy decoding


def tokenizer_of(folder, case):
    path = os.path.join(folder, "tokenizer.json")
    return Tokenizer.from_file(path) if os.path.exists(path) else folders.tokenizer_of(case)


def mask_of(tokenizer):
    return next((i for i in map(tokenizer.token_to_id, ("[MASK]", "<mask>")) if i is not None), None)


def ids_alone(ids, types=None, **more):
    return {"text": None, "pair": None, "ids": ids, "types": types or [0] * len(ids), **more}


def with_target(tokenizer, source, target):
    """Input of an encoder-decoder: the decoder reads the start token and the target without its last token."""
    ids = tokenizer.encode(target).ids
    return {"text": source, "pair": None, **wordpieces.encode(tokenizer, source), "target_text": target, "target_ids": ids,
            "decoder_ids": [0] + ids[:-1]}


def inputs_of(name, net, tokenizer):
    """Input name -> fields of the golden file.  An input of ids alone has no text."""
    case = folders.case_of(name)
    found = {}
    for key, text in case["inputs"].items():
        if key == "pair" and net.family == "distilbert":
            continue
        first, second = text if isinstance(text, tuple) else (text, None)
        if net.family == "t5":
            found[key] = with_target(tokenizer, first, second)
            continue
        found[key] = {"text": first, "pair": second, **wordpieces.encode(tokenizer, first, second)}
        if net.family == "roberta":
            found[key]["types"] = [0] * len(found[key]["ids"])
    if name in more_folders.CASES:
        found.update(odd_inputs(net, found))
        return found
    if "mid" not in found:
        return found

    found["one"] = ids_alone([tokenizer.token_to_id("[CLS]")])
    body = tokenizer.encode(corpus.LONG, add_special_tokens=False).ids[:folders.POSITIONS - 2]
    if net.head == "mlm":
        body[17] = tokenizer.token_to_id("[MASK]")
    found["full"] = ids_alone([tokenizer.token_to_id("[CLS]"), *body, tokenizer.token_to_id("[SEP]")])
    if net.family == "bert":
        ids = found["mid"]["ids"]
        found["types-odd"] = ids_alone(ids, random_state(folders.SEED, name, "types").randint(0, 2, len(ids)).tolist())
    return found


def odd_inputs(net, found):
    """Ids that no text gives."""
    if net.family == "roberta":
        ids = list(found["mid"]["ids"])
        ids[3] = 1
        return {"pad-inside": ids_alone(ids, note="id <pad> inside the text, attended to: positions do not advance there")}
    if net.is_decoder and net.head == "cls":
        ids, padding = found["mid"]["ids"], net.config["pad_token_id"]
        return {"pad-end": ids_alone(ids[:4] + [padding] + ids[4:7] + 2 * [padding],
                                     note="the last token that is not padding decides; padding is attended to")}
    if net.is_decoder and net.head == "lm":
        return {"one": ids_alone(found["mid"]["ids"][:1])}
    return {}


def arrays_of(net, entry):
    """Golden name -> array, without the batch."""
    extra = {"decoder": torch.tensor([entry["decoder_ids"]])} if "decoder_ids" in entry else {}
    with torch.no_grad():
        out = net.run(torch.tensor([entry["ids"]]), torch.tensor([entry["types"]]), **extra)
    if hasattr(out, "named"):
        return {**{key: array[0] for key, array in out.named.items()}, "logits": out.logits[0]}
    arrays = {f"hidden.{layer}": state[0] for layer, state in enumerate(out.hidden)}
    arrays.update({f"attention.probs.{layer}": probs[0] for layer, probs in enumerate(out.attention, 1)})
    if getattr(out, "final", None) is not None:
        arrays["hidden.final"] = out.final[0]
    arrays["logits"] = out.logits[0]
    return arrays


def describe_vocabulary_row(entry, logits):
    """The last row's best tokens, and the log-probability of every token that came next."""
    values, best = torch.topk(logits[-1], 5)
    entry["top5"] = {str(len(logits) - 1): [[int(k), float(v)] for v, k in zip(values, best)]}
    logprobs = torch.log_softmax(logits, -1)
    following = entry["target_ids"] if "target_ids" in entry else entry["ids"][1:]
    entry["token_logprobs"] = [float(logprobs[i, token]) for i, token in enumerate(following)]


def describe_logits(net, tokenizer, entry, logits):
    if net.head == "lm":
        return describe_vocabulary_row(entry, logits)
    if net.head in ("token", "qa", "disc"):
        return
    if net.head == "mlm":
        mask = mask_of(tokenizer)
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
    """Files would be large: a few rows of the vocabulary, and of long inputs the first and last states."""
    if net.head == "mlm" and key in ("full", "types-odd"):
        entry["logit_rows"] = list(range(0, len(entry["ids"]), 9))
    elif net.head in ("mlm", "lm") and (key != "explain" or net.family not in ("bert", "distilbert")):
        rows = len(arrays["logits"])
        entry["logit_rows"] = sorted({0, *entry.get("mask_positions", ()), *((rows // 2,) if key == "mid" else ()), rows - 1})
    if "logit_rows" in entry:
        arrays["logits"] = arrays["logits"][entry["logit_rows"]]
    if len(entry["ids"]) > 16 or key == "pad-inside":
        ends = ("hidden.0", f"hidden.{net.layers}", f"attention.probs.{net.layers}", "logits")
        return {array: arrays[array] for array in ends}
    return arrays


def greedy(net, tokenizer, entry):
    """The likeliest token, STEPS times; end tokens do not stop it."""
    ids, margins = list(entry["decoder_ids"][:1] if "decoder_ids" in entry else entry["ids"]), []
    start = len(ids)
    for _ in range(STEPS):
        source = {"ids": torch.tensor([entry["ids"]]), "decoder": torch.tensor([ids])} if net.family == "t5" else {"ids": torch.tensor([ids])}
        with torch.no_grad():
            values, best = torch.topk(net.run(**source).logits[0, -1], 2)
        margins.append(float(values[0] - values[1]))
        ids.append(int(best[0]))
    if min(margins) < 1e-3:
        raise ValueError(f"greedy decoding is too close to a tie for float32: {margins}")
    return {"new_ids": ids[start:], "margins": margins, "text": tokenizer.decode(ids[start:], skip_special_tokens=False),
            "note": f"{STEPS} steps, argmax, end tokens do not stop it; margins = best minus second-best logit"}


def make(out, name):
    folder = os.path.join(out, "models", name)
    net, single = open_net(folder), open_net(folder, torch.float32)
    tokenizer = tokenizer_of(folder, folders.case_of(name))
    golden, error = Golden(out, name), {}
    golden.json = {"case": name, "stage": "forward", "model_type": net.family, "architecture": net.config["architectures"][0],
                   "head": net.head, "seed": folders.SEED, "layers": net.layers, "layers_decoder": net.layers_decoder, "heads": net.heads,
                   "hidden_size": net.d, "arrays": "float64", "inputs": {}}
    for key, entry in inputs_of(name, net, tokenizer).items():
        arrays = arrays_of(net, entry)
        widen_error(error, arrays_of(single, entry), arrays)
        describe_logits(net, tokenizer, entry, arrays["logits"])
        for array, value in thinned(net, key, entry, arrays).items():
            golden.put(f"{key}.{array}", value)
        golden.json["inputs"][key] = entry
    if net.head == "lm":
        golden.json["greedy"] = {key: greedy(net, tokenizer, golden.json["inputs"][key]) for key in ("explain", "mid")}
    golden.json["f32_error"] = {"hand float32": error}
    golden.save()
