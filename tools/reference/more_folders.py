"""The cases of the other families: RoBERTa, ELECTRA, ALBERT, more heads of BERT, GPT-2, OPT, T5, Llama, Mistral, Qwen2.

Each kind of body has one function for its parameters and one for its config; folders.py draws the numbers.
"""
import corpus

POSITIONS = 32
CASES = {
    "roberta-mlm": dict(family="roberta", head="mlm", d=18, heads=3, layers=2, ff=31, act="gelu_new", tokenizer="roberta",
                        inputs=corpus.ROBERTA_MASKED),
    "roberta-cls": dict(family="roberta", head="cls", d=20, heads=5, layers=2, ff=29, act="gelu", tokenizer="roberta",
                        inputs=corpus.ROBERTA_SENTIMENT, labels=["negative", "neutral", "positive"], dtype="float16"),
    "gpt2-lm": dict(family="gpt2", head="lm", d=18, heads=3, layers=2, ff=72, act="gelu_new", tokenizer="gpt2", inputs=corpus.NEXT),
    "gpt2-cls": dict(family="gpt2", head="cls", d=20, heads=5, layers=2, ff=33, act="gelu", tokenizer="gpt2", inputs=corpus.JUDGED,
                     labels=["dull", "fair", "fine"], by_layer=True, dtype="float16"),
    "opt-lm": dict(family="opt", head="lm", d=18, narrow=18, heads=3, layers=2, ff=31, act="relu", before=True, tied=True, tokenizer="opt",
                   inputs=corpus.NEXT, no_prefix=True, dtype="float16"),
    "opt-wide": dict(family="opt", head="lm", d=15, narrow=22, heads=3, layers=2, ff=27, act="gelu", before=True, tied=False, no_biases=True,
                     tokenizer="opt", inputs=corpus.NEXT, dtype="float16"),
    "opt-cls": dict(family="opt", head="cls", d=20, narrow=12, heads=5, layers=2, ff=33, act="gelu_new", before=False, tokenizer="opt",
                    inputs={**corpus.JUDGED, "pair": corpus.SENTIMENT["pair"]}, labels=["dull", "fair", "fine"], dtype="float16", no_json=True),
    "t5-v10": dict(family="t5", head="lm", d=16, heads=3, key=5, layers=2, layers_decoder=2, ff=27, forward="relu", tied=True,
                   tokenizer="t5", inputs=corpus.ANSWERED),
    "t5-v11": dict(family="t5", head="lm", d=15, heads=2, key=6, layers=2, layers_decoder=3, ff=22, forward="gated-gelu", tied=False,
                   buckets=8, distance=20, tokenizer="t5", inputs=corpus.ANSWERED, extra_rows=4),
    "llama-lm": dict(family="llama", head="lm", d=24, heads=4, key_heads=2, layers=2, ff=37, tied=False, tokenizer="llama", inputs=corpus.NEXT,
                     dtype="bfloat16", rope={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                             "original_max_position_embeddings": 32}, theta=100.0),
    "llama-linear": dict(family="llama", head="lm", d=18, heads=3, key_heads=3, layers=2, ff=25, tied=True, tokenizer="llama",
                         inputs=corpus.NEXT, dtype="float16", rope={"type": "linear", "factor": 4.0}, biases="qkvo"),
    "llama-cls": dict(family="llama", head="cls", d=20, heads=5, key_heads=1, layers=2, ff=33, tokenizer="llama", inputs=corpus.JUDGED,
                      labels=["dull", "fair", "fine"], dtype="bfloat16", padding=2),
    "mistral-lm": dict(family="mistral", head="lm", d=20, heads=4, key_heads=2, size=6, layers=3, ff=29, tied=False, tokenizer="llama",
                       inputs=corpus.NEXT, dtype="bfloat16", window=4),
    "qwen2-lm": dict(family="qwen2", head="lm", d=18, heads=3, key_heads=1, layers=2, ff=31, tied=True, tokenizer="qwen2",
                     inputs=corpus.NEXT, dtype="bfloat16", biases="qkv", theta=1000.0),
    "electra-cls": dict(family="electra", head="cls", d=18, narrow=18, heads=3, layers=2, ff=31, act="relu", tokenizer="uncased",
                        inputs=corpus.SHORT_SENTIMENT, labels=["negative", "positive"], dtype="float16"),
    "electra-disc": dict(family="electra", head="disc", d=15, narrow=10, heads=3, layers=2, ff=27, act="gelu_new", tokenizer="uncased",
                         inputs=corpus.SHORT_SENTIMENT),
    "electra-mlm": dict(family="electra", head="mlm", d=20, narrow=12, heads=5, layers=2, ff=29, act="gelu", tokenizer="uncased",
                        inputs=corpus.SHORT_MASKED),
    "albert-cls": dict(family="albert", head="cls", d=18, narrow=12, heads=3, layers=3, ff=31, act="gelu_new", groups=1, inner=1,
                       tokenizer="uncased", inputs=corpus.SHORT_SENTIMENT, labels=["negative", "mixed", "positive"]),
    "albert-mlm": dict(family="albert", head="mlm", d=15, narrow=10, heads=3, layers=2, ff=27, act="gelu_new", groups=2, inner=2,
                       tokenizer="uncased", inputs=corpus.SHORT_MASKED),
    "bert-qa": dict(family="bert", head="qa", d=18, heads=3, layers=2, ff=31, act="gelu", tokenizer="uncased", inputs=corpus.ASKED,
                    dtype="float16"),
    "bert-token": dict(family="bert", head="token", d=18, heads=3, layers=2, ff=31, act="gelu", tokenizer="uncased",
                       inputs=corpus.SHORT_SENTIMENT, labels=["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], dtype="float16"),
}
LLAMA_TYPE = ("llama", "mistral", "qwen2")
CLASS = {"roberta": "Roberta", "electra": "Electra", "albert": "Albert", "bert": "Bert", "gpt2": "GPT2", "opt": "OPT", "t5": "T5",
         "llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2"}
HEAD = {"mlm": "ForMaskedLM", "cls": "ForSequenceClassification", "disc": "ForPreTraining", "qa": "ForQuestionAnswering",
        "token": "ForTokenClassification"}


def bodies(linear, norms, width):
    """Linear maps name -> (out, in) with biases, and norms of a width with biases, as parameters."""
    table = {}
    for name, shape in linear.items():
        table[name + ".weight"], table[name + ".bias"] = shape, shape[:1]
    for name in norms:
        table[name + ".weight"], table[name + ".bias"] = (width,), (width,)
    return table


def encoder_head(case, rows):
    d, narrow, labels = case["d"], case.get("narrow", case["d"]), len(case.get("labels", ()))
    return {
        ("roberta", "mlm"): {**bodies({"lm_head.dense": (d, d)}, ["lm_head.layer_norm"], d), "lm_head.bias": (rows,)},
        ("roberta", "cls"): bodies({"classifier.dense": (d, d), "classifier.out_proj": (labels, d)}, [], d),
        ("electra", "cls"): bodies({"classifier.dense": (d, d), "classifier.out_proj": (labels, d)}, [], d),
        ("electra", "disc"): bodies({"discriminator_predictions.dense": (d, d), "discriminator_predictions.dense_prediction": (1, d)}, [], d),
        ("electra", "mlm"): {**bodies({"generator_predictions.dense": (narrow, d)}, ["generator_predictions.LayerNorm"], narrow),
                             "generator_lm_head.bias": (rows,)},
        ("albert", "cls"): bodies({"albert.pooler": (d, d), "classifier": (labels, d)}, [], d),
        ("albert", "mlm"): {**bodies({"predictions.dense": (narrow, d)}, ["predictions.LayerNorm"], narrow), "predictions.bias": (rows,)},
        ("bert", "qa"): bodies({"qa_outputs": (2, d)}, [], d),
        ("bert", "token"): bodies({"classifier": (labels, d)}, [], d),
    }[case["family"], case["head"]]


def encoder_shapes(case, rows):
    d, ff, family, narrow = case["d"], case["ff"], case["family"], case.get("narrow", case["d"])
    body = family + "."
    table = {body + "embeddings.word_embeddings.weight": (rows, narrow),
             body + "embeddings.position_embeddings.weight": (POSITIONS + 2 if family == "roberta" else POSITIONS, narrow),
             body + "embeddings.token_type_embeddings.weight": (1 if family == "roberta" else 2, narrow)}
    table.update(bodies({}, [body + "embeddings.LayerNorm"], narrow))
    if family == "albert":
        table.update(bodies({body + "encoder.embedding_hidden_mapping_in": (d, narrow)}, [], d))
        places = [f"{body}encoder.albert_layer_groups.{group}.albert_layers.{inner}." for group in range(case["groups"]) for inner in range(case["inner"])]
        linear = {"attention.query": (d, d), "attention.key": (d, d), "attention.value": (d, d), "attention.dense": (d, d),
                  "ffn": (ff, d), "ffn_output": (d, ff)}
        norms = ["attention.LayerNorm", "full_layer_layer_norm"]
    else:
        if narrow != d:
            table.update(bodies({body + "embeddings_project": (d, narrow)}, [], d))
        places = [f"{body}encoder.layer.{layer}." for layer in range(case["layers"])]
        linear = {"attention.self.query": (d, d), "attention.self.key": (d, d), "attention.self.value": (d, d),
                  "attention.output.dense": (d, d), "intermediate.dense": (ff, d), "output.dense": (d, ff)}
        norms = ["attention.output.LayerNorm", "output.LayerNorm"]
    for at in places:
        table.update(bodies({at + name: shape for name, shape in linear.items()}, [at + name for name in norms], d))
    return {**table, **encoder_head(case, rows)}


def gpt2_shapes(case, rows):
    d, ff, body = case["d"], case["ff"], "transformer."
    table = {body + "wte.weight": (rows, d), body + "wpe.weight": (POSITIONS, d)}
    table.update(bodies({}, [body + "ln_f"], d))
    for layer in range(case["layers"]):
        at = f"{body}h.{layer}."
        table.update(bodies({}, [at + "ln_1", at + "ln_2"], d))
        for name, shape in {"attn.c_attn": (d, 3 * d), "attn.c_proj": (d, d), "mlp.c_fc": (d, ff), "mlp.c_proj": (ff, d)}.items():
            table[at + name + ".weight"], table[at + name + ".bias"] = shape, shape[1:]  # stored [in, out]
    if case["head"] == "cls":
        table["score.weight"] = (len(case["labels"]), d)
    return table


def opt_shapes(case, rows):
    d, ff, narrow, body = case["d"], case["ff"], case["narrow"], "model.decoder."
    table = {body + "embed_tokens.weight": (rows, narrow), body + "embed_positions.weight": (POSITIONS + 2, d)}
    if narrow != d:
        table.update({body + "project_in.weight": (d, narrow), body + "project_out.weight": (narrow, d)})
    table.update(bodies({}, [body + "final_layer_norm"] if case["before"] else [], d))
    for layer in range(case["layers"]):
        at = f"{body}layers.{layer}."
        linear = {"fc1": (ff, d), "fc2": (d, ff), **{f"self_attn.{part}_proj": (d, d) for part in ("q", "k", "v", "out")}}
        parts = bodies({at + name: shape for name, shape in linear.items()}, [], d)
        table.update({name: shape for name, shape in parts.items() if name.endswith("weight") or not case.get("no_biases")})
        table.update(bodies({}, [at + "self_attn_layer_norm", at + "final_layer_norm"], d))
    if case["head"] == "cls":
        table["score.weight"] = (len(case["labels"]), narrow)
    elif not case["tied"]:
        table["lm_head.weight"] = (rows, narrow)
    return table


def llama_shapes(case, rows):
    d, ff, size = case["d"], case["ff"], case.get("size", case["d"] // case["heads"])
    table = {"model.embed_tokens.weight": (rows, d), "model.norm.weight": (d,)}
    for layer in range(case["layers"]):
        at = f"model.layers.{layer}."
        wide, narrow = case["heads"] * size, case["key_heads"] * size
        for letter, shape in {"q": (wide, d), "k": (narrow, d), "v": (narrow, d), "o": (d, wide)}.items():
            table[f"{at}self_attn.{letter}_proj.weight"] = shape
            if letter in case.get("biases", ""):
                table[f"{at}self_attn.{letter}_proj.bias"] = shape[:1]
        table[at + "input_layernorm.weight"] = table[at + "post_attention_layernorm.weight"] = (d,)
        table[at + "mlp.gate_proj.weight"] = table[at + "mlp.up_proj.weight"] = (ff, d)
        table[at + "mlp.down_proj.weight"] = (d, ff)
    if case["head"] == "cls":
        table["score.weight"] = (len(case["labels"]), d)
    elif not case["tied"]:
        table["lm_head.weight"] = (rows, d)
    return table


def t5_shapes(case, rows):
    d, ff, wide = case["d"], case["ff"], case["heads"] * case["key"]
    table = {"shared.weight": (rows, d)}
    for stack, layers in (("encoder", case["layers"]), ("decoder", case["layers_decoder"])):
        table[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (case.get("buckets", 32), case["heads"])
        table[stack + ".final_layer_norm.weight"] = (d,)
        for layer in range(layers):
            parts = ["SelfAttention"] + ["EncDecAttention"] * (stack == "decoder")
            for place, name in enumerate(parts):
                at = f"{stack}.block.{layer}.layer.{place}."
                table[at + "layer_norm.weight"] = (d,)
                table.update({f"{at}{name}.{letter}.weight": (d, wide) if letter == "o" else (wide, d) for letter in "qkvo"})
            at = f"{stack}.block.{layer}.layer.{len(parts)}."
            table[at + "layer_norm.weight"] = (d,)
            for name in ("wi_0", "wi_1") if case["forward"].startswith("gated-") else ("wi",):
                table[f"{at}DenseReluDense.{name}.weight"] = (ff, d)
            table[at + "DenseReluDense.wo.weight"] = (d, ff)
    if not case["tied"]:
        table["lm_head.weight"] = (rows, d)
    return table


def shapes_of(case, rows):
    if case["family"] in LLAMA_TYPE:
        return llama_shapes(case, rows)
    return {"gpt2": gpt2_shapes, "opt": opt_shapes, "t5": t5_shapes}.get(case["family"], encoder_shapes)(case, rows)


def encoder_config(case, rows):
    roberta = case["family"] == "roberta"
    config = {"attention_probs_dropout_prob": 0.1, "hidden_act": case["act"], "hidden_dropout_prob": 0.1, "hidden_size": case["d"],
              "intermediate_size": case["ff"], "layer_norm_eps": 1e-5 if roberta else 1e-12, "num_attention_heads": case["heads"],
              "max_position_embeddings": POSITIONS + 2 if roberta else POSITIONS, "num_hidden_layers": case["layers"],
              "pad_token_id": 1 if roberta else 0, "type_vocab_size": 1 if roberta else 2, "vocab_size": rows}
    if roberta:
        config.update({"bos_token_id": 0, "eos_token_id": 2})
    if "narrow" in case:
        config["embedding_size"] = case["narrow"]
    if case["family"] == "albert":
        config.update({"num_hidden_groups": case["groups"], "inner_group_num": case["inner"]})
    return config


def gpt2_config(case, rows):
    config = {"activation_function": case["act"], "attn_pdrop": 0.1, "bos_token_id": 326, "eos_token_id": 326, "layer_norm_epsilon": 1e-5,
              "n_embd": case["d"], "n_head": case["heads"], "n_layer": case["layers"], "n_positions": POSITIONS, "vocab_size": rows,
              "n_inner": None if case["ff"] == 4 * case["d"] else case["ff"], "scale_attn_by_inverse_layer_idx": case.get("by_layer", False)}
    if case["head"] == "cls":
        config["pad_token_id"] = 326
    return config


def opt_config(case, rows):
    config = {"activation_dropout": 0.0, "activation_function": case["act"], "attention_dropout": 0.0, "bos_token_id": 2,
              "do_layer_norm_before": case["before"], "dropout": 0.1, "eos_token_id": 2, "ffn_dim": case["ff"], "hidden_size": case["d"],
              "init_std": 0.02, "layerdrop": 0.0, "max_position_embeddings": POSITIONS, "num_attention_heads": case["heads"],
              "num_hidden_layers": case["layers"], "pad_token_id": 1, "prefix": "</s>", "vocab_size": rows}
    if case["narrow"] != case["d"]:
        config["word_embed_proj_dim"] = case["narrow"]
    if "no_biases" in case:
        config["enable_bias"] = False
    if not case.get("tied", True):
        config["tie_word_embeddings"] = False
    return config


def llama_config(case, rows):
    qwen = case["family"] == "qwen2"
    config = {"hidden_act": "silu", "hidden_size": case["d"], "intermediate_size": case["ff"], "max_position_embeddings": 64,
              "num_attention_heads": case["heads"], "num_hidden_layers": case["layers"], "num_key_value_heads": case["key_heads"],
              "rms_norm_eps": 1e-5, "rope_theta": case.get("theta", 10000.0), "tie_word_embeddings": case.get("tied", False),
              "bos_token_id": 326 if qwen else 1, "eos_token_id": 326 if qwen else 2, "vocab_size": rows}
    if "size" in case:
        config["head_dim"] = case["size"]
    if "rope" in case:
        config["rope_scaling"] = case["rope"]
    if "padding" in case:
        config["pad_token_id"] = case["padding"]
    if case["family"] == "llama":
        config["attention_bias"] = "biases" in case
    if "window" in case:
        config["sliding_window"] = case["window"]
    if qwen:
        config["use_sliding_window"] = False
    return config


def t5_config(case, rows):
    config = {"d_ff": case["ff"], "d_kv": case["key"], "d_model": case["d"], "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1,
              "feed_forward_proj": case["forward"], "is_encoder_decoder": True, "layer_norm_epsilon": 1e-6, "num_heads": case["heads"],
              "num_decoder_layers": case["layers_decoder"], "num_layers": case["layers"], "pad_token_id": 0, "vocab_size": rows,
              "relative_attention_max_distance": case.get("distance", 128), "relative_attention_num_buckets": case.get("buckets", 32)}
    if not case["tied"]:
        config["tie_word_embeddings"] = False
    return config


def config_of(case, rows):
    family, head = case["family"], case["head"]
    if head == "lm":
        name = {"gpt2": "LMHeadModel", "t5": "ForConditionalGeneration"}.get(family, "ForCausalLM")
    else:
        name = HEAD[head]
    make = llama_config if family in LLAMA_TYPE else {"gpt2": gpt2_config, "opt": opt_config, "t5": t5_config}.get(family, encoder_config)
    return {"architectures": [CLASS[family] + name], "model_type": family, **make(case, rows)}
