"""Words and texts: the WordPiece vocabularies, what the models read, and the texts that try the tokenizers.

Everything here was written for these tests.  A text of TRICKY may look wrong in an editor on purpose.
"""
import string

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

WORDS = """
the a an of to and in on at is was were are not no it he she they we you my her his this that with for by from over
under into out up down very too so but or if as when then how who what where old new small big good bad red green blue
white black warm cold bright dark quiet slow quick long short happy sad river mill house boat tree bird dog cat rain snow
wind sun moon star stone road bridge garden door window table book letter song film story music bread apple tea water fire
night day morning evening winter summer year time people child mother king friend village town sea hill run runs ran walk
sing sang fell fall open close read wrote love like see saw come came go went make made say said give gave find found keep
kept turn wait stay sleep un re dis
""".split()
SUFFIXES = "s ed ing ly er est ness ful less y en ment able ish tion al ous".split()
CAPITALISED = "The A It He She They We I My This That In On When But Where River Anna London Monday".split()
LETTERS = "éüñößøжий漢字生活かな한국€£“”’…–еёοόİÉΟहதไע١😀👍❤\U00020000"
CONTINUED = "éüñßждеинλοςσυεΔΥΣΕ漢字かな한국어\u0926\u092e\u093f\u094d\u0940\u0928\u0bae\u0bbf\u0e17\u0e22\u05d1\u05e8ÉÜ😀"


def vocabulary(cased):
    """Entries in id order: special tokens, ASCII marks and digits, letters, a few others, words, word endings."""
    lower = string.ascii_lowercase
    letters = lower + (string.ascii_uppercase if cased else "")
    entries = SPECIAL + list(string.punctuation) + list(string.digits) + list(letters) + list(LETTERS)
    # Parts that accent stripping leaves behind: Hangul jamo, the dotless i, a lone acute accent.
    entries += ["\u1112", "\u0131", "\u0301"]
    entries += ["##" + c for c in "\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165\u0301\u0303\u0307\u0327\ufe0f\u200d"]
    entries += ["##" + c for c in letters + string.digits + CONTINUED]
    entries += WORDS + (CAPITALISED if cased else ["london", "monday", "anna"]) + ["##" + s for s in SUFFIXES]
    return list(dict.fromkeys(entries))


# name of the input -> text, or (text, second text).  `explain` (for bert-pair: `pair`) is the question.
MASKED = {
    "explain": "The river runs [MASK] the sleepless village",
    "mid": "When the rain fell, the the old mill was [MASK] and quiet: nobody sang.",
    "three-masks": "A [MASK] letter came from the [MASK] in the [MASK]",
    "pair": ("She kept the [MASK]", "it was a sad story"),
    "empty": "",
    "word": "moon",
}
SENTIMENT = {
    "explain": "a bad café music",
    "mid": "The film was long, but the music was so good that we went to see it in the evening!",
    "pair": ("not a bad song", "happy people"),
    "empty": "",
    "word": "good",
}
INFERENCE = {
    "explain": "the dog sleeps under the table",
    "mid": "In winter the children of the village walk over the bridge; in summer they find a boat.",
    "pair": ("is the door open?", "he closed it"),
    "empty": "",
    "word": "where",
}
SCORE = {
    "explain": "My friend Anna found the Garden",
    "mid": "On Monday the King wrote a very short letter to London. It said: Wait, I come by boat!",
    "pair": ("This is warm", "That was cold"),
    "empty": "",
    "word": "River",
}
TOPICS = {
    "explain": "rain and snow over quiet hills",
    "mid": "the wind came down from the hill, and the fire in the small house went out at night.",
    "pair": ("green tea", "with white bread"),
    "empty": "",
    "word": "sea",
}
SHORT_MASKED = {name: MASKED[name] for name in ("explain", "pair", "empty")}
# For the other families.  ANSWERED: source and target of an encoder-decoder.  ASKED: question and text.
SHORT_SENTIMENT = {"explain": "a bad café music", "mid": "the long film was sad, but we like the song", "pair": SENTIMENT["pair"], "word": "good"}
ROBERTA_MASKED = {"explain": "the <mask> was bad", "mid": "She kept the <mask>, a story", "pair": ("the <mask>", "we ran"), "empty": ""}
ROBERTA_SENTIMENT = {"explain": "a good song", "mid": "a warm\nnight, café!", "pair": ("so bad", "we ran"), "empty": ""}
NEXT = {"explain": "the boat was on", "mid": "a child ran down to the river, and"}
JUDGED = {"explain": "a sad old song", "mid": "we like the warm night!"}
ANSWERED = {"explain": ("the old boats were good", "it was good"), "mid": ("a <extra_id_0> was under the bridge and the river", "<extra_id_0> boat <extra_id_1>"),
            "one": ("", "no")}
