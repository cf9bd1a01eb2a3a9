//! A scene and how it becomes pixels.

use super::{CLASSES, Nuisance, shapes};

/// The random parameters of an image, each uniform in [0, 1), by place. The places are part of the data set.
pub(super) struct Draws<'a>(&'a [f32; DRAWS]);

/// Draws of an image.
pub(super) const DRAWS: usize = 128;

impl<'a> Draws<'a> {
    const PLACE: usize = 0; // 2
    const SCALE: usize = 2; // 2
    const TURN: usize = 4; // 2
    const SHEAR: usize = 6;
    const WAVES: usize = 8; // 6
    const FRONT: usize = 16; // a surface
    const BACK: usize = 32; // a surface
    const LIGHT: usize = 48; // 3
    const CUES: usize = 52; // 4
    const CLUTTER: usize = 64; // 16 for each of 3

    pub fn new(uniform: &'a [f32; DRAWS]) -> Self {
        Self(uniform)
    }
    fn at(&self, place: usize) -> f64 {
        f64::from(self.0[place])
    }
    /// Uniform in [-1, 1).
    fn signed(&self, place: usize) -> f64 {
        2.0 * self.at(place) - 1.0
    }
    /// One of `n`.
    fn choice(&self, place: usize, n: usize) -> usize {
        ((self.at(place) * n as f64) as usize).min(n - 1)
    }
}

/// A wave of period 1 and height from -1 to 1: two parabolas for each period, where others take a sine.
pub(super) fn wave(x: f64) -> f64 {
    let x = x - x.floor();
    if x < 0.5 { 8.0 * x * (1.0 - 2.0 * x) } else { -8.0 * (x - 0.5) * (2.0 - 2.0 * x) }
}

type Colour = [f64; 3];

fn mix(a: Colour, b: Colour, t: f64) -> Colour {
    std::array::from_fn(|c| a[c] + t * (b[c] - a[c]))
}

/// A colour by hue (a turn is 1), saturation and brightness, each in [0, 1].
fn colour(hue: f64, saturation: f64, brightness: f64) -> Colour {
    std::array::from_fn(|c| {
        // The distance around the circle of hues from the channel's own, in thirds of a turn.
        let x = hue - c as f64 / 3.0;
        let distance = (x - (x + 0.5).floor()).abs() * 3.0;
        let pure = if distance <= 0.5 {
            1.0
        } else if distance >= 1.0 {
            0.0
        } else {
            2.0 - 2.0 * distance
        };
        brightness * (1.0 - saturation * (1.0 - pure))
    })
}

/// Kinds of texture.
const TEXTURES: usize = 5;

/// Two colours and the pattern that mixes them.
struct Surface {
    colours: [Colour; 2],
    kind: usize,
    /// Periods of the pattern along its two directions, across and down.
    along: [f64; 2],
    across: [f64; 2],
    phase: [f64; 2],
    contrast: f64,
}

impl Surface {
    /// `hue` and `kind` are the favourites of the class, if this image follows them.
    fn new(d: &Draws<'_>, at: usize, hue: Option<f64>, kind: Option<usize>, contrast: f64) -> Self {
        let hue = hue.map_or_else(|| d.at(at), |hue| hue + 0.12 * d.signed(at));
        let base = colour(hue, 0.25 + 0.75 * d.at(at + 1), 0.25 + 0.7 * d.at(at + 2));
        let other = colour(hue + 0.25 * d.signed(at + 3), d.at(at + 4), 0.15 + 0.85 * d.at(at + 5));
        let kind = kind.unwrap_or_else(|| d.choice(at + 6, TEXTURES));
        let frequency = 1.0 + 3.0 * d.at(at + 7);
        let (x, y) = direction(d.at(at + 8));
        Self {
            colours: [base, other],
            kind,
            along: [frequency * x, frequency * y],
            across: [-frequency * y, frequency * x],
            phase: [d.at(at + 9), d.at(at + 10)],
            contrast: contrast * (0.3 + 0.7 * d.at(at + 11)),
        }
    }

