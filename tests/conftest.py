"""For every test: one thread, because tiny tensors only suffer from more."""

import os

import torch

# Commands measure which runtime is fastest otherwise; tests take the reference.
os.environ["SELVEDGE_RUNTIME"] = "eager"
torch.set_num_threads(1)
