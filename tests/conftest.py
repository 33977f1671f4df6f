"""For every test: one thread, because tiny tensors only suffer from more."""

import torch

torch.set_num_threads(1)
