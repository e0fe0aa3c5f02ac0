"""Small tokenizers of the other kinds, as their families' folders hold them: byte-level BPE, Unigram, SentencePiece BPE.

Merges and scores come from the words of corpus.py by a few plain lines, so that they are the same everywhere; the
tokenizers library writes tokenizer.json and cuts the texts.  Known to go wrong: the 256 stand-ins of bytes, the space
that <mask> swallows, and the mark U+2581 that stands for a space and is put before the first word.
"""
import collections
import os

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

import corpus
from containers import write_json

SPACE = "\u2581"
MERGES = 70
LETTERS = "abcdefghijklmnopqrstuvwxyzTSAHI.,:;!?'-012\u00e9\u4e00"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_letters():
    """The 256 stand-ins in code point order: printable bytes stand for themselves, the others for U+0100 and on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(b) for b in plain] + [chr(0x100 + i) for i in range(256 - len(plain))]


def merges_of(space):
    """Byte-pair merges of the corpus's words, each after one space.  Ties: the pair first in code point order."""
    counts = collections.Counter(corpus.WORDS + corpus.LONG.replace(",", "").lower().split() * 3)
    words = [([space, *word], count) for word, count in sorted(counts.items()) if word.isascii() and word.isalpha()]
    merges = []
    while len(merges) < MERGES:
        pairs = collections.Counter()
        for symbols, count in words:
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += count
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((left, right))
        for symbols, _ in words:
            for i in range(len(symbols) - 2, -1, -1):
                if symbols[i:i + 2] == [left, right]:
                    symbols[i:i + 2] = [left + right]
    return merges


def special(*tokens):
    return [AddedToken(token, special=True, normalized=False) for token in tokens]


def numbered(*groups):
    return {token: i for i, token in enumerate(dict.fromkeys(token for group in groups for token in group))}


def build_gpt2():
    merges = merges_of("\u0120")
    tokenizer = Tokenizer(models.BPE(numbered(byte_letters(), map("".join, merges), ["<|endoftext|>"]), merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special("<|endoftext|>"))
    return tokenizer


def build_opt():
    """</s> in front of each text; <s> and <unk> are in the vocabulary and nothing else."""
    merges = merges_of("\u0120")
    tokenizer = Tokenizer(models.BPE(numbered(["<s>", "<pad>", "</s>", "<unk>"], byte_letters(), map("".join, merges)), merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A", pair="</s> $A </s>:1 $B:1", special_tokens=[("</s>", 2)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special("</s>", "<pad>"))
    return tokenizer


def build_roberta():
    merges, first = merges_of("\u0120"), ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.BPE(numbered(first, byte_letters(), map("".join, merges), ["<mask>"]), merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls_token=("<s>", 0), trim_offsets=True, add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special(*first) + [AddedToken("<mask>", special=True, lstrip=True, normalized=False)])
    return tokenizer


def build_qwen2():
    merges = merges_of("\u0120")
    tokenizer = Tokenizer(models.BPE(numbered(byte_letters(), map("".join, merges)), merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    return tokenizer


def build_llama():
    merges = merges_of(SPACE)
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = numbered(["<unk>", "<s>", "</s>"], fallback, map("".join, merges), [SPACE], LETTERS)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer


def build_t5():
    """Unigram.  A piece is likelier the earlier it stands; words before endings before letters."""
    pieces = [SPACE] + [SPACE + word for word in corpus.WORDS[:90]] + corpus.SUFFIXES + list(LETTERS)
    scored = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    scored += [(piece, -round(2.5 + 0.0625 * i, 4)) for i, piece in enumerate(dict.fromkeys(pieces))]
    extra = [f"<extra_id_{i}>" for i in (2, 1, 0)]
    tokenizer = Tokenizer(models.Unigram(scored + [(token, 0.0) for token in extra], unk_id=2, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens(special("<pad>", "</s>", "<unk>", *extra))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tokenizer


BUILD = {"gpt2": build_gpt2, "opt": build_opt, "roberta": build_roberta, "qwen2": build_qwen2, "llama": build_llama, "t5": build_t5}
NAMES = {
    "gpt2": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "tokenizer_class": "GPT2Tokenizer"},
    "opt": {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>", "add_bos_token": True,
            "tokenizer_class": "GPT2Tokenizer"},
    "roberta": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>",
                "cls_token": "<s>", "mask_token": "<mask>", "tokenizer_class": "RobertaTokenizer"},
    "qwen2": {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "tokenizer_class": "Qwen2Tokenizer"},
    "llama": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "LlamaTokenizer"},
    "t5": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "extra_ids": 3,
           "additional_special_tokens": ["<extra_id_0>", "<extra_id_1>", "<extra_id_2>"], "tokenizer_class": "T5Tokenizer"},
}


def save(folder, kind, limit, with_json=True):
    tokenizer = BUILD[kind]()
    if with_json:
        tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    else:  # vocab.json and merges.txt
        tokenizer.model.save(folder)
    write_json(os.path.join(folder, "tokenizer_config.json"), {**NAMES[kind], "model_max_length": limit}, 2)
