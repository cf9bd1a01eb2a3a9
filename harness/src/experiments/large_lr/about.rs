//! The paper, and what is put to the test.

use crate::config::Profile;
use crate::experiments::{About, Claim, Paper, Quoted, Status};

/// The experiment in words.
pub static ABOUT: About = About {
    id: "large-lr",
    title: "A large initial learning rate changes the order of learning",
    summary: "Does a large initial learning rate, annealed later, generalise better than a small one because it learns \
              patterns in another order? Data hold P patterns (noisy, linear, many examples needed) and Q patterns \
              (clean, not linear, few needed). With a small rate a two-layer network memorises Q first; examples with \
              both then give no gradient, and P is learned from the few examples that hold nothing else. The noise of \
              a large rate keeps destroying what Q needs, so P is learned from every example that holds it, and Q \
              after annealing. The same with a wide residual network: images of which four in five hold a patch (Q) in \
              their middle, and images as they are, where noise before activations stands in for the large rate. Without \
              --data the images are made by a procedure and no photographs; their verdicts are on the mechanism, not on \
              CIFAR-10.",
    paper: Paper {
        title: "Towards Explaining the Regularization Effect of Initial Large Learning Rate in Training Neural Networks",
        authors: "Yuanzhi Li, Colin Wei, Tengyu Ma",
        venue: "NeurIPS 2019",
        link: "https://arxiv.org/abs/1907.04595",
    },
    claims: &CLAIMS,
    profiles: &[Profile::Smoke, Profile::Quick, Profile::Standard, Profile::Paper],
};

/// What the theorems say, as far as it is recalled: the body of the paper could not be obtained.
const fn recalled(figure: &'static str) -> Quoted {
    Quoted { figure, status: Status::Unverified }
}

/// A prediction that is made here.
const PREDICTED: Quoted = Quoted { figure: "", status: Status::None };

static CLAIMS: [Claim; 24] = [
    Claim {
        id: "T1",
        statement: "With a small learning rate, Q-only training examples are fitted before P-only ones",
        paper: recalled("theorem 3.5: Q is learned first"),
    },
    Claim {
        id: "T2",
        statement: "With a large one, at annealing the examples with P are right (above 95 %) and Q-only ones at chance (below 75 %)",
        paper: recalled("theorem 3.4: anneals at a loss of epsilon1 + q log 2"),
    },
    Claim {
        id: "T3",
        statement: "With a large one, the kink of the Q branch stays below half of the small one's until annealing, and at least doubles after",
        paper: recalled("supporting lemma: at most r^2 / lambda before annealing"),
    },
    Claim {
        id: "T4",
        statement: "At the end, the small learning rate has at least 1.5 times the test error of the large one on P-only examples, and more on all",
        paper: recalled("theorems 3.4 and 3.5: errors of order p^1.5 and p"),
    },
    Claim {
        id: "T5",
        statement: "At the end, both learning rates are right on Q-only test examples and on those with both (above 99 %)",
        paper: recalled("theorems 3.4 and 3.5"),
    },
    Claim {
        id: "T6",
        statement: "With a small one, the residual of examples with both collapses while P-only ones are not fitted; with a large one they fall together",
        paper: recalled("supporting lemma: the P gradient of examples with both is small"),
    },
    Claim {
        id: "T7",
        statement: "The large learning rate changes the activation patterns of Q units at least 3 times as often",
        paper: PREDICTED,
    },
    Claim {
        id: "T8",
        statement: "Half the step with the noise of the large learning rate, removed later, does as well as the large learning rate",
        paper: recalled("appendix: noise before activations gives the same guarantee"),
    },
    Claim {
        id: "T9",
        statement: "Without Q patterns, large and small learning rates do equally well on P (within half a point)",
        paper: PREDICTED,
    },
    Claim {
        id: "T10",
        statement: "On P, the large learning rate does as well as training on all examples with P and no Q; the small one lies between that and the P-only examples alone",
        paper: recalled("informal version: effective samples 0.8 N against 0.2 N"),
    },
    Claim {
        id: "A1",
        statement: "On images as they are, the small learning rate is ahead on training and test images before annealing (means over these epochs)",
        paper: Quoted { figure: "figure 1 and section 1: ahead on both before epoch 60", status: Status::Read },
    },
    Claim {
        id: "A2",
        statement: "At the end, the large learning rate has the better test accuracy: by 1.5 points, and by two standard errors",
        paper: recalled("90.41 % against 84.93 %"),
    },
    Claim {
        id: "A3",
        statement: "At annealing, its test accuracy rises by at least 2 points",
        paper: Quoted {
            figure: "section 1: it generalises better only after annealing (the size of the jump was not read)",
            status: Status::Read,
        },
    },
    Claim {
        id: "A4",
        statement: "Noise before activations, removed later, gains the small learning rate at least a point",
        paper: recalled("4.72 points, to 89.65 %"),
    },
    Claim {
        id: "B1",
        statement: "With a patch that can be memorised, the small learning rate knows more than 80 % of patch-only images after a third of the epochs",
        paper: recalled("near 100 % within the first epochs"),
    },
    Claim {
        id: "B2",
        statement: "The large one knows less than 40 % of them before annealing (median), and at most half as many",
        paper: recalled("near chance until epoch 30"),
    },
    Claim {
        id: "B3",
        statement: "After annealing it learns them too: more than 70 % at the end",
        paper: recalled("a fast rise after epoch 30"),
    },
    Claim {
        id: "B4",
        statement: "With noise the small one knows less than half of them until the noise is removed (median), and at least 20 points more at the end",
        paper: recalled("as the large learning rate"),
    },
    Claim {
        id: "B5",
        statement: "On clean test images the large learning rate ends at least 4 points above the small one",
        paper: recalled("the small one is lowest, at about 70 %"),
    },
    Claim {
        id: "B6",
        statement: "Without patches the small learning rate ends at least 5 points higher than with them",
        paper: recalled("about 83 % against 70 %"),
    },
    Claim {
        id: "B7",
        statement: "With noise it ends above the small one without",
        paper: recalled("above; no number"),
    },
    Claim {
        id: "B8",
        statement: "On images of which four in five hold the patch, all three end within 5 points",
        paper: PREDICTED,
    },
    Claim {
        id: "B9",
        statement: "Trained on the clean fifth alone, the small learning rate ends within 5 points of what it reaches with patches",
        paper: PREDICTED,
    },
    Claim {
        id: "B10",
        statement: "All three fit more than 90 % of the training images in the last epoch",
        paper: PREDICTED,
    },
];
