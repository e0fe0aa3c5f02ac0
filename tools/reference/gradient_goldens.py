"""golden/<case>.gradients.*: gradients at three places of the embeddings, and integrated gradients.

`grad.<measure>` ends in the word embedding rows, before positions, types and the norm; `.sum` after the addition, `.h0`
after the norm.  Integrated gradients: `ig.<baseline>.<rule><points>.<measure>`, the weights of every rule add to 1.
`converged` halves segments until nothing changes.  Models with ReLU have kinks on the path: there only the default
question, and `error_estimate` in the JSON says how good it is.
"""
import numpy as np
import torch

import folders
import relevance_goldens
import sampling_goldens
from containers import Golden, random_state
from quadrature import f_of, gradient, nodes
from questions import Question

RULES = [("gl", 32), ("gl", 50), ("gl", 8), ("mid", 32), ("left", 32), ("right", 32), ("trap", 32)]
CHUNK = 512
MOST_POINTS = 200000  # of one bisection; honest ones stay below 50000


def integrand(question, kind, words, base, points):
    """< e_i - e'_i, gradient at each point > [points, n]."""
    parts = []
    for start in range(0, len(points), CHUNK):
        alpha = torch.tensor(points[start:start + CHUNK], dtype=torch.float64)[:, None, None]
        parts.append((gradient(question, base + alpha * (words - base), kind) * (words - base)).sum(-1))
    return torch.cat(parts)


def integrate(question, kind, words, base, rule, m):
    points, weights = nodes(rule, m)
    return (torch.tensor(weights)[:, None] * integrand(question, kind, words, base, points)).sum(0)


def converged(question, kind, words, base, tolerance, depth, points=10):
    """Bisection of [0, 1], every segment by Gauss-Legendre, until both halves agree with the whole for every token.

    The sum over the tokens is known exactly for each segment, f(end) - f(begin): that finds a kink so near the end of
    a segment that no point lies behind it.
    """
    place, weight = nodes("gl", points)
    used = 0

    def segments(begin, size):
        nonlocal used
        at = (begin[:, None] + size * place[None, :]).ravel()
        used += len(at)
        if used > MOST_POINTS:
            raise ValueError(f"{question.case} {kind}: bisection does not converge")
        rows = integrand(question, kind, words, base, at).reshape(len(begin), points, -1)
        return size * (torch.tensor(weight)[None, :, None] * rows).sum(1)

    def f_at(at):
        alpha = torch.tensor(at, dtype=torch.float64)[:, None, None]
        return torch.cat([f_of(question, base + part * (words - base), kind) for part in alpha.split(CHUNK)])

    low, width, error = np.array([0.0]), 1.0, 0.0
    whole, total = segments(low, width), torch.zeros(words.shape[1], dtype=torch.float64)
    for level in range(depth):
        width /= 2
        begin = np.stack([low, low + width], 1).ravel()
        halves = segments(begin, width)
        exact = f_at(begin + width) - f_at(begin)
        both = halves.reshape(len(low), 2, -1).sum(1)
        change = torch.maximum((both - whole).abs().max(1).values, (halves.sum(1) - exact).abs().reshape(-1, 2).max(1).values)
        done = change <= tolerance if level < depth - 1 else torch.ones(len(low), dtype=torch.bool)
        total += both[done].sum(0)
        error += float(change[done].sum())
        if done.all():
            break
        stay = (~done).repeat_interleave(2)
        low, whole = begin[stay.numpy()], halves[stay]
    return total, error, used


def baseline(question, name):
    """Word embeddings with every player replaced; all other positions keep their own."""
    net, words = question.net, question.net.words[question.ids].clone()
    if name in ("zero", "mean"):
        row = torch.zeros(words.shape[-1], dtype=torch.float64) if name == "zero" else question.mean_embedding()
    else:
        row = net.words[{"mask": question.mask, "pad": question.pad, "unk": question.unk}[name]]
    words[0, question.players] = row
    return words


def check_direction(question, words, kind, grad):
    """Central difference in a random direction against the gradient."""
    way = torch.tensor(random_state(folders.SEED, question.case, kind, "direction").standard_normal(tuple(words.shape)))
    step = 1e-6
    ends = [f_of(question, words + sign * step * way, kind)[0] for sign in (1, -1)]
    difference, exact = float(ends[0] - ends[1]) / (2 * step), float((grad * way).sum())
    if abs(difference - exact) > 1e-7 * max(1.0, abs(exact)):
        raise ValueError(f"{question.case} {kind}: gradient {exact} against finite difference {difference}")
    return abs(difference - exact)


