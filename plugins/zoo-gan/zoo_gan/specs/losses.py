"""The adversarial losses, as the plugin offers them; free of torch."""

from __future__ import annotations

from zoo_core.contract import LossSpec

_INPUTS = ("real", "fake", "side")

LOSSES: list[LossSpec] = [
    LossSpec(
        name="gan-minimax",
        summary="two-class cross-entropy, and a generator that minimises log(1 - D(G(z))), which saturates",
        target="zoo_gan.losses:minimax",
        inputs=_INPUTS,
        paper="Generative Adversarial Nets, Goodfellow et al., NeurIPS 2014, equation 1, arXiv 1406.2661",
    ),
    LossSpec(
        name="gan-non-saturating",
        summary="two-class cross-entropy, and a generator that maximises log D(G(z))",
        target="zoo_gan.losses:non_saturating",
        config="zoo_gan.configs.losses:NonSaturatingConfig",
        inputs=_INPUTS,
        paper=(
            "Generative Adversarial Nets, Goodfellow et al., NeurIPS 2014, section 3, arXiv 1406.2661; one-sided label "
            "smoothing: Improved Techniques for Training GANs, Salimans et al., NeurIPS 2016, section 3.4, "
            "arXiv 1606.03498"
        ),
    ),
    LossSpec(
        name="gan-least-squares",
        summary="squared distances of the logits from 1 for real and 0 for generated images",
        target="zoo_gan.losses:least_squares",
        inputs=_INPUTS,
        paper="Least Squares Generative Adversarial Networks, Mao et al., ICCV 2017, equation 9, arXiv 1611.04076",
    ),
    LossSpec(
        name="gan-hinge",
        summary="logits above 1 for real and below -1 for generated images are good enough",
        target="zoo_gan.losses:hinge",
        inputs=_INPUTS,
        paper=(
            "Geometric GAN, Lim and Ye 2017, arXiv 1705.02894; Spectral Normalization for Generative Adversarial "
            "Networks, Miyato et al., ICLR 2018, equations 16 and 17, arXiv 1802.05957"
        ),
    ),
    LossSpec(
        name="gan-wasserstein",
        summary="difference of the mean scores; the critic must be kept Lipschitz by clipping or a penalty",
        target="zoo_gan.losses:wasserstein",
        inputs=_INPUTS,
        paper="Wasserstein GAN, Arjovsky et al., ICML 2017, equation 3 and algorithm 1, arXiv 1701.07875",
    ),
    LossSpec(
        name="gan-relativistic",
        summary="each real image must score above the generated one it is paired with (RpGAN, as in R3GAN)",
        target="zoo_gan.losses:relativistic",
        inputs=_INPUTS,
        paper=(
            "The relativistic discriminator, Jolicoeur-Martineau 2018, arXiv 1807.00734; The GAN is dead; long live the "
            "GAN!, Huang et al., NeurIPS 2024, equation 2, arXiv 2501.05441"
        ),
    ),
]