ASKED = {"explain": ("who sang?", "unhappy Anna"), "mid": ("where is the boat", "the boat is under the old bridge, by the mill"), "empty": ""}
# Thirty-two positions are filled from this text; some of its tokens repeat.
LONG = ("The people of the town said that the moon was bright and the night was warm, so they went out to the river, "
        "and a child with a small red boat ran down the road, over the bridge and into the dark water of the sea.")

TRICKY = [
    # white space and line ends
    "", " ", "   ", "\t", "\n", "\r\n", " two  spaces ", "tab\tand\nline\r\nends", "no\u00a0break", "thin\u2009em\u2003ideographic\u3000",
    "\u2028line\u2029paragraph", "vertical\u000btab form\u000cfeed", "next\u0085line", "\u1680ogham\u1680",
    # ordinary text
    "the river runs", "The River Runs", "THE RIVER", "sleepless", "unhappily", "Anna, come!", "a b c", "walk-ing", "snow/rain", "don't",
    "we'll've", "(good)[bad]{sad}<red>", "e.g. 3.14, -42 and 1e-10", "$5 €5 £5 ¥5", "100%", "C++ #tag @user", "snake_case CamelCase",
    "https://example.org/a?b=c&d=e#f", "...?!", "''quoted``", "“quoted” ‘single’ «guillemets» „low“", "a‐b a‑b a–b a—b", "wait…", "a·b", "§ ¶ † ‡ •",
    # accents, combining marks, case
    "café", "cafe\u0301", "CAFÉ", "naïve Zürich señor", "ñ n\u0303 Ñ", "a\u0301\u0301\u0301b", "\u0301", "\u0301a", "a\u0315\u0300\u0327b",
    "q\u0307\u0323", "\u1e69 s\u0323\u0307", "Straße STRASSE ẞ", "İstanbul", "I\u0307stanbul", "ıI iİ", "ΟΔΥΣΣΕΥΣ όλος", "Ёж ёж и\u0306 й",
    "Đường łódź søster", "\u212bngstr\u00f6m \u2126 \u00b5 \u212aelvin", "\u01c5 \u01c6 \ufb01 \ufb03", "½ ² Ⅷ ① ™ ㍿", "Å A\u030a",
    # scripts
    "漢字", "漢字かな交じり", "生活is生活", "a漢b", "\uf900 \U0002f800", "\U00020000 \U0002b820 \U0002b920 \U00030000", "かな カナ ガ カ\u3099",
    "ｆｕｌｌ ＡＢＣ １２３", "한국", "한국어", "\u1112\u1161\u11ab", "ᄒ ᅡ", "हिन्दी", "தமிழ்", "ไทยภาษา", "עִבְרִית", "العَرَبِيَّة", "հայ ქართული", "١٢٣ १२३",
    # invisible and control characters
    "zero\u200bwidth", "join\u200der non\u200cjoiner", "word\u2060joiner", "soft\u00adhyphen", "\ufeffmark", "left\u200eright\u200f", "\u202eoverride\u202c",
    "nul\u0000inside", "\u0000", "\u0001\u0002\u001f", "\u007f\u0080\u009f", "bad\ufffdchar", "private \ue000 \U000f0000", "unassigned \u0378 \U0001fffe",
    "tag\U000e0041\U000e007f", "vs\ufe0e\ufe0f", "\u180emongolian", "\u0600\u06dd",
    # emoji
    "😀", "sun😀moon", "👍🏽", "👩\u200d👩\u200d👧", "❤\ufe0f", "🇩🇪", "1\ufe0f\u20e3",
    # length limits of a word, counted in code points
    "x" * 99, "x" * 100, "x" * 101, "é" * 100, "é" * 101, "e\u0301" * 51, "漢" * 101, "a" * 100 + " b", "run" * 40,
    # special tokens inside the text
    "[MASK]", "[mask]", "a [MASK] b", "a[MASK]b", "[MASK][MASK]", " [MASK] ", "[ MASK ]", "[CLS] a [SEP]", "[PAD][UNK]", "[SEP]", "[MASK].",
    "##ing", "a ##b", "#", "[UNK]known",
    # added tokens of the tokenizer that has some: left and right stripping, whole words, normalised ones
    "a <left> b", "a<left>b", "  <left>", "a <right>  b", "<right>", "a  <both>  b", "<both><both>", " <left> <right> ", "the ent came", "ent", "parent entry",
    "ent, ent.", "new moon", "New Moon", "a NEW MOON night", "newmoon", "<LEFT>", "über alles Über",
]
TRICKY_PAIRS = [
    ("", ""), ("river", ""), ("", "river"), ("the river", "the mill"), (" lead", " lead "), ("is it [MASK]?", "[SEP] no"), ("漢字", "한국"), ("café", "😀!"),
    ("a\u0000b", "\u200b"), ("x" * 101, "x"),
]