def put_gradient(golden, words, grad, suffix):
    golden.put(f"grad.{suffix}", grad[0])
    golden.put(f"gradxinput.{suffix}", (words.detach() * grad).sum(-1)[0])
    golden.put(f"saliency.l2.{suffix}", grad[0].norm(dim=-1))


def put_gradients(question, golden, words):
    worst = 0.0
    for kind in question.all_kinds:
        grad = gradient(question, words, kind)
        worst = max(worst, check_direction(question, words, kind, grad))
        put_gradient(golden, words, grad, kind)
        golden.put(f"saliency.l1.{kind}", grad[0].abs().sum(-1))
        if question.decoder is not None:
            inputs = question.net.words[question.decoder]
            put_gradient(golden, inputs, gradient(question, inputs, kind, "decoder_words"), kind + ".target")
    if question.decoder is None:
        put_other_places(question, golden)
    return worst


def put_other_places(question, golden):
    """Gradients after the addition, and after the norm unless a projection follows it there."""
    clean = question.run(1)
    for place, start in (("sum", clean.summed), ("h0", clean.hidden[0])):
        if place == "h0" and clean.summed.shape != clean.hidden[0].shape:
            continue
        grad = gradient(question, start, "logit", "summed" if place == "sum" else "embedded")
        golden.put(f"grad.logit.{place}", grad[0])
        golden.put(f"gradxinput.logit.{place}", (start.detach() * grad).sum(-1)[0])


def put_path(question, golden, words, name, kind):
    """Everything integrated along the path from one baseline, for one measure."""
    notes, base = golden.json["ig"], baseline(question, name)
    f_base = float(f_of(question, base, kind)[0])
    notes["f_baseline"][f"{name}.{kind}"] = f_base
    delta = golden.json["f"][kind] - f_base
    default = name == question.baseline and kind == "logit"
    for rule, m in RULES if default or name == "zero" else RULES[:1]:
        value = integrate(question, kind, words, base, rule, m)
        golden.put(f"ig.{name}.{rule}{m}.{kind}", value)
        notes["residual"][f"{name}.{rule}{m}.{kind}"] = float(value.sum()) - delta
    kinks = question.net.act_name == "relu"
    if (kinks or question.decoder is not None) and not default or kinks and question.decoder is not None:
        return  # no smooth path, or (T5's norm near zero) a very stiff one
    value, error, used = converged(question, kind, words, base, *((1e-8, 15) if kinks else (1e-11, 24)))
    residual = float(value.sum()) - delta
    if abs(residual) > max(1e-9, 3 * error * len(question.players)) or error > (1e-3 if kinks else 1e-7):
        raise ValueError(f"{question.case} {name} {kind}: not complete, residual {residual}, error {error}")
    golden.put(f"ig.{name}.converged.{kind}", value)
    notes["residual"][f"{name}.converged.{kind}"] = residual
    notes["converged"][f"{name}.{kind}"] = {"error_estimate": error, "points": used}


def check_swap(question, words, golden):
    """Input and baseline exchanged: every score changes its sign (the unmoved positions stay)."""
    other = integrate(question, "logit", baseline(question, question.baseline), words, "gl", 32)
    worst = float((other + golden.arrays[f"ig.{question.baseline}.gl32.logit"]).abs().max())
    if worst > 1e-11:
        raise ValueError(f"{question.case}: exchanged integrated gradients differ by {worst}")


def make(out, case):
    question, golden = Question(out, case), Golden(out, case + ".gradients")
    question.describe(golden, "gradients")
    golden.json["embedding_point"] = "word embedding rows before positions, types and norm, unless the name says .sum or .h0"
    golden.json["ig"] = {"players": question.players, "default": {"rule": "gl", "m": 32, "baseline": question.baseline}, "f_baseline": {},
                         "residual": {}, "arrays": "ig.<baseline>.<rule><m>.<target>; ig.<baseline>.converged.<target>", "converged": {}}
    words = question.net.words[question.ids]
    worst = put_gradients(question, golden, words)
    golden.put("ig.mean_embedding", question.mean_embedding())
    there = {"zero": True, "mask": question.mask, "pad": question.pad, "unk": question.unk, "mean": True}
    for name in (name for name, token in there.items() if token is not None):
        for kind in question.kinds if name == question.baseline else ("logit",):
            put_path(question, golden, words, name, kind)
    check_swap(question, words, golden)
    sampling_goldens.put(question, golden, words)
    relevance_goldens.put(question, golden)
    golden.json["agreement"] = {"directional derivative vs finite difference": worst}
    golden.save()
