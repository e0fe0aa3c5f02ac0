"""Byte-pair tokenizers: byte-level ones with the splits of GPT-2, Qwen2 and Llama 3, one with byte fallback, one with affixes.

The vocabularies are learnt here from the words of corpus.py, so they are small and our own.  The tokenizers are built with
and written by the `tokenizers` library.

Known to go wrong: merges are learnt in a fixed order (count, then text), since ties decide ids; a header that names a folder
without tokenizer.json means that the library's tokenizer was built from the same parts by hand.
"""
import json
import os
from collections import Counter

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

import corpus
from containers import write_json
from wordpieces import encode

MODERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
GENERAL = r"^\s*#\w+|(?i:the)\b|\d{1,2}(?=\D|$)|[[:alpha:]]+|\w+|[^\w\s]{2}|\s+$|\Bb\B|\h"  # none of the known ones
MERGES = 200

TEXTS = [
    "", " ", "   ", "\n", "\r\n", "\t \n", "the river runs", "The River Runs", " two  spaces ", "  the   river  ", "a\r\nb", "a \n\n b\n", "a\n\n\nthe",
    "tab\tthe", "don't DON'T don’t", "'s 'S ''s we'll've I'M 'ſ", "it's'll", "Anna, come!", "e.g. 3.14, -42 and 1e-10", "1 12 123 1234 12345", "１２３ ٣٤ ½ Ⅷ",
    "$5 €5 !! ?!...", "snake_case C++ #tag @user", "https://example.org/a?b=c", "café cafe\u0301", "a\u0301\u0301b", "\u0301 \u0301a", "Straße İ ß",
    "漢字かな", "生活 is 生活", "한국어", "हिन्दी", "ไทย", "עִבְרִית", "العربية", "no\u00a0break\u3000wide", "\u2028line\u0085next", "vt\u000bff\u000c",
    "zero\u200bwidth\u200d", "\ufeffmark", "nul\u0000in", "\u0001\u007f", "\ufffd \U000f0000", "\u0378", "\u180e \u180ex",
    "😀", "sun😀moon", "👍🏽👩\u200d👩\u200d👧", "🇩🇪 1\ufe0f\u20e3", "\U00020000", "x▁y Ġz ▁", "<0x41> <0xC3>", "unknown xyzzy qqq", "zz" * 30,
    "the" * 25, "ab" * 35, "<|end|>", "a<|end|>b", " <|end|> ", "the <mask> river", "a  <mask>b", "<mask><mask>", "<s>a</s>", "<unk>",
    "# the\n#the x\n  #the", "The theatre THE 42x 421 7", "rain (and snow).\n", "\n the",
]
PAIRS = [("", ""), ("the river", "the mill"), (" a ", "\n"), ("<mask>", "é😀")]


# ---- learning ------------------------------------------------------------------------------------------------------------


def learn(words, count):
    """count merges of words (tuple of symbols -> how often), the most frequent pair first, equal ones by their text."""
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for symbols, often in words.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += often
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        joined = {}
        for symbols, often in words.items():
            new, i = [], 0
            while i < len(symbols):
                whole = symbols[i:i + 2] == best
                new.append("".join(best) if whole else symbols[i])
                i += 2 if whole else 1
            joined[tuple(new)] = joined.get(tuple(new), 0) + often
        words = joined
    return merges


