"""golden/<case>.generation.*: what each input token does to each generated token, all steps from one teacher-forced pass.

Arrays are [steps, columns].  Columns: prompt and generated tokens before the step's prediction (decoders); source tokens,
then decoder inputs (T5).  The future is NaN, and in occlusion so is what is never removed: special tokens, the decoder
start, a first token that is no special one, and the input at the step's own prediction row.
While making them: teacher forcing gives what decoding step by step gives; nothing comes from the future; the sum over the
steps is the attribution of the sum; removing one player agrees with the matrix; Shapley values add up.
"""
import itertools
import math
import os

import torch

from containers import Golden, read_json
from questions import Question
from relevance_goldens import ruled
from relevance_rules import RULES

STEPS = 4
KINDS = ("logit", "logprob")


class Forced:
    """The input followed by the generated tokens."""

    def __init__(self, question, new):
        self.net, self.new, self.steps = question.net, new, len(new)
        self.source = question.ids
        if question.decoder is not None:
            self.inputs, self.rows = torch.tensor([[0] + new[:-1]]), list(range(self.steps))
        else:
            self.source, self.inputs = torch.cat([question.ids, torch.tensor([new[:-1]], dtype=torch.long)], 1), None
            self.rows = [question.ids.shape[1] - 1 + step for step in range(self.steps)]
        self.n = self.source.shape[1]
        self.columns = self.n + (0 if self.inputs is None else self.steps)
        self.never = {i for i, token in enumerate(self.source[0].tolist()) if token in question.special}
        self.never.add(0 if self.inputs is None else self.n)

    def own(self, step):
        """Column of the step's prediction row; the future begins behind it."""
        return self.rows[step] if self.inputs is None else self.n + step

    def scores(self, gone=None, words=None, inputs=None):
        """kind -> f [B, steps].  gone: removed columns [B, columns]; words, inputs: embeddings."""
        batch, changes = len(gone) if gone is not None else 1, {}
        if self.inputs is not None:
            changes = {"decoder": self.inputs.expand(batch, -1), "decoder_words": inputs}
        if gone is not None:
            changes["visible"] = ~gone[:, :self.n]
            if self.inputs is not None:
                changes["decoder_visible"] = ~gone[:, self.n:]
        logits = self.net.run(self.source.expand(batch, -1), words=words, **changes).logits[:, self.rows]
        picked = logits[:, range(self.steps), self.new]
        return {"logit": picked, "logprob": picked - torch.logsumexp(logits, -1), "logits": logits}


def blank(forced):
    return torch.full((forced.steps, forced.columns), math.nan, dtype=torch.float64)


def gradients(forced, pick):
    """(gradient x input, L2 norm of the gradient) of pick(scores), by column."""
    leaves = [forced.net.words[ids].detach().requires_grad_(True) for ids in (forced.source, forced.inputs) if ids is not None]
    found = torch.autograd.grad(pick(forced.scores(None, *leaves)), leaves)
    return (torch.cat([(leaf.detach() * grad).sum(-1)[0] for leaf, grad in zip(leaves, found)]),
            torch.cat([grad[0].norm(dim=-1) for grad in found]))


def by_step(forced, golden, kind):
    """Matrices of (input times gradient, L2 norm of the gradient) under the net's rule."""
    product, size = blank(forced), blank(forced)
    for step in range(forced.steps):
        end = forced.own(step) + 1
        one, norm = gradients(forced, lambda scores: scores[kind][0, step])
        if one[end:].abs().sum() != 0:
            raise ValueError(f"{golden.base}: the future takes part")
        product[step, :end], size[step, :end] = one[:end], norm[:end]
    whole, _ = gradients(forced, lambda scores: scores[kind].sum())
    if (torch.nansum(product, 0) - whole).abs().max() > 1e-10:
        raise ValueError(f"{golden.base}: {kind}, the steps do not add up to the sum")
    return product, size


