//! Figures as SVG, the same bytes on every machine.
//!
//! plotters writes the elements; axes and ticks are laid out here, with the engine's logarithm and no other elementary
//! function. The drawing is four times as fine as the page, because plotters' coordinates are whole numbers. Colours are
//! drawn as marks that stand for CSS variables, so that a figure is light or dark with the page around it. Texts stay
//! texts, in the reader's own font; nothing depends on its metrics but the gaps of the legend.

use plotters::coord::Shift;
use plotters::prelude::{
    Circle, DrawingArea, IntoDrawingArea, IntoFont, PathElement, Polygon, RGBColor, Rectangle, SVGBackend, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, ShapeStyle, TextStyle};

use super::axis::{Range, Tick};
use crate::error::{Error, Result};
use crate::experiments::{Figure, Mark, Panel, Style};

/// Units of the drawing for one of the page.
const FINE: i32 = 4;
/// The page's units: width of a figure, height of a panel, heights of the title and of the legend.
const WIDTH: i32 = 960;
const HEIGHT: i32 = 300;
const TITLE: i32 = 34;
const LEGEND: i32 = 26;
/// Room around a panel's axes.
const LEFT: i32 = 70;
const RIGHT: i32 = 16;
const TOP: i32 = 26;
const BOTTOM: i32 = 50;
/// The most points of a line; more cannot be seen.
const POINTS: usize = 1200;

/// Marks that stand for colours; see [`recolour`].
const INK: RGBColor = RGBColor(1, 3, 0);
const MUTED: RGBColor = RGBColor(1, 3, 1);
const GRID: RGBColor = RGBColor(1, 3, 2);

const STYLE: &str = "<style>\
svg.figure{--ink:#1b2430;--muted:#5c6878;--grid:#e3e8ee;--c0:#1f6fd6;--c1:#d95f0e;--c2:#0f8f74;--c3:#b03a8c;--c4:#8a6d00;\
--c5:#5b5fc7;--c6:#c0392b;--c7:#5f6b7a;font-variant-numeric:tabular-nums}\
@media(prefers-color-scheme:dark){svg.figure{--ink:#e6ebf2;--muted:#9aa7b8;--grid:#2b3544;--c0:#6aa9ff;--c1:#ff9a55;\
--c2:#3fd0ae;--c3:#ee86c8;--c4:#d9b93f;--c5:#a5a8ff;--c6:#ff7f70;--c7:#a8b3c2}}\
svg.figure text{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",sans-serif}\
svg.figure polyline{stroke-linejoin:round;stroke-linecap:round}\
svg.figure .dash{stroke-dasharray:28 20;stroke-linecap:butt}</style>";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Defect { what: format!("a figure cannot be drawn: {e}") }
}

