"""The table of cases, and how a case becomes a Hugging Face model folder with random weights.

Weights are far from a usual initialisation (matrices N(0, 0.2), every bias and norm non-trivial): with small ones a
missing bias or a wrong layer hides below any tolerance.
"""
import os
import shutil

import torch

import corpus
import more_folders
import subwords
import wordpieces
from containers import random_state, write_json, write_tensors

SEED = 20240711
NO_LIMIT = 1000000000000000019884624838656  # what the Python library writes for "no limit"

# family, head, sizes (d, heads, layers, ff), activation, tokenizer, inputs; the rest are peculiarities of the folder.
CASES = {
    "bert-mlm": dict(family="bert", head="mlm", d=20, heads=4, layers=2, ff=37, act="gelu", tokenizer="uncased",
                     inputs=corpus.MASKED, extra_rows=3),
    "bert-cls": dict(family="bert", head="cls", d=18, heads=3, layers=3, ff=41, act="gelu_new", tokenizer="accents",
                     inputs=corpus.SENTIMENT, labels=["negative", "positive"], eps=1e-3, limit=NO_LIMIT),
    "bert-pair": dict(family="bert", head="cls", d=24, heads=4, layers=2, ff=43, act="relu", tokenizer="plain-chinese",
                      inputs=corpus.INFERENCE, labels=["follows", "says \"nothing\" & more", "con<tra>dicts é"]),
    "bert-reg": dict(family="bert", head="cls", d=15, heads=5, layers=2, ff=31, act="silu", tokenizer="cased",
                     inputs=corpus.SCORE, labels=["LABEL_0"], problem="regression", no_json=True, extra_rows=1),
    "bert-multilabel": dict(family="bert", head="cls", d=14, heads=2, layers=2, ff=29, act="gelu", tokenizer="uncased",
                            inputs=corpus.TOPICS, labels=["weather", "people", "food", "night"],
                            problem="multi_label_classification"),
    "bert-f16": dict(like="bert-mlm", inputs=corpus.SHORT_MASKED, dtype="float16", decoder_bias=True),
    "bert-bf16": dict(like="bert-mlm", inputs=corpus.SHORT_MASKED, dtype="bfloat16"),
    "bert-sharded": dict(like="bert-mlm", inputs=corpus.SHORT_MASKED, shards=3, decoder_weight=True),
    "bert-legacy": dict(family="bert", head="mlm", d=12, heads=3, layers=3, ff=47, act="gelu", tokenizer="uncased",
                        inputs=corpus.SHORT_MASKED, legacy=True, no_json=True),
    "bert-noprefix": dict(family="bert", head="mlm", d=21, heads=3, layers=2, ff=23, act="gelu", tokenizer="uncased",
                          inputs=corpus.SHORT_MASKED, no_prefix=True),
    "distilbert-cls": dict(family="distilbert", head="cls", d=14, heads=2, layers=3, ff=53, act="gelu", tokenizer="cased",
                           inputs=corpus.SCORE, labels=["sad", "happy"]),
    "distilbert-mlm": dict(family="distilbert", head="mlm", d=15, heads=3, layers=2, ff=33, act="relu", tokenizer="uncased",
                           inputs=corpus.MASKED),
    **more_folders.CASES,
}
QUESTIONS = ["bert-mlm", "bert-cls", "bert-pair", "bert-reg", "bert-multilabel", "distilbert-cls", "distilbert-mlm", *more_folders.CASES]
GENERATIONS = [name for name, case in more_folders.CASES.items() if case["head"] == "lm"]
TOKENIZER_GOLDENS = ["bert-mlm", "bert-cls", "bert-pair", "bert-reg"]
POSITIONS = 32
NORMS, WORDS = ("norm", ".ln_"), ("word_embeddings", "wte.", "embed_tokens", "shared.", "lm_head.weight")  # parts of names


def case_of(name):
    case = CASES[name]
    return {**CASES[case["like"]], **case} if "like" in case else case


def layer_shapes(case):
    """Parameter name inside a layer -> shape, in the family's spelling."""
    d, ff = case["d"], case["ff"]
    if case["family"] == "bert":
        linear = {"attention.self.query": (d, d), "attention.self.key": (d, d), "attention.self.value": (d, d),
                  "attention.output.dense": (d, d), "intermediate.dense": (ff, d), "output.dense": (d, ff)}
        norms = ["attention.output.LayerNorm", "output.LayerNorm"]
    else:
        linear = {"attention.q_lin": (d, d), "attention.k_lin": (d, d), "attention.v_lin": (d, d),
                  "attention.out_lin": (d, d), "ffn.lin1": (ff, d), "ffn.lin2": (d, ff)}
        norms = ["sa_layer_norm", "output_layer_norm"]
    return linear, norms


def shapes_of(case, rows):
    """Every parameter of the folder -> shape."""
    d, bert = case["d"], case["family"] == "bert"
    prefix = "bert." if bert else "distilbert."
    stack = prefix + ("encoder.layer.%d." if bert else "transformer.layer.%d.")
    table, linear, norms = {}, {}, [prefix + "embeddings.LayerNorm"]
    table[prefix + "embeddings.word_embeddings.weight"] = (rows, d)
    table[prefix + "embeddings.position_embeddings.weight"] = (POSITIONS, d)
    if bert:
        table[prefix + "embeddings.token_type_embeddings.weight"] = (2, d)
    for layer in range(case["layers"]):
        inner, inner_norms = layer_shapes(case)
        linear.update({stack % layer + name: shape for name, shape in inner.items()})
        norms += [stack % layer + name for name in inner_norms]
    if case["head"] == "mlm":
        linear["cls.predictions.transform.dense" if bert else "vocab_transform"] = (d, d)
        norms.append("cls.predictions.transform.LayerNorm" if bert else "vocab_layer_norm")
        table["cls.predictions.bias" if bert else "vocab_projector.bias"] = (rows,)
    else:
        linear["bert.pooler.dense" if bert else "pre_classifier"] = (d, d)
        linear["classifier"] = (len(case["labels"]), d)
    if case.get("legacy"):
        linear["bert.pooler.dense"], linear["cls.seq_relationship"] = (d, d), (2, d)
    for name, shape in linear.items():
        table[name + ".weight"], table[name + ".bias"] = shape, shape[:1]
    for name in norms:
        table[name + ".weight"], table[name + ".bias"] = (d,), (d,)
    return table


