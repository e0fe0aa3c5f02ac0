"""golden/<case>.perturbation.*: scores of inputs with players removed, and leave-one-out scores made of them.

The default operator is `mask`, without a mask token `attn`.  `values.<default>.<measure>` holds f of all 2^p inputs,
index = bit mask, bit i set = player i is kept.  `occlusion.<operator>`
is f(input) - f(input without player i).  Windows and words remove several players at once.
"""
import torch

from containers import Golden
from questions import Question

OPERATORS = ["mask", "attn", "pad", "unk", "zero", "mean", "delete"]


def operators_of(question):
    """The default one first.  A token whose own row is read can be replaced, but neither deleted nor hidden from itself."""
    missing = {name for name, token in (("mask", question.mask), ("pad", question.pad), ("unk", question.unk)) if token is None}
    if question.decoder is None and question.row in question.removable:
        missing |= {"attn", "delete"}
    return [name for name in OPERATORS if name not in missing]


def gone_of(question, kept):
    """kept: bit masks over the players -> removed positions [B, n]."""
    gone = torch.zeros(len(kept), len(question.entry["ids"]), dtype=torch.bool)
    for line, bits in enumerate(kept):
        for player, position in enumerate(question.removable):
            gone[line, position] = not bits >> player & 1
    return gone


def word_groups(question):
    """Players of one word, as lists of player numbers.

    A Llama tokenizer has no pre-tokenizer and calls the whole text one word: the mark of white space parts it all the same.
    """
    groups, parts = {}, 0
    for position, token in enumerate(question.entry["tokens"]):
        parts += token.startswith("\u2581")
        if position in question.removable:
            key = (question.entry["sequence"][position], question.entry["words"][position], parts)
            groups.setdefault(key, []).append(list(question.removable).index(position))
    return list(groups.values())


def window_list(p, width, stride):
    """Windows over neighbouring players; the last one may be shorter."""
    starts = list(range(0, max(1, p - width + 1), stride))
    if starts[-1] + width < p:
        starts.append(starts[-1] + stride)
    return [list(range(start, min(p, start + width))) for start in starts]


def bits_of(players):
    return sum(1 << player for player in players)


def check_closed_attention(question):
    """Closing attention to a token equals deleting it while the others keep their positions.

    Not where distances count tokens: in a sliding window, and in T5's table of biases."""
    if question.decoder is not None or getattr(question.net, "window", None) is not None \
            or question.removable[0] == question.row:
        return
    everyone, first = (1 << len(question.removable)) - 1, question.removable[0]
    stay = torch.tensor([i for i in range(len(question.entry["ids"])) if i != first])
    with torch.no_grad():
        run = question.run(1, ids=question.ids[:, stay], types=question.types[:, stay], positions=question.positions[:, stay])
        row = None if question.row is None else stay.tolist().index(question.row)
        other = question.score(run, "logit", row)[0]
    closed = question.values("attn", gone_of(question, [everyone ^ 1]), ["logit"])["logit"][0]
    if abs(float(other - closed)) > 1e-12:
        raise ValueError(f"{question.case}: closed attention {float(closed)} against kept positions {float(other)}")


def put_operators(question, golden):
    """All operators one player at a time; the default one over every subset.  Returns the tables of the default."""
    p = len(question.removable)
    everyone, tables = (1 << p) - 1, {}
    for operator in (names := operators_of(question)):
        is_default = operator == names[0]
        kinds = question.kinds if is_default else [kind for kind in ("logit", "prob") if kind in question.kinds]
        kept = list(range(1 << p)) if is_default else [everyone, 0] + [everyone ^ 1 << i for i in range(p)]
        for kind, values in question.values(operator, gone_of(question, kept), kinds).items():
            if is_default:
                tables[kind] = values
                golden.put(f"values.{operator}.{kind}", values)
                single = values[[everyone ^ 1 << i for i in range(p)]]
            else:
                golden.put(f"values.{operator}.{kind}.full_empty", values[:2])
                single = values[2:]
            golden.put(f"occlusion.{operator}.{kind}", golden.json["f"][kind] - single)
    return tables


def put_windows(question, golden, table):
    p = len(question.removable)
    golden.json["windows"] = {}
    for width, stride in ((2, 1), (3, 2)):
        windows = window_list(p, width, stride)
        scores = table[-1] - table[[(1 << p) - 1 ^ bits_of(window) for window in windows]]
        spread = [torch.stack([scores[k] for k, window in enumerate(windows) if i in window]).mean() for i in range(p)]
        golden.put(f"windows.{width}.{stride}.scores", scores)
        golden.put(f"windows.{width}.{stride}.tokens", torch.stack(spread))
        golden.json["windows"][f"{width}.{stride}"] = windows


def put_words(question, golden, tables):
    groups = word_groups(question)
    golden.json["words"] = {"groups": groups, "note": "lists of player numbers; all tokens of a word are removed together"}
    subsets = [bits_of(player for k, group in enumerate(groups) if chosen >> k & 1 for player in group) for chosen in range(1 << len(groups))]
    golden.put("words.values.logit", tables["logit"][subsets])
    for kind, table in tables.items():
        everyone = len(table) - 1
        golden.put(f"words.occlusion.{kind}", table[-1] - table[[everyone ^ bits_of(group) for group in groups]])


def make(out, case):
    question, golden = Question(out, case), Golden(out, case + ".perturbation")
    question.describe(golden, "perturbation")
    p = len(question.removable)
    if not 3 <= p <= 10 or len(word_groups(question)) == p:
        raise ValueError(f"{case}: the question wants 3 to 10 players and a word of several tokens")
    golden.json.update({
        "players": question.removable, "default_op": operators_of(question)[0], "p": p, "removal_operators": operators_of(question),
        "coalitions": "index = bit mask over players, bit i set = player i (position players[i]) is kept; index 2^p-1 = the input itself"})
    golden.put("mean_embedding", question.mean_embedding())
    check_closed_attention(question)
    tables = put_operators(question, golden)
    golden.json["base"] = {kind: float(table[0]) for kind, table in tables.items()}
    golden.json["full"] = {kind: float(table[-1]) for kind, table in tables.items()}
    put_windows(question, golden, tables["logit"])
    put_words(question, golden, tables)
    golden.save()