def byte_characters():
    """The character of each byte, as byte-level vocabularies write it."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in shown]
    return {**{byte: chr(byte) for byte in shown}, **{byte: chr(0x100 + i) for i, byte in enumerate(others)}}


def counted(mark):
    words = corpus.WORDS + [word + end for word in corpus.WORDS[:60] for end in corpus.SUFFIXES[:4]] + corpus.LONG.split()
    return Counter(tuple(mark + word) for word in words) + Counter(tuple(word) for word in corpus.WORDS)


def byte_level(first, last):
    """Vocabulary and merges over bytes: special tokens, bytes, merges, special tokens."""
    merges = learn(counted("Ġ"), MERGES)
    alphabet = sorted(byte_characters().values())
    entries = [*first, *alphabet, *("".join(pair) for pair in merges), *last]
    return {entry: i for i, entry in enumerate(dict.fromkeys(entries))}, merges


def plain(special, mark, letters, tokens_of_bytes):
    merges = learn(counted(mark), MERGES)
    alphabet = sorted({c for word in counted(mark) for c in word} | set(letters))
    entries = special + tokens_of_bytes + alphabet + ["".join(pair) for pair in merges]
    return {entry: i for i, entry in enumerate(dict.fromkeys(entries))}, merges


# ---- tokenizers ----------------------------------------------------------------------------------------------------------


def special(*names, **flags):
    return [AddedToken(name, special=True, normalized=False, **flags) for name in names]


def gpt2():
    vocab, merges = byte_level([], ["<|endoftext|>"])
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special("<|endoftext|>"))
    return tokenizer


def roberta():
    vocab, merges = byte_level(["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"])
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.post_processor = processors.RobertaProcessing(
        sep=("</s>", vocab["</s>"]), cls_token=("<s>", vocab["<s>"]), trim_offsets=True, add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([*special("<s>", "<pad>", "</s>", "<unk>"), *special("<mask>", lstrip=True)])
    return tokenizer


def split(expression):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), behavior="isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def qwen2():
    vocab, merges = byte_level([], [])
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = split(MODERN % "")
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special("<|endoftext|>"))
    return tokenizer


def llama3():
    vocab, merges = byte_level([], ["<|begin|>", "<|end|>", "Ġriverboat"])
    tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=True))
    tokenizer.pre_tokenizer = split(MODERN % "{1,3}")
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special("<|begin|>", "<|end|>"))
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(
            single="<|begin|> $A", pair="<|begin|> $A <|begin|>:1 $B:1", special_tokens=[("<|begin|>", vocab["<|begin|>"])])])
    return tokenizer


def general():
    """An expression that goes to the general engine."""
    vocab, merges = byte_level([], [])
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = split(GENERAL)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def llama():
    tokens_of_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    vocab, merges = plain(["<unk>", "<s>", "</s>"], "▁", "漢é ", tokens_of_bytes)
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", vocab["<s>"])])
    return tokenizer


def half_bytes():
    """Some byte tokens are missing, unknown ones are fused: the order of the tokens is the reference's own."""
    tokens_of_bytes = [f"<0x{byte:02X}>" for byte in range(256) if byte % 4 != 1]
    vocab, merges = plain(["<unk>"], "▁", "", tokens_of_bytes)
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def affixes():
    """Characters inside a word carry ##, the last one </w>; what is unknown stays apart."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    entries = ["[UNK]", *letters, *("##" + c for c in letters), *(c + "</w>" for c in letters), *("##" + c + "</w>" for c in letters)]
    merges = [("t", "##h"), ("##e", "##r"), ("th", "##e</w>"), ("##n", "##g</w>"), ("##i", "##ng</w>"), ("r", "##i"), ("th", "##er")]
    entries += [left + right[2:] for left, right in merges]
    vocab = {entry: i for i, entry in enumerate(dict.fromkeys(entries))}
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="[UNK]", continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


# name -> (how it is built, does the folder have a tokenizer.json)
CASES = {
    "pairs-gpt2": (gpt2, False), "pairs-roberta": (roberta, False), "pairs-qwen2": (qwen2, True), "pairs-llama3": (llama3, True),
    "pairs-general": (general, True), "pairs-llama": (llama, True), "pairs-half-bytes": (half_bytes, True),
    "pairs-affixes": (affixes, True),
}


# ---- files ---------------------------------------------------------------------------------------------------------------


def save(folder, name, tokenizer, with_json):
    os.makedirs(folder, exist_ok=True)
    if with_json:
        tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
        return
    model = json.loads(tokenizer.to_str())["model"]
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8", newline="\n") as file:
        json.dump(model["vocab"], file, ensure_ascii=False)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8", newline="\n") as file:
        file.write("#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in model["merges"]))
    kind = {"pairs-gpt2": "GPT2", "pairs-roberta": "Roberta"}[name]
    write_json(os.path.join(folder, "tokenizer_config.json"),
               {"tokenizer_class": kind + "Tokenizer", "add_prefix_space": kind == "Roberta"}, 2)


def rows(tokenizer):
    for text in dict.fromkeys(TEXTS):
        encoded = encode(tokenizer, text)
        yield {"text": text, **{key: encoded[key] for key in ("ids", "tokens", "offsets", "words", "types")},
               "decode": tokenizer.decode(encoded["ids"], skip_special_tokens=False)}
    for text, pair in PAIRS:
        encoded = encode(tokenizer, text, pair)
        yield {"text": text, "pair": pair, **{key: encoded[key] for key in ("ids", "tokens", "offsets", "words", "types", "sequence")},
               "decode": tokenizer.decode(encoded["ids"], skip_special_tokens=False)}


def make(out):
    """tokenizers/<name>/ and tokenizers/<name>.jsonl for each case."""
    top = os.path.join(out, "tokenizers")
    for name, (build, with_json) in CASES.items():
        tokenizer = build()
        save(os.path.join(top, name), name, tokenizer, with_json)
        source = f"tokenizers/{name}/" + ("tokenizer.json" if with_json else "(vocabulary files, no tokenizer.json)")
        header = {"name": name, "files": [source], "library": "tokenizers " + tokenizers.__version__,
                  "offsets": "bytes of the UTF-8 text, half-open; [0,0] for template tokens"}
        with open(os.path.join(top, name + ".jsonl"), "w", encoding="utf-8", newline="\n") as file:
            for row in [header, *rows(tokenizer)]:
                file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
