"""LARS as ConRec's published training has it: the trust ratio of the whole update, the rate inside the momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017, arXiv 1708.03888), for weights w with gradients g::

        u = g + weight_decay w;  v = momentum v + lr trust |w| / |u| u;  w = w - v

    The norm below the fraction is that of the whole update u, as in ConRec's published code; the paper's algorithm has
    |g| + weight_decay |w|, at most 1.41 times as much where both are of one length. The rate stands inside the
    momentum: under a constant rate nothing else than outside, where the rate changes earlier steps keep theirs.

    Parameters of at most one axis (biases, batch norms) take plain momentum steps, without decay or scaling; so does a
    weight whose norm, or whose update's, is 0.

    Args:
        params: as every optimizer of torch takes them.
        lr: learning rate.
        weight_decay: of weights.
        momentum: of the steps.
        trust: the trust coefficient.
    """

    def __init__(
        self, params: ParamsT, lr: float, weight_decay: float = 0.0, momentum: float = 0.9, trust: float = 0.001
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; gives what the closure gives, where there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for scaled in (True, False):
                parameters = [p for p in group["params"] if p.grad is not None and (p.ndim > 1) == scaled]
                if parameters:
                    self._step(parameters, group, scaled)
        return loss

    def _step(self, parameters: list[Tensor], group: dict[str, Any], scaled: bool) -> None:
        updates = [p.grad for p in parameters if p.grad is not None]
        rate = group["lr"]
        if scaled:
            if group["weight_decay"]:
                updates = list(torch._foreach_add(updates, parameters, alpha=group["weight_decay"]))
            weights, lengths = (torch.stack(torch._foreach_norm(tensors)) for tensors in (parameters, updates))
            whole = (weights > 0) & (lengths > 0)
            ratios = torch.where(whole, group["trust"] * weights / lengths.where(whole, 1), 1)
            steps = torch._foreach_mul(updates, (rate * ratios).unbind())
        else:
            steps = torch._foreach_mul(updates, rate)
        for p in parameters:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        velocities = [self.state[p]["momentum_buffer"] for p in parameters]
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, steps)
        torch._foreach_sub_(parameters, velocities)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state; one of an earlier version, whose momentum had no rate in it, is given its own."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group.setdefault("trust", group.get("trust_coefficient", 0.001))
            if "trust_coefficient" in group:
                for name in ("trust_coefficient", "dampening", "nesterov", "foreach", "maximize", "step"):
                    group.pop(name, None)
                for p in group["params"]:
                    if p in self.state:
                        self.state[p]["momentum_buffer"] *= group["lr"]
