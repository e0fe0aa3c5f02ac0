"""SmoothGrad and Expected Gradients in golden/<case>.gradients.*, of the logit, with the random draws that were used.

Noise and replaced tokens are at players only, T5's decoder inputs stay.  `smoothgrad.mean_l2` is the length of the mean
gradient, `squared_sum` and `vargrad_sum` sums over the entries of mean squares and population variances, `xinput` the
product of embedding and mean gradient.  `expected.per_draw` is one line a draw, `se` from n - 1.
While making them: the two sums differ by the squared length; one draw without noise is the gradient; the scores of a
draw at all of a path's points sum to f(input) - f(baseline).
"""
import torch

import folders
from containers import random_state
from quadrature import f_of, gradient, nodes

NOISE_DRAWS, NOISE_SHARE, DRAWS = 3, 0.15, 4


def put_smooth(question, golden, words):
    sigma = NOISE_SHARE * float(words.std(unbiased=False))
    noise = torch.zeros(NOISE_DRAWS, *words.shape[1:], dtype=torch.float64)
    random = random_state(folders.SEED, question.case, "smoothgrad")
    noise[:, question.players] = torch.tensor(random.normal(0.0, sigma, (NOISE_DRAWS, len(question.players), words.shape[2])))
    found = gradient(question, words + noise, "logit")
    mean = found.mean(0)
    squares, spread = (found * found).mean(0).sum(-1), ((found - mean) ** 2).mean(0).sum(-1)
    if (squares - spread - (mean * mean).sum(-1)).abs().max() > 1e-12 * max(1.0, float(squares.max())):
        raise ValueError(f"{question.case}: squares, variance and mean do not belong together")
    if (gradient(question, words + 0.0 * noise, "logit").mean(0) - golden.arrays["grad.logit"]).abs().max() > 1e-12 * float(mean.abs().max()):
        raise ValueError(f"{question.case}: without noise there is another gradient")
    golden.json["smoothgrad"] = {"draws": NOISE_DRAWS, "sigma": sigma, "sigma_rule": f"{NOISE_SHARE} times the population deviation of the embeddings"}
    golden.put("smoothgrad.noise", noise)
    golden.put("smoothgrad.mean_l2", mean.norm(dim=-1))
    golden.put("smoothgrad.xinput", (words[0] * mean).sum(-1))
    golden.put("smoothgrad.squared_sum", squares)
    golden.put("smoothgrad.vargrad_sum", spread)


def check_draw(question, words, base):
    """The whole way of one draw, by 200 points in the middle: roughly complete."""
    points, weights = nodes("mid", 200)
    alpha = torch.tensor(points)[:, None, None]
    way = (torch.tensor(weights)[:, None] * ((words - base) * gradient(question, base + alpha * (words - base), "logit")).sum(-1)).sum()
    fall = float(f_of(question, words, "logit")[0] - f_of(question, base, "logit")[0])
    if question.decoder is None and question.net.act_name != "relu" and abs(float(way) - fall) > 0.02 * max(1.0, abs(fall)):
        raise ValueError(f"{question.case}: a draw's way has {float(way)} of {fall}")


def put_expected(question, golden, words):
    random = random_state(folders.SEED, question.case, "expected gradients")
    ids, players = question.ids.repeat(DRAWS, 1), question.players
    chosen = random.randint(0, len(question.ordinary), (DRAWS, len(players)))
    ids[:, players] = torch.tensor(question.ordinary)[torch.tensor(chosen)]
    alpha = torch.tensor((torch.arange(DRAWS).numpy() + random.uniform(size=DRAWS)) / DRAWS)
    base = question.net.words[ids]
    found = ((words - base) * gradient(question, base + alpha[:, None, None] * (words - base), "logit")).sum(-1)
    check_draw(question, words, base[:1])
    golden.json["expected_gradients"] = {"draws": DRAWS, "note": "alpha of draw k lies in [k/m, (k+1)/m]"}
    golden.put("expected.ids", ids)
    golden.put("expected.alpha", alpha)
    golden.put("expected.per_draw", found)
    golden.put("expected.mean", found.mean(0))
    golden.put("expected.se", found.std(0, unbiased=True) / DRAWS ** 0.5)


def put(question, golden, words):
    put_smooth(question, golden, words)
    put_expected(question, golden, words)
