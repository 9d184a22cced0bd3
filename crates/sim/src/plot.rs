//! Plots as SVG, written by hand so that they are small and the same each time.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 44.0;
const COLOURS: [&str; 6] = ["#1f5fa8", "#d9822b", "#4a9c5d", "#9c4a8f", "#6b6b6b", "#b3393f"];

/// What is drawn: for each series a name, and for each place on the x axis a value; none: there is nothing.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// Above it.
    pub(crate) title: String,
    /// Below the x axis.
    pub(crate) x: String,
    /// The places on it.
    pub(crate) places: Vec<String>,
    /// The lines, or the bars of each place.
    pub(crate) series: Vec<(String, Vec<Option<f64>>)>,
    /// The y axis: where it begins and ends, and whether by powers of ten.
    pub(crate) from: f64,
    /// See `from`.
    pub(crate) to: f64,
    /// See `from`.
    pub(crate) logarithmic: bool,
    /// Bars, or lines.
    pub(crate) bars: bool,
}

impl Plot {
    /// As a picture.
    pub(crate) fn svg(&self) -> String {
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        text(
            &mut out,
            LEFT,
            20.0,
            "start",
            &format!("<tspan font-weight=\"bold\">{}</tspan>", self.title),
        );
        text(
            &mut out,
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 8.0,
            "middle",
            &self.x,
        );
        for tick in self.ticks() {
            let y = self.y(tick);
            let _ = writeln!(
                out,
                "<path d=\"M{LEFT} {y:.1}H{}\" stroke=\"#ddd\"/>",
                WIDTH - RIGHT
            );
            text(&mut out, LEFT - 6.0, y + 4.0, "end", &number(tick));
        }
        let step = (WIDTH - LEFT - RIGHT) / self.places.len().max(1) as f64;
        let middle = |place: usize| LEFT + step * (place as f64 + 0.5);
        for (place, name) in self.places.iter().enumerate() {
            text(&mut out, middle(place), HEIGHT - BOTTOM + 16.0, "middle", name);
        }
        let mut legend = LEFT;
        for (index, (name, values)) in self.series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let _ = writeln!(
                out,
                "<rect x=\"{legend}\" y=\"31\" width=\"11\" height=\"11\" fill=\"{colour}\"/>"
            );
            text(&mut out, legend + 16.0, 41.0, "start", name);
            legend += 40.0 + name.len() as f64 * 6.5;
            if self.bars {
                self.bar(&mut out, index, values, colour, step);
            } else {
                self.line(&mut out, values, colour, middle);
            }
        }
        out.push_str("</svg>\n");
        out
    }

    fn bar(&self, out: &mut String, index: usize, values: &[Option<f64>], colour: &str, step: f64) {
        let width = step * 0.8 / self.series.len() as f64;
        for (place, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let x = LEFT + step * (place as f64 + 0.1) + width * index as f64;
            let (y, floor) = (self.y(*value), self.y(self.from));
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
                width - 2.0,
                (floor - y).max(0.5)
            );
            text(out, x + width / 2.0 - 1.0, y - 3.0, "middle", &number(*value));
        }
    }

    fn line(&self, out: &mut String, values: &[Option<f64>], colour: &str, middle: impl Fn(usize) -> f64) {
        let mut path = String::new();
        for (place, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let (x, y) = (middle(place), self.y(*value));
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
        let _ = writeln!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
    }

    fn y(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.log10() } else { value };
        let (from, to) = (scale(self.from), scale(self.to));
        let part = (scale(value.clamp(self.from, self.to)) - from) / (to - from);
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            return (0..=5)
                .map(|tick| self.from + (self.to - self.from) * f64::from(tick) / 5.0)
                .collect();
        }
        let mut ticks = vec![self.from];
        while let Some(last) = ticks.last().filter(|last| **last < self.to * 0.99) {
            ticks.push(last * 10.0);
        }
        ticks
    }
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

/// With as many digits as tell something.
pub(crate) fn number(value: f64) -> String {
    let digits = match value {
        value if value.abs() >= 99.95 || value == 0.0 => 0,
        value if value.abs() >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_holds_what_it_is_given() {
        let plot = Plot {
            title: "round trips".into(),
            x: "shape".into(),
            places: vec!["a".into(), "b".into()],
            series: vec![
                ("exact".into(), vec![Some(1_000.0), None]),
                ("leased".into(), vec![Some(3.0), Some(0.1)]),
            ],
            from: 1.0,
            to: 1_000.0,
            logarithmic: true,
            bars: false,
        };
        let svg = plot.svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        // The highest at the top; what is below the axis lies on it.
        assert!(
            svg.contains("cy=\"56.0\"") && svg.contains("cy=\"276.0\""),
            "{svg}"
        );
        assert_eq!(
            Plot { bars: true, ..plot }.svg().matches("<rect").count(),
            1 + 2 + 3
        );
    }

    #[test]
    fn numbers() {
        for (value, expected) in [
            (0.0, "0"),
            (0.1234, "0.12"),
            (1.0, "1"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1e6, "1000000"),
        ] {
            assert_eq!(number(value), expected);
        }
    }
}
