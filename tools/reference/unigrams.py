"""Small Unigram and SentencePiece tokenizers, written byte by byte, and what the `tokenizers` and `sentencepiece` libraries
make of the texts.

A SentencePiece file is a protocol-buffer message; the few fields that matter are written here by hand, so that nothing is
trained and the files come out the same everywhere.  The character map is a double array over UTF-8 bytes.

Known to go wrong: SentencePiece wants the keys of its map to be found longest first, `tokenizers` takes the shortest.
"""
import json
import os
import struct

import sentencepiece
import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

import corpus
import wordpieces

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BPE = 1, 2
SPACE = "\u2581"

# What the map replaces: compatibility characters, white space, things that vanish, a cluster that only begins with a key.
REPLACED = {
    "\ufb01": "fi", "\u00bd": "1\u20442", "\u2460": "1", "\u2026": "...", "\u2122": "TM", "\uff21": "A", "\uff22": "B",
    "\u3000": " ", "\u00a0": " ", "\u2009": " ", "\t": " ", "\n": " ", "\r": " ", "\u200b": " ", SPACE: " ",
    "\u0001": "", "\u001f": "", "\u007f": "", "e\u0301": "\u00e9", "o\u0308": "\u00f6", "\u212b": "\u00c5", "\ufdfa": "\u0635\u0644\u0649",
}


def double_array(keys):
    """Units of a double array for {bytes: value}: a child of base b by byte c is unit b ^ c with label c."""
    units, used, bases = [0] * 256, {0}, set()  # no two nodes may have one base: labels alone would not tell them apart

    def place(labels):
        base = 1
        while base in bases or any((base ^ label) in used for label in labels):
            base += 1
        bases.add(base)
        units.extend([0] * (((base | 255) + 1) - len(units)))
        used.update(base ^ label for label in labels)
        return base

    def insert(at, items):
        labels = sorted({key[0] if key else 0 for key in items})
        base = place(labels)
        units[at] |= (base ^ at) << 10
        for label in labels:
            inside = {key[1:]: value for key, value in items.items() if (key[0] if key else 0) == label and key}
            child = base ^ label
            if label == 0:
                units[at] |= 1 << 8
                units[child] = items[b""] | 1 << 31
            else:
                units[child] = label
                insert(child, inside)

    insert(0, keys)
    return units


def charsmap():
    texts, keys = b"\0", {}
    for key, value in REPLACED.items():
        keys[key.encode()] = len(texts)
        texts += value.encode() + b"\0"
    units = double_array(keys)
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + texts


# ---- protocol buffers ----

def varint(value):
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def number(field, value):
    return varint(field * 8) + varint(value)


def message(field, data):
    return varint(field * 8 + 2) + varint(len(data)) + data


def model_file(pieces, kind, byte_fallback=False, dummy_prefix=True, trims=True, mapped=True):
    out = b""
    for text, score, category in pieces:
        data = message(1, text.encode()) + varint(2 * 8 + 5) + struct.pack("<f", score)
        out += message(1, data + (number(3, category) if category != NORMAL else b""))
    unknown = next(i for i, piece in enumerate(pieces) if piece[2] == UNKNOWN)
    out += message(2, number(3, kind) + number(35, byte_fallback) + number(40, unknown))
    return out + message(3, message(1, b"made") + (message(2, charsmap()) if mapped else b"")
                         + number(3, dummy_prefix) + number(4, trims))


# ---- vocabularies ----

def words():
    return list(dict.fromkeys(corpus.WORDS))


def letters():
    return list(dict.fromkeys("abcdefghijklmnopqrstuvwxyzABHMNST0123456789.,!?'\"-()\u2044\u00e9\u00f6\u6f22\u5b57" + SPACE))


def unigram_pieces():
    pieces = [("<pad>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), ("<em>", 0.0, USER_DEFINED)]
    pieces += [(SPACE + word, -4.0 - 0.03125 * i, NORMAL) for i, word in enumerate(words())]
    pieces += [(part, -5.0 - 0.0625 * i, NORMAL) for i, part in enumerate(corpus.SUFFIXES)]
    pieces += [(letter, -9.0 - 0.125 * i, NORMAL) for i, letter in enumerate(letters())]
    return [piece for i, piece in enumerate(pieces) if piece[0] not in [other[0] for other in pieces[:i]]]


def bpe_pieces():
    """Every beginning of a word is a piece too, so that merges lead to it."""
    pieces = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    pieces += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    parts = list(dict.fromkeys((SPACE + word)[:size] for word in words() for size in range(2, len(word) + 2)))
    parts += [part[:size] for part in corpus.SUFFIXES for size in range(2, len(part) + 1)]
    pieces += [(part, float(-i), NORMAL) for i, part in enumerate(dict.fromkeys(parts))]
    pieces += [(letter, float(-len(parts) - i), NORMAL) for i, letter in enumerate(letters())]
    return [piece for i, piece in enumerate(pieces) if piece[0] not in [other[0] for other in pieces[:i]]]


# ---- folders and rows ----

def tokenizer_json():
    tokenizer = Tokenizer(models.Unigram([(text, score) for text, score, _ in unigram_pieces()], unk_id=2))
    tokenizer.normalizer = normalizers.Precompiled(charsmap())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ("<pad>", "</s>", "<unk>")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def first_tokenizer_json():
    """Byte fallback, no split, a prefix at the front only, and no map."""
    pieces = [("<unk>", 0.0)] + [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    pieces += [(text, score) for text, score, kind in unigram_pieces() if kind == NORMAL]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_tokens([AddedToken("<em>", normalized=False)])
    return tokenizer


def sentencepiece_rows(path):
    processor = sentencepiece.SentencePieceProcessor(model_file=path)
    for text in dict.fromkeys(corpus.TRICKY):
        if "\0" in text:
            continue
        encoded = processor.encode(text, return_type="proto")
        ids = [piece.id for piece in encoded.pieces]
        yield {"text": text, "ids": ids, "tokens": [processor.id_to_piece(i) for i in ids],
               "offsets": [[piece.begin, piece.end] for piece in encoded.pieces], "decode": processor.decode(ids)}


def write_rows(out, name, file, library, rows):
    header = {"name": name, "files": [f"tokenizers/{name}/{file}"], "library": library,
              "offsets": "bytes of the UTF-8 text, half-open; [0,0] for template tokens"}
    with open(os.path.join(out, "tokenizers", name + ".jsonl"), "w", encoding="utf-8", newline="\n") as output:
        for row in [header, *rows]:
            output.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_all(out):
    for name, tokenizer in (("unigram-words", tokenizer_json()), ("unigram-bytes", first_tokenizer_json())):
        folder = os.path.join(out, "tokenizers", name)
        os.makedirs(folder, exist_ok=True)
        tokenizer.save(os.path.join(folder, "tokenizer.json"))
        write_rows(out, name, "tokenizer.json", "tokenizers " + tokenizers.__version__, wordpieces.golden_rows(tokenizer))
    for name, data in (("sentencepiece-unigram", model_file(unigram_pieces(), UNIGRAM)),
                       ("sentencepiece-bpe", model_file(bpe_pieces(), BPE, byte_fallback=True, trims=False, mapped=False))):
        folder = os.path.join(out, "tokenizers", name)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "spiece.model")
        with open(path, "wb") as output:
            output.write(data)
        write_rows(out, name, "spiece.model", "sentencepiece " + sentencepiece.__version__, sentencepiece_rows(path))
