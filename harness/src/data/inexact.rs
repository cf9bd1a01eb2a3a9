//! Records of CIFAR-10 that no experiment here uses.
//!
//! The copy of CIFAR-10 on which the goldens of this project were recorded has the official labels and order, and
//! 59,908 of its 60,000 images are the official ones bit for bit. These 92 (mostly ships) differ slightly in a few
//! pixels. A golden must hold for whoever has the official files; so these records take part in no selection, here and
//! everywhere, and the data digest covers the selected records alone, where both copies agree.

/// Records within each file of the binary version, ascending; files in the order of [`super::cifar`].
pub(super) const CIFAR_10: [(&str, &[usize]); 6] = [
    ("data_batch_1.bin", &[4298, 5949, 7066, 7237, 7248, 7630, 8006, 8831, 8968, 9415]),
    ("data_batch_2.bin", &[2762, 2834, 3546]),
    ("data_batch_3.bin", &[1493, 5728, 6098, 6927, 7621, 8435, 8728, 9694, 9747]),
    (
        "data_batch_4.bin",
        &[
            1367, 1462, 1625, 1663, 2777, 3641, 3661, 4067, 4276, 4387, 4825, 5160, 5646, 6733, 7329, 7474, 7567, 8384,
            8925, 9358, 9385, 9613, 9840, 9888, 9971,
        ],
    ),
    (
        "data_batch_5.bin",
        &[
            1779, 2004, 2389, 2611, 3357, 3883, 4882, 5168, 5240, 6175, 6435, 6538, 6624, 7393, 7597, 8081, 8124, 8333,
            8821, 8836, 9321, 9429, 9631, 9830, 9857,
        ],
    ),
    (
        "test_batch.bin",
        &[
            1259, 1369, 1422, 2245, 2737, 2935, 3695, 3718, 4085, 4496, 5791, 5896, 6286, 7580, 7707, 7724, 7832, 8117,
            8551, 9254,
        ],
    ),
];