    /// The colour at a point of the image, both coordinates from -1 to 1.
    fn at(&self, x: f64, y: f64) -> Colour {
        let a = self.along[0] * x + self.along[1] * y + self.phase[0];
        let b = self.across[0] * x + self.across[1] * y + self.phase[1];
        let pattern = match self.kind {
            0 => 0.5 * (x + y),     // a slow change
            1 => wave(a),           // stripes
            2 => wave(a) * wave(b), // checks
            3 => {
                // dots
                let (a, b) = (a - a.floor() - 0.5, b - b.floor() - 0.5);
                if a * a + b * b < 0.09 { 1.0 } else { -0.6 }
            }
            _ => 0.6 * wave(a + 0.4 * wave(0.7 * b)) + 0.4 * wave(1.7 * b + 0.5 * wave(1.3 * a)), // marble
        };
        mix(self.colours[0], self.colours[1], 0.5 * self.contrast * (1.0 + pattern))
    }
}

/// A direction from a draw in [0, 1): a point of the circle by its half-angle tangent, in one of four quarters.
///
/// `t` in [0, 1) gives `((1 - t^2) / (1 + t^2), 2 t / (1 + t^2))`, a quarter turn; the angle is not quite uniform, which
/// matters nothing here, and no sine is needed.
fn direction(draw: f64) -> (f64, f64) {
    let quarter = (4.0 * draw).floor();
    let (c, s) = turn(4.0 * draw - quarter);
    match quarter as usize {
        0 => (c, s),
        1 => (-s, c),
        2 => (-c, -s),
        _ => (s, -c),
    }
}

/// Cosine and sine of the angle whose half has the tangent `t`.
fn turn(t: f64) -> (f64, f64) {
    let denominator = 1.0 + t * t;
    ((1.0 - t * t) / denominator, 2.0 * t / denominator)
}

/// A shape in its place.
struct Figure {
    class: usize,
    centre: [f64; 2],
    /// From image coordinates about the centre to those of the outline.
    map: [[f64; 2]; 2],
    waves: [[f64; 3]; 2],
}

impl Figure {
    /// Whether the point belongs to it.
    fn contains(&self, x: f64, y: f64) -> bool {
        let (x, y) = (x - self.centre[0], y - self.centre[1]);
        let u = self.map[0][0] * x + self.map[0][1] * y;
        let v = self.map[1][0] * x + self.map[1][1] * y;
        let [[a, f, p], [b, g, q]] = self.waves;
        shapes::contains(self.class, u + a * wave(f * v + p), v + b * wave(g * u + q))
    }
}

/// An image before it is sampled.
pub(super) struct Scene {
    figure: Figure,
    front: Surface,
    back: Surface,
    clutter: [Option<(Figure, Colour)>; 3],
    light: [f64; 3],
    noise: f64,
}

impl Scene {
    pub fn new(class: usize, d: &Draws<'_>, nuisance: &Nuisance) -> Self {
        // Which cues this image follows: at level 1 six in ten surfaces are drawn without regard to the class.
        let own = |place: usize| d.at(Draws::CUES + place) >= 0.6 * nuisance.palette;
        let hue = |favourite: usize| own(favourite).then_some(class as f64 * 0.1 + 0.35 * favourite as f64);
        let kind = |favourite: usize| own(2 + favourite).then_some((class + 2 * favourite) % TEXTURES);
        Self {
            figure: figure(class, d, nuisance),
            front: Surface::new(d, Draws::FRONT, hue(0), kind(0), nuisance.texture),
            back: Surface::new(d, Draws::BACK, hue(1), kind(1), nuisance.texture),
            clutter: std::array::from_fn(|i| clutter(i, d, nuisance)),
            light: std::array::from_fn(|i| nuisance.light * 0.3 * d.signed(Draws::LIGHT + i)),
            noise: nuisance.noise,
        }
    }

