"""PyTorch's losses, eager and compiled: `torch_peer.py [cpu|cuda]`.

The gradient goes where PyTorch puts it: `x.grad` is absent before each run, as after `zero_grad()`.
"""

import sys
import time

import torch
import torch.nn.functional as F

import turns

device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")


def sigmoid_focal(x, t):
    """As torchvision's, with gamma 2 and without alpha."""
    p = torch.sigmoid(x)
    ce = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    miss = 1 - (p * t + (1 - p) * (1 - t))
    return (miss**2 * ce).mean()


LOSSES = {
    "cross_entropy": F.cross_entropy,
    "soft_cross_entropy": F.cross_entropy,
    "nll": F.nll_loss,
    "multi_margin": F.multi_margin_loss,
    "kl_div": lambda x, t: F.kl_div(F.log_softmax(x, 1), t, reduction="sum") / x.numel(),
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "sigmoid_focal": sigmoid_focal,
    "mse": F.mse_loss,
    "hinge": lambda x, t: F.relu(1 - x * t).mean(),
}


def timed(run):
    """Seconds of `run`, by the device's own clock on a GPU, and the loss that it returned."""
    if device.type == "cpu":
        start = time.perf_counter()
        loss = run()
        return time.perf_counter() - start, loss.item()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    loss = run()
    end.record()
    torch.cuda.synchronize()
    return 1e-3 * start.elapsed_time(end), loss.item()


def prepare(loss, targets, shape, dtype):
    torch._dynamo.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    x = torch.from_numpy(turns.logits(shape)).to(device, getattr(torch, dtype))
    leaf = x.detach().requires_grad_()
    t = torch.from_numpy(targets).to(device)
    t = t if t.is_floating_point() else t.long()
    function = LOSSES[loss]

    def forward(loss):
        def run():
            with torch.no_grad():
                return loss(x, t)

        return lambda: timed(run)

    def gradient(loss):
        def run():
            value = loss(leaf, t)
            value.backward()
            return value

        def cleared():
            leaf.grad = None
            return timed(run)

        return cleared

    losses = [("eager", function), ("compiled", torch.compile(function, dynamic=False))]
    return [(name, is_gradient, make(loss)) for is_gradient, make in [(False, forward), (True, gradient)] for name, loss in losses]


name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
turns.serve(f"PyTorch {torch.__version__} ({name})", prepare)
