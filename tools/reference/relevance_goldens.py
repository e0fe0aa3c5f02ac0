"""AttnLRP and CP-LRP in golden/<case>.gradients.*: `lrp.<rule>.<measure>.relevance` by token, T5's decoder inputs in
`.relevance.target`; in the JSON what was kept (`ledger`), the sum over the rows of each state (`hidden_sums`), and how
far a float32 run is from float64 (`f32_error`, relative to the largest relevance).

While making them: tokens and ledger sum to <df/dz, z> over the logits z, which is f for a logit and a difference;
the relevance of the difference is the difference; CP-LRP without constants keeps nothing; where no relevance rule
applies it is the gradient; a linear network gives its exact contributions.
"""
import contextlib

import torch

import folders
from containers import random_state
from families import open_net
from questions import measure
from relevance_rules import RULES, AttnLrp, CpLrp

KINDS = ("logit", "logprob")
CLOSED = {torch.float64: 1e-12, torch.float32: 1e-4}  # of the sum of all sizes


@contextlib.contextmanager
def ruled(net, rule):
    """The net under a rule, which is given back to be read."""
    kept, net.rule = net.rule, RULES[rule]()
    try:
        yield net.rule
    finally:
        net.rule = kept


def states_of(run):
    """Name -> state of every layer."""
    if hasattr(run, "named"):
        return {name: state for name, state in run.named.items() if ".hidden." in name}
    return {f"hidden.{i}": state for i, state in enumerate(run.hidden)}


class Propagated:
    """One question's relevance under one rule."""

    def __init__(self, question, rule, kind, target=None):
        target = question.target if target is None else target
        net, inputs = question.net, {"words": question.ids, "decoder_words": question.decoder}
        leaves = {name: net.words[ids].detach().requires_grad_(True) for name, ids in inputs.items() if ids is not None}
        with ruled(net, rule) as ways:
            run = question.run(1, **leaves)
            states = states_of(run)
            for state in states.values():
                state.retain_grad()
            logits = question.row_of(run.logits)
            self.f = measure(logits, kind, target, question.foil)[0]
            self.f.backward()
        self.seeded = self.seed(logits, kind, target, question.foil)
        self.parts = [(leaf.detach() * leaf.grad).sum(-1)[0] for leaf in leaves.values()]
        self.ledger, kept = ways.ledger()
        self.hidden_sums = {name: float((state * state.grad).sum()) for name, state in states.items() if state.grad is not None}
        self.scale = kept + sum(float((leaf.detach() * leaf.grad).abs().sum()) for leaf in leaves.values())
        self.residual = sum(float(part.sum()) for part in self.parts) + sum(self.ledger.values()) - self.seeded
        self.check(question, rule, kind)

    @staticmethod
    def seed(logits, kind, target, foil):
        """<df/dz, z>"""
        z = logits.detach().requires_grad_(True)
        return float((torch.autograd.grad(measure(z, kind, target, foil).sum(), z)[0] * z).sum())

    def check(self, question, rule, kind):
        name, closed = f"{question.case} {rule} {kind}", CLOSED[self.f.dtype] * self.scale
        if abs(self.residual) > closed:
            raise ValueError(f"{name}: {self.residual} of {self.scale} is neither on tokens nor in the ledger")
        if kind in ("logit", "diff") and abs(self.seeded - float(self.f)) > closed:
            raise ValueError(f"{name}: <df/dz, z> is {self.seeded} and not f")
        if (rule == "cplrp") == (self.ledger["softmax"] != 0):
            raise ValueError(f"{name}: the softmax keeps {self.ledger['softmax']}")

    def describe(self):
        return {"f": float(self.f), "seed_dot_logits": self.seeded, "ledger": self.ledger, "hidden_sums": self.hidden_sums,
                "residual": self.residual, "scale": self.scale}


def check_difference(question, rule, logit):
    """R(a - b) = R(a) - R(b)"""
    both, other = Propagated(question, rule, "diff"), Propagated(question, rule, "logit", question.foil)
    for one, a, b in zip(both.parts, logit.parts, other.parts):
        if (one - (a - b)).abs().max() > CLOSED[one.dtype] * (logit.scale + other.scale):
            raise ValueError(f"{question.case} {rule}: relevance is not linear in the target")


def f32_error(question, rule, kind, exact):
    """The same in float32: largest difference relative to the largest relevance."""
    wide, question.net = question.net, open_net(question.folder, torch.float32)
    try:
        parts = Propagated(question, rule, kind).parts
    finally:
        question.net = wide
    return max(float((a.double() - b).abs().max() / b.abs().max()) for a, b in zip(parts, exact.parts))


def check_linear():
    """Two linear layers with biases: weight times input, path by path, and the biases' share."""
    random = random_state(folders.SEED, "linear network")
    x, first, second, shift = (torch.tensor(random.standard_normal(size)) for size in ((1, 5), (7, 5), (1, 7), (7,)))
    for rule in (AttnLrp(), CpLrp()):
        leaf = x.clone().requires_grad_(True)
        y = rule.active(lambda u: u, rule.added("linear", leaf @ first.T, shift)) @ second.T
        y.sum().backward()
        exact, (ledger, _) = x * (second @ first), rule.ledger()
        if (x * leaf.grad - exact).abs().max() > 1e-14 or abs(ledger["linear"] - float(second @ shift)) > 1e-14:
            raise ValueError("a linear network does not have its exact contributions")


def put(question, golden):
    check_linear()
    notes = golden.json["lrp"] = {"arrays": "lrp.<rule>.<target>.relevance, ends in the word embedding rows; the JSON has the ledger"}
    for rule in RULES:
        for kind in (kind for kind in KINDS if kind in question.kinds):
            found = Propagated(question, rule, kind)
            for ending, part in zip(("", ".target"), found.parts):
                golden.put(f"lrp.{rule}.{kind}.relevance{ending}", part)
            notes[f"{rule}.{kind}"] = {**found.describe(), "f32_error": f32_error(question, rule, kind, found)}
            if kind == "logit" and "diff" in question.kinds:
                check_difference(question, rule, found)
