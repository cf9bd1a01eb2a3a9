//! Figures as data: what is drawn, not how. The report draws them.

/// One or more panels side by side, with one legend.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The file name without ending: lower case and hyphens.
    pub name: String,
    /// One line.
    pub title: String,
    /// What is to be seen, and what the paper shows there.
    pub caption: String,
    /// The panels, from the left.
    pub panels: Vec<Panel>,
}

/// A pair of axes with what is drawn on them.
#[derive(Debug, Clone)]
pub struct Panel {
    /// A short title; may be empty.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, the first undermost.
    pub marks: Vec<Mark>,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it measures, with the unit.
    pub label: String,
    /// How it is divided.
    pub scale: Scale,
    /// Its ends; None: what the marks need.
    pub range: Option<(f64, f64)>,
    /// Names for positions, instead of numbers: for bars of categories.
    pub names: Vec<(f64, String)>,
}

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By powers of ten; what is not positive is not drawn.
    Log,
}

/// How a mark looks. The colour is a number from 0: the same arm takes the same number in all figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// The name in the legend; marks of the same name share an entry, and empty ones have none.
    pub label: String,
    /// The number of the colour, 0 to 7.
    pub colour: usize,
    /// Whether a line is dashed.
    pub dashed: bool,
}

impl Style {
    /// A full line.
    #[must_use]
    pub fn new(label: impl Into<String>, colour: usize) -> Self {
        Self { label: label.into(), colour, dashed: false }
    }

    /// The same, dashed.
    #[must_use]
    pub fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }
}

/// Something drawn. Points that are not finite are left out.
#[derive(Debug, Clone)]
pub enum Mark {
    /// A line through points.
    Line(Style, Vec<(f64, f64)>),
    /// Dots.
    Dots(Style, Vec<(f64, f64)>),
    /// An area between a lower and an upper value: x, low, high.
    Band(Style, Vec<(f64, f64, f64)>),
    /// Bars from zero, of a width in units of x.
    Bars(Style, f64, Vec<(f64, f64)>),
    /// A vertical line with words, such as the epoch of annealing.
    Vertical(f64, String),
    /// A horizontal line with words, such as chance.
    Horizontal(f64, String),
}

impl Axis {
    /// An even axis that fits its marks.
    #[must_use]
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, range: None, names: Vec::new() }
    }

    /// A logarithmic axis that fits its marks.
    #[must_use]
    pub fn log(label: impl Into<String>) -> Self {
        Self { scale: Scale::Log, ..Self::linear(label) }
    }

    /// With fixed ends.
    #[must_use]
    pub fn range(self, low: f64, high: f64) -> Self {
        Self { range: Some((low, high)), ..self }
    }

    /// With names at positions instead of numbers.
    #[must_use]
    pub fn names(self, names: impl IntoIterator<Item = (f64, String)>) -> Self {
        Self { names: names.into_iter().collect(), ..self }
    }
}

impl Panel {
    /// Empty axes.
    #[must_use]
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, marks: Vec::new() }
    }

    /// With a mark on top.
    #[must_use]
    pub fn with(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    /// With a line on top.
    #[must_use]
    pub fn line(self, style: Style, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.with(Mark::Line(style, points.into_iter().collect()))
    }
}

impl Figure {
    /// A figure without panels yet.
    #[must_use]
    pub fn new(name: impl Into<String>, title: impl Into<String>, caption: impl Into<String>) -> Self {
        Self { name: name.into(), title: title.into(), caption: caption.into(), panels: Vec::new() }
    }

    /// With a panel at the right.
    #[must_use]
    pub fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }
}
