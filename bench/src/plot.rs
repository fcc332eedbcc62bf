//! Plots as SVG files in `docs/plots`.

use std::fs;
use std::path::Path;

use plotters::prelude::*;

use crate::Failed;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/plots");
const SIZE: (u32, u32) = (720, 400);
const COLORS: [RGBColor; 3] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 96, 20),
    RGBColor(110, 110, 110),
];

/// A line of a plot.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Line {
    /// Returns the points as rows of a table.
    pub(crate) fn rows(&self) -> Vec<String> {
        let row = |(x, y): &(f64, f64)| format!("{:<44} {x:>10} {y:>10.1}", self.label);
        self.points.iter().map(row).collect()
    }
}

/// A plot with a logarithmic axis from the left to the right.
#[derive(Debug)]
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    pub(crate) lines: Vec<Line>,
}

impl Plot<'_> {
    /// Writes `docs/plots/NAME.svg`.
    pub(crate) fn write(&self, name: &str) -> Result<(), Failed> {
        fs::create_dir_all(FOLDER)?;
        let path = Path::new(FOLDER).join(format!("{name}.svg"));
        let mut svg = String::new();
        self.draw(&mut svg)?;
        fs::write(&path, svg)?;
        Ok(())
    }

    fn draw(&self, svg: &mut String) -> Result<(), Failed> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let smallest = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
        let largest = points().map(|(x, _)| *x).fold(0.0, f64::max);
        let highest = points().map(|(_, y)| *y).fold(1.0, f64::max);
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 17))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(60)
            .build_cartesian_2d((smallest..largest).log_scale(), 0.0..highest * 1.35)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(self.x)
            .y_desc(self.y)
            .x_labels(6)
            .x_label_formatter(&|x| match x {
                1e3.. => format!("{}k", x / 1e3),
                _ => format!("{x:.0}"),
            })
            .y_label_formatter(&|y| format!("{y:.0}"))
            .label_style(("sans-serif", 13))
            .draw()?;
        for (line, color) in self.lines.iter().zip(COLORS.iter().cycle()) {
            chart
                .draw_series(LineSeries::new(
                    line.points.iter().copied(),
                    color.stroke_width(2),
                ))?
                .label(&line.label)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
                });
            let dots = line.points.iter();
            chart.draw_series(dots.map(|point| Circle::new(*point, 3, color.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .label_font(("sans-serif", 13))
            .draw()?;
        root.present()?;
        Ok(())
    }
}
