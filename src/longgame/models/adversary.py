"""APR for factors: a step of BPR that also stands the worst small push. Pure functions; ``bpr`` calls them.

He, He, Du and Chua: "Adversarial Personalized Ranking for Recommendation", SIGIR 2018, section 3. The loss of user u with
item i taken and j not is

    L(w, h, g) + weight * L(w + dw, h + dh, g + dg),   L = -ln s(b_i - b_j + w . (h - g))

w, h and g being the factors of u, i and j, and each d a step of a fixed length in the direction in which L rises fastest:
against h - g for w, against w for h, along w for g. While the gradient is taken they are constants, as in the paper.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def resist(
    user: Any, item: Any, other: Any, users: Any, items: Any, bias: Any, rate: Any, prices: Any
) -> float:  # pragma: no cover - numba's, unseen by coverage
    """One step an event, in place; the sum of the plain losses before each. ``prices``: penalty, length and weight."""
    loss = 0.0
    price, length, weight = prices
    for n in range(len(user)):
        if other[n] < 0:
            continue
        i, j = item[n], other[n]
        w, h, g = users[user[n]], items[i], items[j]
        ahead = bias[i] - bias[j]
        apart, own, gap = ahead, np.float32(1e-12), np.float32(1e-12)
        for d in range(len(w)):
            apart += w[d] * (h[d] - g[d])
            own += w[d] * w[d]
            gap += (h[d] - g[d]) * (h[d] - g[d])
        back, away = length / np.sqrt(gap), length / np.sqrt(own)  # w + dw = w - back (h - g), h + dh = h - away w
        pushed = ahead
        for d in range(len(w)):
            pushed += (w[d] - back * (h[d] - g[d])) * (h[d] - g[d] - 2 * away * w[d])
        wrong = np.float32(1.0) / (np.float32(1.0) + np.exp(apart))
        worse = weight / (np.float32(1.0) + np.exp(pushed))
        loss += np.log1p(np.exp(-apart))
        for d in range(len(w)):
            one, far = w[d], h[d] - g[d]
            to_items = wrong * one + worse * (one - back * far)
            w[d] += rate * (wrong * far + worse * (far - 2 * away * one) - price * one)
            h[d] += rate * (to_items - price * h[d])
            g[d] -= rate * (to_items + price * g[d])
        bias[i] += rate * (wrong + worse - price * bias[i])
        bias[j] -= rate * (wrong + worse + price * bias[j])
    return loss
