"""What gradient methods share: gradients and values of a question at word embeddings, points and weights on [0, 1]."""
import numpy as np
import torch


def gradient(question, words, kind, place="words"):
    """Gradient of f at word embeddings [B, n, d], each line by itself.  place: which argument of `run` they are."""
    words = words.detach().requires_grad_(True)
    run = question.run(len(words), **{place: words})
    return torch.autograd.grad(question.score(run, kind).sum(), words)[0]


def f_of(question, words, kind):
    with torch.no_grad():
        return question.score(question.run(len(words), words=words), kind)


def nodes(rule, m):
    """Points and weights on [0, 1]."""
    steps, equal = np.arange(m), np.full(m, 1.0 / m)
    if rule == "gl":
        points, weights = np.polynomial.legendre.leggauss(m)
        return 0.5 + 0.5 * points, 0.5 * weights
    if rule == "trap":
        weights = np.full(m, 1.0 / (m - 1))
        weights[[0, -1]] *= 0.5
        return steps / (m - 1), weights
    return (steps + {"left": 0.0, "mid": 0.5, "right": 1.0}[rule]) / m, equal