def weights_of(name, rows):
    """Seeded float32 parameters.  A case that is `like` another has that case's weights."""
    case = case_of(name)
    tensors = {}
    shapes = more_folders.shapes_of if name in more_folders.CASES else shapes_of
    for parameter, shape in shapes(case, rows).items():
        draw = random_state(SEED, CASES[name].get("like", name), parameter).standard_normal(shape)
        is_norm = parameter.endswith(".weight") and any(part in parameter.lower() for part in NORMS)
        scale = 0.4 if any(part in parameter for part in WORDS) else 0.2
        tensors[parameter] = torch.tensor((1.0 if is_norm else 0.0) + scale * draw, dtype=torch.float32)
    return tensors


def respell(case, tensors):
    """The peculiarities of old, converted and split folders."""
    word, predictions = "bert.embeddings.word_embeddings.weight", "cls.predictions."
    if case.get("decoder_bias"):
        tensors[predictions + "decoder.bias"] = tensors.pop(predictions + "bias")
    if case.get("decoder_weight"):
        tensors[predictions + "decoder.weight"] = tensors[word].clone()
    if case.get("legacy"):
        tensors = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
                   for name, tensor in tensors.items()}
        tensors["bert.embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    if case.get("no_prefix"):
        body = "model." if case["family"] == "opt" else case["family"] + "."
        tensors = {name[len(body):] if name.startswith(body) else name: tensor for name, tensor in tensors.items()}
    if "dtype" in case:
        tensors = {name: tensor.to(getattr(torch, case["dtype"])) for name, tensor in tensors.items()}
    return tensors


def config_of(case, rows):
    if case["family"] not in ("bert", "distilbert") or case["head"] in ("qa", "token"):
        config = more_folders.config_of(case, rows)
    elif case["family"] == "bert":
        config = {"architectures": ["BertForMaskedLM" if case["head"] == "mlm" else "BertForSequenceClassification"],
                  "attention_probs_dropout_prob": 0.1, "hidden_act": case["act"], "hidden_dropout_prob": 0.1,
                  "hidden_size": case["d"], "intermediate_size": case["ff"], "layer_norm_eps": case.get("eps", 1e-12),
                  "max_position_embeddings": POSITIONS, "model_type": "bert", "num_attention_heads": case["heads"],
                  "num_hidden_layers": case["layers"], "pad_token_id": 0, "type_vocab_size": 2, "vocab_size": rows}
    else:
        config = {"activation": case["act"], "attention_dropout": 0.1, "dim": case["d"], "dropout": 0.1, "hidden_dim": case["ff"],
                  "architectures": ["DistilBertForMaskedLM" if case["head"] == "mlm" else "DistilBertForSequenceClassification"],
                  "max_position_embeddings": POSITIONS, "model_type": "distilbert", "n_heads": case["heads"],
                  "n_layers": case["layers"], "pad_token_id": 0, "sinusoidal_pos_embds": False, "vocab_size": rows}
    config["torch_dtype"] = case.get("dtype", "float32")
    if "labels" in case:
        config["id2label"] = {str(i): label for i, label in enumerate(case["labels"])}
        config["label2id"] = {label: i for i, label in enumerate(case["labels"])}
    if "problem" in case:
        config["problem_type"] = case["problem"]
    if case.get("legacy"):  # the first published configs had few keys
        for key in ("layer_norm_eps", "hidden_act", "pad_token_id", "torch_dtype", "type_vocab_size"):
            del config[key]
    return config


def shard_number(name):
    return 1 if ".embeddings." in name else 2 if ".layer.0." in name else 3


def write_weights(folder, case, tensors):
    if "shards" not in case:
        write_tensors(os.path.join(folder, "model.safetensors"), tensors, {"format": "pt"}, odd_header=case.get("no_prefix", False))
        return
    place = {name: f"model-{shard_number(name):05d}-of-{case['shards']:05d}.safetensors" for name in sorted(tensors)}
    for shard in sorted(set(place.values())):
        part = {name: tensors[name] for name in tensors if place[name] == shard}
        write_tensors(os.path.join(folder, shard), part, {"format": "pt"})
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    write_json(os.path.join(folder, "model.safetensors.index.json"), {"metadata": {"total_size": size}, "weight_map": place}, 2)


def tokenizer_of(case):
    kind = case["tokenizer"]
    return subwords.BUILD[kind]() if kind in subwords.BUILD else wordpieces.build(kind)


def write_folder(out, name):
    case = case_of(name)
    folder = os.path.join(out, "models", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    rows = tokenizer_of(case).get_vocab_size() + case.get("extra_rows", 0)
    write_weights(folder, case, respell(case, weights_of(name, rows)))
    write_json(os.path.join(folder, "config.json"), config_of(case, rows), 2)
    if case["tokenizer"] in subwords.BUILD:
        subwords.save(folder, case["tokenizer"], POSITIONS, not case.get("no_json"))
        return
    wordpieces.save(folder, case["tokenizer"], case["family"], case.get("limit", POSITIONS),
                    with_json=not case.get("no_json"), bare=case.get("legacy", False))
