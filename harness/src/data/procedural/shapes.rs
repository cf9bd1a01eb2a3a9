//! The outlines: which points of the plane belong to a shape.
//!
//! A shape fills about the square from -1 to 1. `u` points right, `v` down. Only sums, products, quotients and
//! comparisons.

/// Whether the point belongs to the shape of `class`.
pub(super) fn contains(class: usize, u: f64, v: f64) -> bool {
    let rho = u * u + v * v;
    match class {
        // Disc.
        0 => rho <= 0.81,
        // Ring.
        1 => (0.22..=0.95).contains(&rho),
        // Square.
        2 => u.abs() <= 0.8 && v.abs() <= 0.8,
        // Triangle, point up.
        3 => polygon(&TRIANGLE, u, v),
        // Cross.
        4 => (u.abs() <= 0.3 && v.abs() <= 0.95) || (v.abs() <= 0.3 && u.abs() <= 0.95),
        // Crescent, open to the right.
        5 => rho <= 0.95 && (u - 0.45) * (u - 0.45) + v * v > 0.5,
        // Star.
        6 => polygon(&STAR, u, v),
        // Arrow to the right.
        7 => polygon(&ARROW, u, v),
        // Two bars.
        8 => u.abs() <= 0.9 && (0.2..=0.75).contains(&v.abs()),
        // Hourglass.
        _ => v.abs() <= 0.9 && u.abs() <= 0.1 + 0.85 * v.abs(),
    }
}

const TRIANGLE: [(f64, f64); 3] = [(0.0, -0.95), (1.0, 0.8), (-1.0, 0.8)];
const STAR: [(f64, f64); 10] = [
    (0.0, -1.05),
    (0.25, -0.34),
    (1.0, -0.32),
    (0.4, 0.13),
    (0.62, 0.85),
    (0.0, 0.42),
    (-0.62, 0.85),
    (-0.4, 0.13),
    (-1.0, -0.32),
    (-0.25, -0.34),
];
const ARROW: [(f64, f64); 7] =
    [(-1.0, -0.3), (0.1, -0.3), (0.1, -0.85), (1.0, 0.0), (0.1, 0.85), (0.1, 0.3), (-1.0, 0.3)];

/// Whether a ray to the right crosses the outline an odd number of times.
fn polygon(corners: &[(f64, f64)], u: f64, v: f64) -> bool {
    let mut inside = false;
    let mut before = corners[corners.len() - 1];
    for &corner in corners {
        let ((u0, v0), (u1, v1)) = (before, corner);
        if (v0 > v) != (v1 > v) && u < u0 + (v - v0) / (v1 - v0) * (u1 - u0) {
            inside = !inside;
        }
        before = corner;
    }
    inside
}