    /// Samples `size` by `size` pixels, each the mean of four points, and rounds them to bytes. `noise` has a byte for
    /// each value.
    pub fn render(&self, size: usize, noise: &[u8], out: &mut [u8]) {
        let step = 2.0 / size as f64;
        for (row, (out, noise)) in out.chunks_exact_mut(3 * size).zip(noise.chunks(3 * size)).enumerate() {
            for (column, (out, noise)) in out.chunks_exact_mut(3).zip(noise.chunks(3)).enumerate() {
                let mut sum = [0.0; 3];
                for sample in 0..4 {
                    let x = -1.0 + step * (column as f64 + 0.25 + 0.5 * f64::from(sample & 1));
                    let y = -1.0 + step * (row as f64 + 0.25 + 0.5 * f64::from(sample >> 1));
                    let colour = self.at(x, y);
                    for (sum, c) in sum.iter_mut().zip(colour) {
                        *sum += c;
                    }
                }
                let centre = [-1.0 + step * (column as f64 + 0.5), -1.0 + step * (row as f64 + 0.5)];
                let light = 1.0 + self.light[0] + self.light[1] * centre[0] + self.light[2] * centre[1];
                for ((out, sum), &noise) in out.iter_mut().zip(sum).zip(noise) {
                    let value = 255.0 * (0.25 * sum * light) + 24.0 * self.noise * (f64::from(noise) / 127.5 - 1.0);
                    // A cast truncates and saturates, so this rounds to the nearest of 0 ... 255.
                    *out = (value + 0.5) as u8;
                }
            }
        }
    }

    fn at(&self, x: f64, y: f64) -> Colour {
        if self.figure.contains(x, y) {
            return self.front.at(x, y);
        }
        let covered = self.clutter.iter().flatten().find(|(figure, _)| figure.contains(x, y));
        covered.map_or_else(|| self.back.at(x, y), |&(_, colour)| colour)
    }
}

/// The shape that gives the image its class.
fn figure(class: usize, d: &Draws<'_>, nuisance: &Nuisance) -> Figure {
    let shift = |place: usize| 0.3 * nuisance.position * d.signed(Draws::PLACE + place);
    let size = |place: usize| 0.6 * (1.0 + 0.3 * nuisance.scale * d.signed(Draws::SCALE + place));
    let strength = |i: usize| 0.22 * nuisance.deformation * d.signed(Draws::WAVES + 3 * i);
    let waves = |i: usize| [strength(i), 0.3 + 0.7 * d.at(Draws::WAVES + 3 * i + 1), d.at(Draws::WAVES + 3 * i + 2)];
    let t = 0.35 * nuisance.rotation * d.signed(Draws::TURN);
    let shear = 0.3 * nuisance.rotation * d.signed(Draws::SHEAR);
    Figure {
        class,
        centre: [shift(0), shift(1)],
        map: linear(turn(t), [size(0), size(1)], shear),
        waves: [waves(0), waves(1)],
    }
}

/// A smaller shape of any class, in one colour; None if there is no room for it.
fn clutter(i: usize, d: &Draws<'_>, nuisance: &Nuisance) -> Option<(Figure, Colour)> {
    let at = Draws::CLUTTER + 16 * i;
    let size = (0.12 + 0.2 * d.at(at + 3)) * nuisance.clutter;
    let figure = || Figure {
        class: d.choice(at, CLASSES.len()),
        centre: [d.signed(at + 1), d.signed(at + 2)],
        map: linear(direction(d.at(at + 4)), [size, size], 0.0),
        waves: [[0.0; 3]; 2],
    };
    (size > 0.0).then(|| (figure(), colour(d.at(at + 5), d.at(at + 6), 0.2 + 0.8 * d.at(at + 7))))
}

/// Undoes a turn, then a shear, then scales by the inverse sizes.
fn linear((c, s): (f64, f64), size: [f64; 2], shear: f64) -> [[f64; 2]; 2] {
    let row = |x: f64, y: f64, size: f64| [x / size, y / size];
    [row(c + shear * s, s - shear * c, size[0]), row(-s, c, size[1])]
}
