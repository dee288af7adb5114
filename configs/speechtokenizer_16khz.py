"""SpeechTokenizer: 16 kHz speech, 8 codebooks at 50 frames per second, 4 kbps; the first one is semantic.

After: Zhang et al., "SpeechTokenizer", arXiv 2308.16692, and its public code's configuration.

    python train.py --config=configs/speechtokenizer_16khz.py --workdir=runs/speechtokenizer \
        --config.data.source='librispeech/*.array_record' --config.teacher.source=hubert-base-ls960

Hardware: the paper used GPUs with batches of 6 each. Not fully trained here.

From the public code: network, losses and their weights, discriminators, Adam with a cosine schedule, segments of 3 s,
no quantizer dropout, no balancer, no averaged weights. The teacher is HuBERT base, with the mean of all its states.

Differences:
  teacher features   computed from each crop; the code stores features of whole recordings
  batches            48 examples; the number of steps is reconstructed: about 20 epochs of LibriSpeech (960 h)
  spectral norm      power iteration at each call of the first multi-scale discriminator, without stored vectors
"""

from codax.config import Config, EMAQuantizerConfig, EncodecConfig, RecurrentSEANetConfig


def get_config() -> Config:
    config = Config(
        name="speechtokenizer_16khz",
        model=EncodecConfig(
            sample_rate=16_000,
            audio_channels=1,
            channels=64,
            strides=(2, 4, 5, 8),
            dimension=1024,
            kernel_size=7,
            dilations=(1,),
            causal=False,
            semantic_dimension=768,
            seanet=RecurrentSEANetConfig(
                residual_kernel_size=3,
                last_kernel_size=7,
                compress=2,
                shortcut="conv",
                norm="weight",
                pad_mode="reflect",
                lstm_layers=2,
                bidirectional=True,
            ),
        ),
        quantizer=EMAQuantizerConfig(
            num_quantizers=8,
            codebook_size=1024,
            decay=0.99,
            kmeans_iterations=50,
            dead_threshold=2.0,
            dropout=False,
            kbps=(0.5, 1.0, 2.0, 4.0),
        ),
    )

    discriminator = config.discriminator
    discriminator.stft = False
    discriminator.wave_scales = 0
    discriminator.periods = (2, 3, 5, 7, 11)
    discriminator.scales = 3
    discriminator.msstft_windows = (1024, 2048, 512, 256, 128)

    loss = config.loss
    loss.waveform = 500.0
    loss.spectral = 1.0
    loss.spectral_form = "speechtokenizer"
    loss.windows = (1024, 512, 256, 128)
    loss.window_weights = (45.0, 1.0, 1.0, 1.0)
    loss.mels = 80
    loss.adversarial = 1.0
    loss.adversarial_form = "least_squares"
    loss.feature = 2.0
    loss.sum_discriminators = True
    loss.commitment = 10.0
    loss.distillation = 120.0
    loss.distillation_form = "d_axis"

    config.teacher.source = "hubert-base-ls960"

    optimizer = config.optimizer
    optimizer.learning_rate = 1e-4
    optimizer.discriminator_learning_rate = 1e-4
    optimizer.beta1, optimizer.beta2 = 0.9, 0.99
    optimizer.schedule = "cosine"

    train = config.train
    train.steps = 480_000
    train.batch_size = 48
    train.segment_seconds = 3.0
    train.ema_decay = 0.0
    return config