/// The figure as a file that stands alone or inside a page.
///
/// # Errors
/// [`Error::Defect`] for a figure without panels, or one that plotters refuses.
pub fn svg(figure: &Figure) -> Result<String> {
    if figure.panels.is_empty() {
        return Err(failed(format!("`{}` has no panels", figure.name)));
    }
    let mut text = String::new();
    let height = TITLE + LEGEND + HEIGHT;
    {
        let size = |n: i32| u32::try_from(n * FINE).map_err(failed);
        let area = SVGBackend::with_string(&mut text, (size(WIDTH)?, size(height)?)).into_drawing_area();
        words(&area, &figure.title, (LEFT - 64, 20), 16, INK, (HPos::Left, VPos::Center), false)?;
        legend(&area, figure)?;
        let count = i32::try_from(figure.panels.len()).map_err(failed)?;
        for (index, panel) in (0..).zip(&figure.panels) {
            let (left, right) = (index * WIDTH / count, (index + 1) * WIDTH / count);
            Frame::new(panel, left + LEFT, right - RIGHT, TITLE + LEGEND + TOP, height - BOTTOM).draw(&area, panel)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(recolour(&text, height))
}

/// Puts CSS variables for the marks, and the size of the page for that of the drawing.
fn recolour(text: &str, height: i32) -> String {
    let mut text = text.to_owned();
    for (mark, name) in [(INK, "ink"), (MUTED, "muted"), (GRID, "grid")] {
        text = text.replace(&hex(mark), &format!("var(--{name})"));
    }
    for n in 0..8 {
        text = text.replace(&hex(colour(n, false)), &format!("var(--c{n})"));
        // Dashed lines carry a class.
        let dashed = format!("stroke=\"{}\"", hex(colour(n, true)));
        text = text.replace(&dashed, &format!("class=\"dash\" stroke=\"var(--c{n})\""));
    }
    let view = format!("viewBox=\"0 0 {} {}\"", WIDTH * FINE, height * FINE);
    let body = text.find("<svg").and_then(|start| Some(&text[start + text[start..].find('>')? + 1..]));
    format!(
        "<svg class=\"figure\" width=\"{WIDTH}\" height=\"{height}\" {view} role=\"img\" \
         xmlns=\"http://www.w3.org/2000/svg\">{STYLE}{}",
        body.unwrap_or_default()
    )
}

fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

fn colour(number: usize, dashed: bool) -> RGBColor {
    RGBColor(1, if dashed { 2 } else { 1 }, (number % 8) as u8)
}

fn words(
    area: &Area<'_>,
    text: &str,
    (x, y): (i32, i32),
    size: i32,
    colour: RGBColor,
    (h, v): (HPos, VPos),
    upright: bool,
) -> Result<()> {
    // plotters divides by 1.24, its idea of the height of a line, before it writes the size of the letters.
    let font = ("sans-serif", 1.24 * f64::from(size * FINE)).into_font();
    let font = if upright { font.transform(FontTransform::Rotate270) } else { font };
    let style = TextStyle::from(font).color(&colour).pos(Pos::new(h, v));
    area.draw(&Text::new(text.to_owned(), (x * FINE, y * FINE), style)).map_err(failed)
}

fn path(area: &Area<'_>, points: Vec<(i32, i32)>, style: ShapeStyle) -> Result<()> {
    area.draw(&PathElement::new(points, style)).map_err(failed)
}

fn stroke(colour: RGBColor, quarters: u32) -> ShapeStyle {
    colour.stroke_width(quarters)
}

/// One row of names with their colours.
fn legend(area: &Area<'_>, figure: &Figure) -> Result<()> {
    let mut entries: Vec<(&Style, bool)> = Vec::new();
    for mark in figure.panels.iter().flat_map(|panel| &panel.marks) {
        let (style, line) = match mark {
            Mark::Line(style, _) => (style, true),
            Mark::Dots(style, _) | Mark::Band(style, _) | Mark::Bars(style, _, _) => (style, false),
            Mark::Vertical(..) | Mark::Horizontal(..) => continue,
        };
        if !style.label.is_empty() && entries.iter().all(|(s, _)| s.label != style.label) {
            entries.push((style, line));
        }
    }
    let mut x = LEFT - 64;
    let y = TITLE + LEGEND / 2;
    for (style, line) in entries {
        let mark = colour(style.colour, style.dashed && line);
        if line {
            path(area, vec![(x * FINE, y * FINE), ((x + 22) * FINE, y * FINE)], stroke(mark, 10))?;
        } else {
            let corners = [((x + 5) * FINE, (y - 5) * FINE), ((x + 17) * FINE, (y + 5) * FINE)];
            area.draw(&Rectangle::new(corners, mark.filled())).map_err(failed)?;
        }
        words(area, &style.label, (x + 29, y), 13, INK, (HPos::Left, VPos::Center), false)?;
        let letters = i32::try_from(style.label.chars().count()).map_err(failed)?;
        x += 29 + letters * 7 + 24;
    }
    Ok(())
}

/// The place of a panel's axes, in units of the drawing, and their ranges.
struct Frame {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
    x: Range,
    y: Range,
}

impl Frame {
    fn new(panel: &Panel, left: i32, right: i32, top: i32, bottom: i32) -> Self {
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        let mut from_zero = false;
        for mark in &panel.marks {
            match mark {
                Mark::Line(_, points) | Mark::Dots(_, points) => {
                    points.iter().filter(|p| p.0.is_finite() && p.1.is_finite()).for_each(|&(x, y)| {
                        xs.push(x);
                        ys.push(y);
                    });
                }
                Mark::Band(_, points) => points.iter().for_each(|&(x, low, high)| {
                    xs.push(x);
                    ys.extend([low, high]);
                }),
                Mark::Bars(_, width, bars) => {
                    from_zero = true;
                    bars.iter().for_each(|&(x, y)| {
                        xs.extend([x - width, x + width]);
                        ys.push(y);
                    });
                }
                Mark::Vertical(x, _) => xs.push(*x),
                Mark::Horizontal(y, _) => ys.push(*y),
            }
        }
        if from_zero {
            ys.push(0.0);
        }
        let [left, right, top, bottom] = [left, right, top, bottom].map(|n| n * FINE);
        Self { left, right, top, bottom, x: Range::new(&panel.x, &xs, false), y: Range::new(&panel.y, &ys, true) }
    }

    /// Where a value is on the drawing; None if it has no place there. Values beyond the ends stand at the ends.
    fn place(&self, x: f64, y: f64) -> Option<(i32, i32)> {
        Some((self.place_x(x)?, self.place_y(y)?))
    }

    fn place_x(&self, x: f64) -> Option<i32> {
        let share = self.x.share(x)?;
        Some(self.left + (share * f64::from(self.right - self.left)).round() as i32)
    }

    fn place_y(&self, y: f64) -> Option<i32> {
        let share = self.y.share(y)?;
        Some(self.bottom - (share * f64::from(self.bottom - self.top)).round() as i32)
    }

    fn draw(&self, area: &Area<'_>, panel: &Panel) -> Result<()> {
        let middle = |a: i32, b: i32| (a + b) / 2 / FINE;
        words(
            area,
            &panel.title,
            (self.left / FINE, self.top / FINE - 14),
            13,
            INK,
            (HPos::Left, VPos::Center),
            false,
        )?;
        for Tick { at, label } in self.y.ticks(5) {
            let Some(y) = self.place_y(at) else { continue };
            path(area, vec![(self.left, y), (self.right, y)], stroke(GRID, 4))?;
            let place = (self.left / FINE - 8, y / FINE);
            words(area, &label, place, 12, MUTED, (HPos::Right, VPos::Center), false)?;
        }
        for Tick { at, label } in self.x.ticks(6) {
            let Some(x) = self.place_x(at) else { continue };
            path(area, vec![(x, self.bottom), (x, self.bottom + 5 * FINE)], stroke(MUTED, 4))?;
            let place = (x / FINE, self.bottom / FINE + 9);
            words(area, &label, place, 12, MUTED, (HPos::Center, VPos::Top), false)?;
        }
        path(area, vec![(self.left, self.bottom), (self.right, self.bottom)], stroke(MUTED, 5))?;
        let below = (middle(self.left, self.right), self.bottom / FINE + 30);
        words(area, &panel.x.label, below, 12, MUTED, (HPos::Center, VPos::Top), false)?;
        let beside = (self.left / FINE - 64, middle(self.top, self.bottom));
        words(area, &panel.y.label, beside, 12, MUTED, (HPos::Center, VPos::Top), true)?;
        panel.marks.iter().try_for_each(|mark| self.mark(area, mark))
    }

    fn mark(&self, area: &Area<'_>, mark: &Mark) -> Result<()> {
        match mark {
            Mark::Line(style, points) => {
                let points: Vec<_> = thin(points).filter_map(|&(x, y)| self.place(x, y)).collect();
                path(area, points, stroke(colour(style.colour, style.dashed), 9))
            }
            Mark::Dots(style, points) => {
                let fill = colour(style.colour, false).filled();
                let mut dots = points.iter().filter_map(|&(x, y)| self.place(x, y));
                dots.try_for_each(|p| area.draw(&Circle::new(p, 4 * FINE, fill)).map_err(failed))
            }
            Mark::Band(style, points) => {
                let upper = thin(points).filter_map(|&(x, _, high)| self.place(x, high));
                let lower = thin(points).filter_map(|&(x, low, _)| self.place(x, low));
                let mut outline: Vec<_> = upper.collect();
                outline.extend(lower.collect::<Vec<_>>().into_iter().rev());
                area.draw(&Polygon::new(outline, colour(style.colour, false).mix(0.18))).map_err(failed)
            }
            Mark::Bars(style, width, bars) => {
                let fill = colour(style.colour, false).filled();
                for &(x, y) in bars {
                    let base = if self.y.is_log() { Some(self.bottom) } else { self.place_y(0.0) };
                    let corners = self.place(x - width / 2.0, y).zip(self.place_x(x + width / 2.0).zip(base));
                    if let Some((from, to)) = corners {
                        area.draw(&Rectangle::new([from, to], fill)).map_err(failed)?;
                    }
                }
                Ok(())
            }
            Mark::Vertical(x, text) => {
                let Some(x) = self.place_x(*x) else { return Ok(()) };
                path(area, vec![(x, self.top), (x, self.bottom)], stroke(MUTED, 5))?;
                let late = x > (self.left + 2 * self.right) / 3;
                let (dx, side) = if late { (-6, HPos::Right) } else { (6, HPos::Left) };
                words(area, text, (x / FINE + dx, self.top / FINE + 8), 12, MUTED, (side, VPos::Center), false)
            }
            Mark::Horizontal(y, text) => {
                let Some(y) = self.place_y(*y) else { return Ok(()) };
                path(area, vec![(self.left, y), (self.right, y)], stroke(MUTED, 5))?;
                words(area, text, (self.right / FINE - 4, y / FINE - 8), 12, MUTED, (HPos::Right, VPos::Center), false)
            }
        }
    }
}

/// At most [`POINTS`] of the points, evenly, the last one among them.
fn thin<T>(points: &[T]) -> impl Iterator<Item = &T> {
    let stride = points.len().div_ceil(POINTS).max(1);
    let last = points.len().saturating_sub(1);
    points.iter().enumerate().filter(move |(i, _)| i % stride == 0 || *i == last).map(|(_, p)| p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::Axis;

    fn figure() -> Figure {
        let panel = Panel::new("left <&>", Axis::linear("epoch"), Axis::log("loss"))
            .line(Style::new("small", 0).dashed(), [(0.0, 1.0), (1.0, 0.1), (2.0, f64::NAN), (3.0, 0.001)])
            .with(Mark::Band(Style::new("", 1), vec![(0.0, 0.5, 2.0), (3.0, 0.001, 0.002)]))
            .with(Mark::Vertical(2.0, "annealing".into()));
        let bars = Panel::new("", Axis::linear(""), Axis::linear("share"))
            .with(Mark::Bars(Style::new("large", 1), 0.8, vec![(0.0, 0.5), (1.0, -0.25)]))
            .with(Mark::Dots(Style::new("dots", 2), vec![(0.5, 0.1)]))
            .with(Mark::Horizontal(0.1, "chance".into()));
        Figure::new("f", "A title", "").panel(panel).panel(bars)
    }

    #[test]
    fn colours_are_variables_and_texts_are_texts() {
        let text = svg(&figure()).unwrap();
        for part in ["var(--c0)", "class=\"dash\"", "var(--ink)", "annealing", "chance", "&lt;&amp;&gt;", "A title"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("#01") && !text.contains("NaN") && text.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn the_same_figure_is_the_same_bytes_and_one_without_panels_is_none() {
        assert_eq!(svg(&figure()).unwrap(), svg(&figure()).unwrap());
        assert!(svg(&Figure::new("f", "", "")).is_err());
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let points: Vec<usize> = (0..5000).collect();
        let kept: Vec<_> = thin(&points).copied().collect();
        assert!(kept.len() <= POINTS + 1 && kept[0] == 0 && kept.last() == Some(&4999));
    }
}
