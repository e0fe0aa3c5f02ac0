"""Ways back through a forward pass: the gradient's, and the rules of AttnLRP and CP-LRP as modified gradients.

The idea: a Net computes its products, norms and activations through `net.rule`, which leaves the values alone and
chooses how gradients return.  With a rule of relevance, x times its modified gradient is what x contributed; what
constants (biases, positions, segments, distances) and the softmax keep is written down while running, and read after
the way back.  `same` and `Scaled` are the only tricks: a value without a way back, and one with a share of it.
Known to go wrong: the kept share of the softmax belongs to the scores with their scale and distances, before masking;
a score that is masked, or that a stopped softmax never asks, has no gradient at all.
"""
import torch

PARTS = ("linear", "layernorm", "position", "segment", "softmax", "relbias")
NEAR_ZERO = 1e-30  # where x is 0 the quotient's limit is taken here


class Scaled(torch.autograd.Function):
    """x, with only a share of what comes back."""

    @staticmethod
    def forward(context, x, share):
        context.share = share
        return x.clone()

    @staticmethod
    def backward(context, grad):
        return grad * context.share, None


def same(x):
    """x as a constant."""
    return x.detach()


class Gradient:
    """The ordinary way back; nothing is written down."""

    def added(self, part, x, constant):
        return x + constant

    def factor(self, scale):
        """What a norm divides by."""
        return scale

    def active(self, function, x):
        return function(x)

    def gated(self, gate, x):
        return gate * x

    def scores(self, products):
        return products

    def softmax(self, scores, seen):
        """seen: which scores take part, or None."""
        if seen is not None:
            scores = torch.where(seen, scores, torch.full_like(scores, -torch.inf))
        return torch.softmax(scores, dim=-1)

    def mixed(self, probs, values):
        return torch.matmul(probs, values)


class Relevance(Gradient):
    """What both rules share, and the ledger."""

    def __init__(self):
        self.constants, self.softmaxes = [], []

    def added(self, part, x, constant):
        y = x + constant
        y.retain_grad()
        self.constants.append((part, y, constant))
        return y

    def factor(self, scale):
        return same(scale)

    def active(self, function, x):
        safe = torch.where(x == 0, torch.full_like(x, NEAR_ZERO), x)
        return x * same((function(safe) - function(torch.zeros_like(x))) / safe)

    def ledger(self):
        """part -> relevance kept, and the sum of the sizes; after the way back."""
        def kept(tensor, value):
            return 0.0 if tensor.grad is None else float((tensor.grad * value).sum())
        items = [(part, kept(y, constant)) for part, y, constant in self.constants]
        items += [("softmax", kept(probs, probs) - kept(scores, scores)) for scores, probs in self.softmaxes]
        return ({name: sum(value for part, value in items if part == name) + 0.0 for name in PARTS}, sum(abs(value) for _, value in items))


class AttnLrp(Relevance):
    """Products share evenly; the softmax is linearised at its scores, its offset keeps the rest."""

    def gated(self, gate, x):
        return Scaled.apply(gate * x, 0.5)

    def scores(self, products):
        return Scaled.apply(products, 0.5)

    def softmax(self, scores, seen):
        scores.retain_grad()
        probs = super().softmax(scores, seen)
        probs.retain_grad()
        self.softmaxes.append((scores, probs))
        return probs

    def mixed(self, probs, values):
        return Scaled.apply(torch.matmul(probs, values), 0.5)


class CpLrp(Relevance):
    """Attention weights and gates are constants."""

    def gated(self, gate, x):
        return same(gate) * x

    def mixed(self, probs, values):
        return torch.matmul(same(probs), values)


RULES = {"attnlrp": AttnLrp, "cplrp": CpLrp}