def put_gradients(forced, golden):
    for kind in KINDS:
        product, size = by_step(forced, golden, kind)
        golden.put(f"gradxinput.{kind}", product, with_nan=True)
        golden.put(f"saliency.l2.{kind}", size, with_nan=True)
        for rule in RULES:
            with ruled(forced.net, rule):
                golden.put(f"{rule}.{kind}", by_step(forced, golden, kind)[0], with_nan=True)


def put_occlusion(forced, golden):
    columns = [column for column in range(forced.columns) if column not in forced.never]
    gone = torch.zeros(len(columns) + 1, forced.columns, dtype=torch.bool)
    for line, column in enumerate(columns):
        gone[line, column] = True
    with torch.no_grad():
        scores = forced.scores(gone)
    golden.put("logits", scores["logits"][-1])
    for kind in KINDS:
        matrix = blank(forced)
        for (line, column), step in itertools.product(enumerate(columns), range(forced.steps)):
            if column < forced.own(step):
                matrix[step, column] = scores[kind][-1, step] - scores[kind][line, step]
        golden.put(f"occlusion.attn.{kind}", matrix, with_nan=True)
        golden.put(f"f.{kind}", scores[kind][-1])


def shapley(values, p):
    """Exact Shapley values [p, steps] of a table [2^p, steps]."""
    found = torch.zeros(p, values.shape[1], dtype=torch.float64)
    for kept, player in itertools.product(range(1 << p), range(p)):
        if not kept >> player & 1:
            size = bin(kept).count("1")
            weight = math.factorial(size) * math.factorial(p - size - 1) / math.factorial(p)
            found[player] += weight * (values[kept | 1 << player] - values[kept])
    return found


def put_shapley(question, forced, golden):
    players = question.removable
    p = len(players)
    gone = torch.zeros(1 << p, forced.columns, dtype=torch.bool)
    for kept, player in itertools.product(range(1 << p), range(p)):
        gone[kept, players[player]] = not kept >> player & 1
    with torch.no_grad():
        values = forced.scores(gone)["logprob"]
    found = shapley(values, p)
    single = torch.stack([values[-1] - values[(1 << p) - 1 ^ 1 << player] for player in range(p)], 1)
    if (found.sum(0) - (values[-1] - values[0])).abs().max() > 1e-10 or \
            (single - golden.arrays["occlusion.attn.logprob"][:, players]).abs().max() > 1e-10:
        raise ValueError(f"{golden.base}: coalitions do not agree")
    golden.put("shapley.values.logprob", values)
    golden.put("shapley.logprob", found.T.contiguous())
    golden.json["shapley"] = {"players": players, "note": "[steps, players]; table rows are bit masks as in the perturbation stage; logprob"}


def check_forcing(forced, golden):
    """The decoder fed step by step gives the same logits, and the generated tokens are their maxima."""
    with torch.no_grad():
        for step, row in enumerate(forced.rows):
            if forced.inputs is not None:
                logits = forced.net.run(forced.source, decoder=forced.inputs[:, :step + 1]).logits[0, -1]
            else:
                logits = forced.net.run(forced.source[:, :row + 1]).logits[0, -1]
            if (logits - golden.arrays["logits"][step]).abs().max() > 1e-12 or int(logits.argmax()) != forced.new[step]:
                raise ValueError(f"{golden.base}: step {step} differs from decoding step by step")


def make(out, case):
    question, golden = Question(out, case), Golden(out, case + ".generation")
    question.describe(golden, "generation")
    greedy = read_json(os.path.join(out, "golden", case + ".json"))["greedy"]["explain"]
    forced = Forced(question, greedy["new_ids"][:STEPS])
    golden.json.update({
        "generated": forced.new, "prompt_length": question.ids.shape[1], "steps": forced.steps, "source_ids": forced.source[0].tolist(),
        "decoder_ids": None if forced.inputs is None else forced.inputs[0].tolist(), "rows": forced.rows,
        "arrays": "[steps, columns]; columns = source positions then decoder positions (T5), or prompt and generated positions; NaN = never written",
        "targets": "logit and logprob of the generated token at its step"})
    put_occlusion(forced, golden)
    put_gradients(forced, golden)
    put_shapley(question, forced, golden)
    check_forcing(forced, golden)
    golden.save()
