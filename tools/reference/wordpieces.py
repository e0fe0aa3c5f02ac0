"""WordPiece tokenizers as Hugging Face folders hold them, built with and written by the `tokenizers` library.

Known to go wrong: Python's offsets of the library are code points, the vectors hold bytes; template tokens belong to
no text and have the empty range [0, 0].
"""
import json
import os

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

import corpus
from containers import write_json

# name -> what differs from the ordinary uncased BERT tokenizer
KINDS = {
    "uncased": {},
    "cased": {"lower": False},
    "accents": {"strip_accents": False},
    "plain-chinese": {"chinese": False, "added": True},
}
ADDED = [
    AddedToken("<left>", lstrip=True, normalized=False),
    AddedToken("<right>", rstrip=True, normalized=False),
    AddedToken("<both>", lstrip=True, rstrip=True, normalized=False),
    AddedToken("ent", single_word=True, normalized=False),
    AddedToken("new moon", normalized=True),
    AddedToken("Über", normalized=True),
]


def build(kind):
    lower, accents = KINDS[kind].get("lower", True), KINDS[kind].get("strip_accents")
    chinese, added = KINDS[kind].get("chinese", True), KINDS[kind].get("added", False)
    entries = corpus.vocabulary(cased=not lower)
    tokenizer = Tokenizer(models.WordPiece({entry: i for i, entry in enumerate(entries)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese, strip_accents=accents, lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in corpus.SPECIAL])
    if added:
        tokenizer.add_tokens(ADDED)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")])
    return tokenizer


def save(folder, kind, family, limit, with_json=True, bare=False):
    """tokenizer files of a folder.  bare: only what the first published BERT folders had."""
    settings = KINDS[kind]
    entries = corpus.vocabulary(cased=not settings.get("lower", True))
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8", newline="\n") as file:
        file.write("".join(entry + "\n" for entry in entries))
    if bare:
        write_json(os.path.join(folder, "tokenizer_config.json"), {"do_lower_case": settings.get("lower", True)}, 2)
        return
    special = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
    config = {"do_lower_case": settings.get("lower", True), **special, "tokenize_chinese_chars": settings.get("chinese", True),
              "strip_accents": settings.get("strip_accents"), "model_max_length": limit, "clean_up_tokenization_spaces": True,
              "tokenizer_class": "DistilBertTokenizer" if family == "distilbert" else "BertTokenizer"}
    if family == "distilbert":
        config["model_input_names"] = ["input_ids", "attention_mask"]
    write_json(os.path.join(folder, "tokenizer_config.json"), config, 2)
    write_json(os.path.join(folder, "special_tokens_map.json"), special, 2)
    if with_json:
        build(kind).save(os.path.join(folder, "tokenizer.json"), pretty=False)


def encode(tokenizer, text, pair=None):
    """One text or a pair with the template, as the fields of the golden files."""
    encoding = tokenizer.encode(text, pair) if pair is not None else tokenizer.encode(text)
    offsets = []
    for sequence, (begin, end) in zip(encoding.sequence_ids, encoding.offsets):
        source = pair if sequence == 1 else text
        offsets.append([0, 0] if sequence is None else [len(source[:begin].encode()), len(source[:end].encode())])
    return {"ids": encoding.ids, "tokens": encoding.tokens, "offsets": offsets, "words": encoding.word_ids,
            "types": encoding.type_ids, "special_mask": encoding.special_tokens_mask, "sequence": encoding.sequence_ids}


def golden_rows(tokenizer):
    for text in dict.fromkeys(corpus.TRICKY):
        encoded = encode(tokenizer, text)
        yield {"text": text, **{key: encoded[key] for key in ("ids", "tokens", "offsets", "words", "types")},
               "ids_no_special": tokenizer.encode(text, add_special_tokens=False).ids,
               "decode": tokenizer.decode(encoded["ids"], skip_special_tokens=False),
               "decode_skip_special": tokenizer.decode(encoded["ids"], skip_special_tokens=True)}
    for text, pair in corpus.TRICKY_PAIRS:
        encoded = encode(tokenizer, text, pair)
        yield {"text": text, "pair": pair, **{key: encoded[key] for key in ("ids", "tokens", "offsets", "words", "types", "sequence")},
               "decode": tokenizer.decode(encoded["ids"], skip_special_tokens=False)}


def write_golden(out, case, kind, folder):
    """tokenizers/tiny-<case>.jsonl: a header line, then one text a line."""
    has_json = os.path.exists(os.path.join(folder, "tokenizer.json"))
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json")) if has_json else build(kind)
    source = f"models/{case}/" + ("tokenizer.json" if has_json else "(vocabulary files, no tokenizer.json)")
    header = {"name": "tiny-" + case, "files": [source], "library": "tokenizers " + tokenizers.__version__,
              "offsets": "bytes of the UTF-8 text, half-open; [0,0] for template tokens"}
    os.makedirs(os.path.join(out, "tokenizers"), exist_ok=True)
    with open(os.path.join(out, "tokenizers", f"tiny-{case}.jsonl"), "w", encoding="utf-8", newline="\n") as file:
        for row in [header, *golden_rows(tokenizer)]:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
