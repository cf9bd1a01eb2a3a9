//! The paper, and what is put to the test.

use crate::config::Profile;
use crate::experiments::{About, Claim, Paper, Quoted, Status};

const fn claim(id: &'static str, statement: &'static str, figure: &'static str, status: Status) -> Claim {
    Claim { id, statement, paper: Quoted { figure, status } }
}

/// Groups A to F are those of the specification's section 6, K those of its section 7.1, N and V of 7.2 and
/// 7.3, P of section 4.
pub static ABOUT: About = About {
    id: "self-distillation",
    title: "Self-distillation amplifies regularisation in Hilbert space",
    summary: "Fit the smoothest function within a given distance of the labels, take its predictions as labels, fit again. \
              Nothing new enters, yet each round damps every direction of the kernel, the weak ones most, until nothing is \
              left. On eleven points in the unit interval everything is known in closed form and checked to many digits; \
              on images with label noise, for two kernels, the same rounds first cure over-fitting and then under-fit. Chains \
              of networks, each trained from scratch on the outputs of the one before, show what is left of this where \
              weight decay takes the place of the smoothest function. The paper's text could not be obtained beyond its \
              abstract and introduction: where its figures are recalled and not read, the status says so. Its own deep \
              networks are in the profile `paper`, which nobody has run as a whole.",
    paper: Paper {
        title: "Self-Distillation Amplifies Regularization in Hilbert Space",
        authors: "Mobahi, Farajtabar, Bartlett",
        venue: "NeurIPS 2020",
        link: "https://arxiv.org/abs/2002.05715",
    },
    claims: &[
        claim(
            "A1",
            "With tolerance 0.045 the illustrative example has exactly four fits before it collapses.",
            "four rounds, t = 0 to 3, in the figure of the diagonals of A and B",
            Status::Unverified,
        ),
        claim(
            "A2",
            "Ridge coefficients, norms, errors, roughness, effective dimension and sparsity of each round equal those derived.",
            "",
            Status::Derived,
        ),
        claim(
            "A3",
            "The test error is smallest in round 1, and the sparsity index grows in every round.",
            "the fits first improve, then are over-regularised",
            Status::Unverified,
        ),
        claim(
            "A4",
            "In round 3 one factor of B is above 0.5, one between 0.1 and 0.5, and nine are below 0.03.",
            "the diagonal of B becomes sparse",
            Status::Unverified,
        ),
        claim(
            "A5",
            "The second fit is better than the first in about 93 % of draws of the noise.",
            "",
            Status::Derived,
        ),
        claim(
            "B",
            "Single fits stopped at the same training error equal those derived; they are smoother, and worse on the truth in \
             rounds 1, 2 and 3.",
            "",
            Status::Derived,
        ),
        claim(
            "C1",
            "On a grid inside of the interval, rounds, numbers of fits at seven tolerances, and all bounds equal those derived.",
            "",
            Status::Derived,
        ),
        claim(
            "C2",
            "With a well-conditioned kernel, the bounds on rounds and sparsity, the rounds and the sparsity reached equal those \
             derived at five tolerances; the guaranteed sparsity grows towards near-interpolation.",
            "starting nearly interpolating permits more rounds and guarantees more sparsity",
            Status::Unverified,
        ),
        claim(
            "D",
            "With a share of the ground truth in each round, 21 test errors equal the published ones to five digits.",
            "Borup and Andersen 2021, README of their repository",
            Status::Read,
        ),
        claim(
            "E1",
            "The ratio of neighbouring factors of B exceeds, after some rounds, what any single fit can reach.",
            "the regularisation cannot be imitated by a single fit",
            Status::Unverified,
        ),
        claim(
            "E2",
            "The error against the first labels grows in every round: on the interval and in every chain on images.",
            "training accuracy against the original labels falls with each round",
            Status::Unverified,
        ),
        claim(
            "E3",
            "On images with label noise, the single fit stopped at the same training error has another test accuracy.",
            "early stopping at a matched loss gives other test accuracies",
            Status::Unverified,
        ),
        claim(
            "F",
            "That 0.045 gives four fits is consistent with the paper's figure as recalled; no figure of its deep networks is \
             claimed to be matched.",
            "tolerance 0.045",
            Status::Unverified,
        ),
        claim(
            "K1",
            "On images with label noise, at tolerances of a tenth and less, the test accuracy is highest in a round between the \
             first and the last.",
            "test accuracy first rises, then falls",
            Status::Unverified,
        ),
        claim("K2", "There, the best round is at least 5 points above the ordinary fit.", "", Status::None),
        claim("K3", "There, the last round is at least 5 points below the best.", "", Status::None),
        claim(
            "K4",
            "The best round of all tolerances is within 1.5 points of the best of all single fits.",
            "",
            Status::None,
        ),
        claim("K5", "The smaller the tolerance, the later the best round.", "", Status::None),
        claim(
            "K6",
            "Every theorem holds in every round on the real kernel matrices.",
            "the paper's theorems on norms, coefficients, ratios and sparsity",
            Status::Derived,
        ),
        claim(
            "N1",
            "Perceptrons with weight decay: the training accuracy against the labels of the beginning falls in every round.",
            "training accuracy falls with each round",
            Status::Unverified,
        ),
        claim(
            "N2",
            "With the strongest decay of each loss, the second network is better than the first, by a sign test over chains.",
            "test accuracy first rises",
            Status::Unverified,
        ),
        claim(
            "N3",
            "With the strongest decay of each loss, the test accuracy is highest in a round between the first and the last.",
            "test accuracy first rises, then falls; cross-entropy shows a similar pattern",
            Status::Unverified,
        ),
        claim("N4", "Without weight decay the best round gains less than with the strongest.", "", Status::None),
        claim(
            "N5",
            "A network stopped early at the training loss of a round has another test accuracy, by more than two standard \
             errors in some round from 2 on, for each loss at its strongest decay.",
            "early stopping at a matched loss gives other test accuracies",
            Status::Unverified,
        ),
        claim(
            "N6",
            "Stopped at one tolerance in every round, as in the theory, the training accuracy falls in every round.",
            "",
            Status::None,
        ),
        claim(
            "V1",
            "A small convolutional network: the training accuracy against the labels of the beginning falls in every round.",
            "training accuracy falls with each round",
            Status::Unverified,
        ),
        claim("V2", "There, the best round is not the ordinary fit.", "test accuracy first rises", Status::Unverified),
        claim(
            "P1",
            "ResNet-50 and VGG-16 on CIFAR-10 and CIFAR-100: the training accuracy against the labels of the beginning falls in \
             every round.",
            "training accuracy falls with each round",
            Status::Unverified,
        ),
        claim(
            "P2",
            "There, the test accuracy is highest in a round between the first and the last.",
            "test accuracy first rises, then falls",
            Status::Unverified,
        ),
        claim(
            "P3",
            "There, networks stopped early at the same training loss have other test accuracies.",
            "early stopping at a matched loss gives other test accuracies",
            Status::Unverified,
        ),
    ],
    profiles: &[Profile::Smoke, Profile::Quick, Profile::Standard, Profile::Paper],
};
