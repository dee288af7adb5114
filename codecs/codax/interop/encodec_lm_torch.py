"""EnCodec's language model in PyTorch, with the same operations as in the `encodec` package.

The bytes of a compressed `.ecdc` file depend on the last bits of the probabilities, and these on the order of float
additions. Only PyTorch's own kernels, in the same version, on the same type of processor and with the same number of
threads (`torch.set_num_threads`), therefore read and write the files of `encodec`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from codax.errors import CodaxError
from codax.interop.encodec_lm import from_codax
from codax.lm.config import LMConfig
from codax.lm.predictor import LM


class TorchLM:
    """The language model in PyTorch, with the weights of an `LM`."""

    def __init__(self, lm: LM) -> None:
        """Raises CodaxError if PyTorch is not installed."""
        try:
            import torch
        except ImportError as error:
            raise CodaxError("EnCodec's own files of this kind need PyTorch: pip install torch") from error
        self.config = lm.config
        weights = from_codax(lm.flat(), lm.config)
        self.weights = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}

    def begin(self, codebooks: int) -> Callable[[np.ndarray], np.ndarray]:
        """Starts a sequence; several can be processed at the same time.

        Returns:
          A function from the previous frame, int [codebooks] (1 + its codes; 0 before the first frame), to the
          probabilities of the next frame, float32 [codebooks, codebook_size].

        Raises:
          ConfigError: the model has fewer codebooks.
        """
        return _Sequence(self.config, self.weights, self.config.checked_codebooks(codebooks)).probabilities


class _Sequence:
    """One sequence: the past inputs of each layer, and the position of the next frame."""

    def __init__(self, config: LMConfig, weights: dict[str, Any], codebooks: int) -> None:
        import torch

        self.config, self._weights, self._codebooks = config, weights, codebooks
        self._torch = torch
        self._past = [torch.zeros(1, 1, config.dim) for _ in range(config.layers)]
        self._position = 0
        half = config.dim // 2
        self._wavelengths = config.period ** (torch.arange(half).view(1, 1, -1) / (half - 1))

    def probabilities(self, previous: np.ndarray) -> np.ndarray:
        torch, functional, weights = self._torch, self._torch.nn.functional, self._weights
        dim = self.config.dim

        def affine(prefix: str) -> tuple[Any, Any]:
            return weights[f"{prefix}.weight"], weights[f"{prefix}.bias"]

        with torch.no_grad():
            codes = torch.from_numpy(np.asarray(previous, np.int64)).view(1, -1, 1)
            x = functional.embedding(codes[:, 0], weights["emb.0.weight"])
            for k in range(1, self._codebooks):
                x = x + functional.embedding(codes[:, k], weights[f"emb.{k}.weight"])
            phase = torch.tensor([[[self._position]]]) / self._wavelengths
            x = functional.layer_norm(x, (dim,), *affine("transformer.norm_in"))
            x = x + torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1)
            for i in range(self.config.layers):
                x = self._layer(x, i, affine)
            self._position += 1
            logits = torch.stack([functional.linear(x, *affine(f"linears.{k}")) for k in range(self._codebooks)], dim=1)
            # [1, size, codebooks, 1], normalised along the second axis: another axis would use a different kernel.
            return torch.softmax(logits.permute(0, 3, 1, 2), dim=1)[0, :, :, 0].T.numpy()

    def _layer(self, x: Any, index: int, affine: Any) -> Any:
        torch, functional = self._torch, self._torch.nn.functional
        prefix, dim, past = f"transformer.layers.{index}", self.config.dim, self._past[index]
        seen = torch.cat([past, x], dim=1)
        self._past[index] = seen[:, -self.config.past_context :]
        keys = seen.transpose(0, 1)
        weights = self._weights
        mixed, _ = functional.multi_head_attention_forward(
            x.transpose(0, 1), keys, keys, dim, self.config.heads,
            weights[f"{prefix}.self_attn.in_proj_weight"], weights[f"{prefix}.self_attn.in_proj_bias"],
            None, None, False, 0.0, *affine(f"{prefix}.self_attn.out_proj"),
            training=False, need_weights=False,
            attn_mask=torch.zeros(1, seen.shape[1], dtype=torch.bool),
        )  # fmt: skip
        x = functional.layer_norm(x + mixed.transpose(0, 1), (dim,), *affine(f"{prefix}.norm1"))
        y = functional.linear(
            functional.gelu(functional.linear(x, *affine(f"{prefix}.linear1"))),
            *affine(f"{prefix}.linear2"),
        )
        return functional.layer_norm(x + y, (dim,), *affine(f"{prefix}.norm2"))
