"""Semantic distillation against its formula."""

import jax
import numpy as np
from codax.losses.distillation import distillation


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def _sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def test_all_forms() -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.standard_normal((2, 9, 4)), rng.standard_normal((2, 7, 4))
    cut = student[:, :7]
    along_time = [-np.log(_sigmoid(_cosine(cut[b, :, d], teacher[b, :, d]))) for b in range(2) for d in range(4)]
    np.testing.assert_allclose(distillation(student, teacher, "d_axis"), np.mean(along_time), rtol=1e-5)
    across = [-np.log(_sigmoid(_cosine(cut[b, t], teacher[b, t]))) for b in range(2) for t in range(7)]
    expected = np.mean(across) + np.abs(cut - teacher).mean()
    np.testing.assert_allclose(distillation(student, teacher, "t_axis"), expected, rtol=1e-5)
    expected = np.mean([1 - _cosine(cut[b, t], teacher[b, t]) for b in range(2) for t in range(7)])
    np.testing.assert_allclose(distillation(student, teacher, "cosine"), expected, rtol=1e-5)


def test_silence_gives_finite_gradients() -> None:
    for form in ("d_axis", "t_axis", "cosine"):
        negative_slope = jax.grad(lambda x, form=form: distillation(x, np.zeros((1, 5, 3)), form))(np.zeros((1, 5, 3)))
        assert np.isfinite(negative_slope).all()
