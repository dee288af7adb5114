"""What the fields of a configuration must satisfy, section by section, for `Config.validate`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from codax.errors import ConfigError

if TYPE_CHECKING:
    from codax.config import Config

FAMILIES = ("soundstream", "encodec", "mimi", "dac")
SPECTRAL_FORMS = ("soundstream", "encodec", "audiocraft", "speechtokenizer", "dac")
ADVERSARIAL_FORMS = ("hinge", "linear", "least_squares")
Check = tuple[bool, str, object, str]  # does it hold, the field, its value, what it must be


def checks(config: Config) -> list[Check]:
    """All of them, in the order in which they are reported."""
    return [
        *_model(config),
        *_seanet(config),
        *_mimi(config),
        *_quantizer(config),
        *_discriminator(config),
        *_loss(config),
        *_optimizer(config),
        *_data(config),
        *_mixture(config),
        *_teacher(config),
        *_train(config),
        *_memory(config),
    ]


def _one_of(field: str, value: str, *allowed: str) -> Check:
    *most, last = allowed
    return value in allowed, field, value, f"{', '.join(most)} or {last}"


def _at_least(field: str, value: float, least: int) -> Check:
    return value >= least, field, value, f"at least {least}" if least else "0 or more"


def _range(field: str, value: tuple[float, float]) -> Check:
    return value[0] <= value[1], field, value, "(low, high)"


def _model(config: Config) -> list[Check]:
    m = config.model
    return [
        (m.family in FAMILIES, "model.family", m.family, f"one of {', '.join(FAMILIES)}"),
        (m.sample_rate > 0, "model.sample_rate", m.sample_rate, "positive"),
        _at_least("model.audio_channels", m.audio_channels, 1),
        _at_least("model.channels", m.channels, 1),
        _at_least("model.max_channels", m.max_channels, 0),
        _at_least("model.decoder_channels", m.decoder_channels, 0),
        (len(m.strides) > 0 and min(m.strides) >= 1, "model.strides", m.strides, "one or more positive strides"),
        _at_least("model.stem_stride", m.stem_stride, 1),
        _at_least("model.dimension", m.dimension, 1),
        _at_least("model.kernel_size", m.kernel_size, 1),
        _at_least("model.latent_kernel_size", m.latent_kernel_size, 1),
        (all(x >= 1 for x in m.dilations), "model.dilations", m.dilations, "positive"),
        _one_of("model.film", m.film, "none", "encoder", "decoder"),
        (0 <= m.segment_overlap < 1, "model.segment_overlap", m.segment_overlap, "0 or more and below 1"),
        _at_least("model.segment_seconds", m.segment_seconds, 0),
        _at_least("model.semantic_dimension", m.semantic_dimension, 0),
        (
            not m.normalize or m.segment_seconds > 0,
            "model.segment_seconds",
            m.segment_seconds,
            "positive when model.normalize is set: the scale is coded once a segment",
        ),
    ]


def _seanet(config: Config) -> list[Check]:
    m, n = config.model, config.model.seanet
    grouped = n.norm == "group" and m.family == "encodec"
    return [
        _one_of("model.seanet.shortcut", n.shortcut, "conv", "identity"),
        _one_of("model.seanet.norm", n.norm, "weight", "group", "none"),
        _one_of("model.seanet.pad_mode", n.pad_mode, "reflect", "zeros", "replicate"),
        _at_least("model.seanet.residual_kernel_size", n.residual_kernel_size, 1),
        _at_least("model.seanet.last_kernel_size", n.last_kernel_size, 1),
        (1 <= n.compress <= m.channels, "model.seanet.compress", n.compress, "1 to model.channels"),
        _at_least("model.seanet.lstm_layers", n.lstm_layers, 0),
        (0 <= n.trim_right_ratio <= 1, "model.seanet.trim_right_ratio", n.trim_right_ratio, "0 to 1"),
        (not (grouped and m.causal), "model.seanet.norm", n.norm, "weight or none for a causal model"),
        (not (n.bidirectional and m.causal), "model.seanet.bidirectional", n.bidirectional, "False for a causal model"),
        (
            m.family in ("soundstream", "dac") or (m.stem_stride == 1 and not m.max_channels and m.film == "none"),
            "model.family",
            m.family,
            "soundstream or dac for model.stem_stride, max_channels and film",
        ),
        (
            m.family in ("soundstream", "dac") or not m.weight_norm,
            "model.weight_norm",
            m.weight_norm,
            "False for other families than soundstream and dac, which have model.seanet.norm",
        ),
    ]


def _mimi(config: Config) -> list[Check]:
    m, t = config.model, config.model.transformer
    mimi = m.family == "mimi"
    plain = m.causal and not m.segment_seconds and m.seanet.pad_mode == "zeros" and m.seanet.trim_right_ratio == 1
    return [
        (
            not mimi or (plain and not m.seanet.lstm_layers),
            "model.family",
            m.family,
            "another than mimi, or else causal, with model.seanet.pad_mode zeros, without LSTM and segments",
        ),
        (
            m.resample_stride == 1 if not mimi else m.resample_stride >= 1,
            "model.resample_stride",
            m.resample_stride,
            "1 or more with family mimi, 1 with others",
        ),
        _at_least("model.transformer.layers", t.layers, 0),
        (
            t.heads >= 1 and (not mimi or m.dimension % (2 * t.heads) == 0),
            "model.transformer.heads",
            t.heads,
            "a divisor of half of model.dimension",
        ),
        _at_least("model.transformer.hidden", t.hidden, 1),
        _at_least("model.transformer.context", t.context, 1),
        (t.period > 1, "model.transformer.period", t.period, "above 1"),
    ]


def _quantizer(config: Config) -> list[Check]:
    q = config.quantizer
    return [
        _at_least("quantizer.num_quantizers", q.num_quantizers, 1),
        (2 <= q.codebook_size <= 65536, "quantizer.codebook_size", q.codebook_size, "2 to 65536"),
        (0 < q.decay < 1, "quantizer.decay", q.decay, "between 0 and 1"),
        (0 <= q.dead_ratio < 1, "quantizer.dead_ratio", q.dead_ratio, "0 or more and below 1"),
        _at_least("quantizer.dead_every", q.dead_every, 1),
        (
            0 <= q.semantic < q.num_quantizers,
            "quantizer.semantic",
            q.semantic,
            "0 or more and fewer than quantizer.num_quantizers",
        ),
        _one_of("quantizer.kind", q.kind, "average", "factorised", "fsq"),
        _at_least("quantizer.projection", q.projection, 1 if q.kind == "factorised" else 0),
        (q.kind == "average" or not q.semantic, "quantizer.semantic", q.semantic, f"0 with kind {q.kind}"),
        (
            q.kind == "average" or not q.normalise,
            "quantizer.normalise",
            q.normalise,
            "false with kind factorised, which always searches by angle, and with fsq",
        ),
        (
            1 <= q.beam <= min(64, q.codebook_size),
            "quantizer.beam",
            q.beam,
            "1 to 64, and at most quantizer.codebook_size",
        ),
        (
            q.beam == 1 or (q.kind == "average" and not q.normalise),
            "quantizer.beam",
            q.beam,
            "1 with kind factorised or fsq and with quantizer.normalise, which do not search by distance",
        ),
        *_fsq(config),
        _one_of("quantizer.gradient", q.gradient, "straight_through", "rotation"),
        (0 <= q.alarm_coverage < 1, "quantizer.alarm_coverage", q.alarm_coverage, "0 or more and below 1"),
        (0 <= q.dropout_share <= 1, "quantizer.dropout_share", q.dropout_share, "0 to 1"),
        (0 <= q.unquantized < 1, "quantizer.unquantized", q.unquantized, "0 or more and below 1"),
        (
            not q.dropout_kbps or (q.dropout and len(q.kbps) > 0),
            "quantizer.dropout_kbps",
            q.dropout_kbps,
            "false without quantizer.dropout and quantizer.kbps",
        ),
    ]


def _fsq(config: Config) -> list[Check]:
    q = config.quantizer
    if q.kind != "fsq":
        return []
    size = math.prod(q.fsq_levels)
    return [
        (
            len(q.fsq_levels) > 0 and min(q.fsq_levels) >= 3,
            "quantizer.fsq_levels",
            q.fsq_levels,
            "one or more numbers of values, each 3 or more: rounding leaves one of 2 unused",
        ),
        (
            q.codebook_size == size,
            "quantizer.codebook_size",
            q.codebook_size,
            f"{size} with kind fsq, the product of quantizer.fsq_levels",
        ),
        (q.projection == 0, "quantizer.projection", q.projection, "0 with kind fsq: one channel for each fsq_levels"),
        (
            q.gradient == "straight_through",
            "quantizer.gradient",
            q.gradient,
            "straight_through with kind fsq: rounding has no direction to turn",
        ),
    ]


def _discriminator(config: Config) -> list[Check]:
    d = config.discriminator
    return [
        _at_least("discriminator.every", d.every, 1),
        (
            0 < d.update_probability <= 1,
            "discriminator.update_probability",
            d.update_probability,
            "above 0 and up to 1",
        ),
        (
            not d.per_kbps or config.quantizer.dropout_kbps,
            "discriminator.per_kbps",
            d.per_kbps,
            "false without quantizer.dropout_kbps",
        ),
    ]


def _loss(config: Config) -> list[Check]:
    loss = config.loss
    return [
        (len(loss.windows) > 0, "loss.windows", loss.windows, "one window or more"),
        (
            0 <= loss.random_windows <= len(loss.windows),
            "loss.random_windows",
            loss.random_windows,
            "at most the number of windows",
        ),
        (
            loss.spectral_start_step == 0 or loss.waveform > 0,
            "loss.waveform",
            loss.waveform,
            "positive when loss.spectral_start_step is",
        ),
        (
            not (config.data.mixture.sources and config.teacher.precomputed and loss.distillation)
            or set(config.data.mixture.counts) == {1},
            "data.mixture.counts",
            config.data.mixture.counts,
            "1 everywhere with a teacher's precomputed features, which are those of one clip",
        ),
        _one_of("loss.distillation_form", loss.distillation_form, "d_axis", "t_axis", "cosine"),
        (
            not loss.distillation or config.model.semantic_dimension > 0,
            "model.semantic_dimension",
            config.model.semantic_dimension,
            "positive with loss.distillation: the head that the teacher's features are compared with",
        ),
        _one_of("loss.spectral_form", loss.spectral_form, *SPECTRAL_FORMS),
        (
            len(loss.window_mels) in (0, len(loss.windows)),
            "loss.window_mels",
            loss.window_mels,
            "empty or one for each of loss.windows",
        ),
        (
            len(loss.window_weights) in (0, len(loss.windows)),
            "loss.window_weights",
            loss.window_weights,
            "empty or one for each of loss.windows",
        ),
        _one_of("loss.adversarial_form", loss.adversarial_form, *ADVERSARIAL_FORMS),
        _one_of("loss.feature_form", loss.feature_form, "absolute", "relative"),
        _one_of("loss.log_weight", loss.log_weight, "sqrt_half_window", "one"),
    ]


def _optimizer(config: Config) -> list[Check]:
    o = config.optimizer
    return [
        (o.learning_rate > 0, "optimizer.learning_rate", o.learning_rate, "positive"),
        _one_of("optimizer.kind", o.kind, "adam", "muon"),
        _one_of("optimizer.schedule", o.schedule, "constant", "cosine", "exponential"),
        (0 < o.gamma <= 1, "optimizer.gamma", o.gamma, "above 0 and up to 1"),
    ]


def _data(config: Config) -> list[Check]:
    d = config.data
    return [
        (bool(d.source), "data.source", d.source, "a folder, a manifest, an ArrayRecord glob or 'starter'"),
        _at_least("data.timeout_seconds", d.timeout_seconds, 0),
        (d.worker_processes >= 0, "data.worker_processes", d.worker_processes, "0 or more"),
        _range("data.gain_db", d.gain_db),
        _range("data.speed", d.speed),
        (d.speed[0] >= 0.1, "data.speed", d.speed, "at least 0.1"),
        (
            d.speed == (1.0, 1.0) or not config.teacher.precomputed or not config.loss.distillation,
            "data.speed",
            d.speed,
            "(1.0, 1.0) with a teacher's precomputed features",
        ),
        _range("data.noise_gain_db", d.noise_gain_db),
        (
            config.model.film == "none" or bool(d.noise_source),
            "data.noise_source",
            d.noise_source,
            "set when model.film is: denoising needs noise",
        ),
    ]


def _mixture(config: Config) -> list[Check]:
    m = config.data.mixture
    strategies = len(m.probabilities)
    named = [source.partition("=")[0].strip() for source in m.sources]
    return [
        (
            all(
                name not in ("", "*") and "," not in name and name[0] != "-" and spec for name, spec in m.specs.items()
            ),
            "data.mixture.sources",
            m.sources,
            "of the form NAME=SPEC each, as in music=/data/music",
        ),
        (len(set(named)) == len(named), "data.mixture.sources", m.sources, "of different names"),
        (strategies > 0, "data.mixture.probabilities", m.probabilities, "one or more strategies"),
        *(
            (
                len(values) == strategies,
                f"data.mixture.{name}",
                values,
                f"as many as data.mixture.probabilities, {strategies}",
            )
            for name, values in (("counts", m.counts), ("pools", m.pools), ("reverberant", m.reverberant))
        ),
        (
            all(p > 0 for p in m.probabilities) and abs(sum(m.probabilities) - 1) < 1e-3,
            "data.mixture.probabilities",
            m.probabilities,
            "positive, with the sum 1",
        ),
        (all(count >= 1 for count in m.counts), "data.mixture.counts", m.counts, "1 or more each"),
        *_pools(config),
        (0 <= m.reverberation <= 1, "data.mixture.reverberation", m.reverberation, "0 to 1"),
        (
            0 < m.rt60_seconds[0] <= m.rt60_seconds[1],
            "data.mixture.rt60_seconds",
            m.rt60_seconds,
            "(low, high), both positive",
        ),
        (
            not (m.sources and config.data.noise_source),
            "data.mixture.sources",
            m.sources,
            "empty with data.noise_source: denoising takes clean audio from data.source alone",
        ),
    ]


def _pools(config: Config) -> list[Check]:
    m = config.data.mixture
    try:
        for pool in m.pools if m.sources else ():
            m.members(pool)
    except ConfigError as error:
        return [(False, "data.mixture.pools", m.pools, f"names in data.mixture.sources, or '*': {error}")]
    return []


def _teacher(config: Config) -> list[Check]:
    t = config.teacher
    return [
        (t.pool == 1 or (t.pool > 0 and t.pool % 2 == 0), "teacher.pool", t.pool, "1 or even"),
    ]


def _train(config: Config) -> list[Check]:
    t = config.train
    return [
        _at_least("train.steps", t.steps, 1),
        _at_least("train.batch_size", t.batch_size, 1),
        (config.segment_samples >= config.hop, "train.segment_seconds", t.segment_seconds, "at least one frame long"),
        _one_of("train.compute_dtype", t.compute_dtype, "float32", "bfloat16"),
        (not t.start_from or not config.lm.codec, "train.start_from", t.start_from, "empty for a language model"),
        (
            not t.start_from or config.quantizer.start_step == 0,
            "quantizer.start_step",
            config.quantizer.start_step,
            "0 with train.start_from, whose codebooks are there already",
        ),
        (0 <= t.ema_decay < 1, "train.ema_decay", t.ema_decay, "0 or more and below 1"),
        _at_least("train.checkpoint_every", t.checkpoint_every, 1),
        _at_least("train.checkpoints_best", t.checkpoints_best, 0),
        _at_least("train.eval_every", t.eval_every, 1),
        _at_least("train.log_every", t.log_every, 1),
    ]


def _memory(config: Config) -> list[Check]:
    m, size = config.memory, config.train.batch_size
    return [
        _one_of("memory.remat", m.remat, "none", "blocks", "nets"),
        (m.remat == "none" or not config.lm.codec, "memory.remat", m.remat, "none for a language model"),
        (
            m.accumulate >= 1 and size % m.accumulate == 0,
            "memory.accumulate",
            m.accumulate,
            f"a divisor of train.batch_size = {size}",
        ),
    ]
