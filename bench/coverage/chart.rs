//! Power curves as SVG, for a reader without any tool but a browser.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Colours that people who see colours otherwise tell apart: Okabe and Ito (2008).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// A line with its name.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// What it is of.
    pub(crate) name: String,
    /// Its points.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart of shares over a number from 0 to the largest there is.
pub(crate) fn shares(title: &str, across: &str, lines: &[Line]) -> String {
    let most = lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + value / most * (WIDTH - LEFT - RIGHT);
    let y = |share: f64| HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
    let mut svg = String::new();
    let mut put = |line: String| writeln!(svg, "{line}").expect("a string takes all");
    put(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">"
    ));
    put(format!("<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>"));
    put(format!("<text x=\"{LEFT}\" y=\"24\" font-size=\"14\">{title}</text>"));
    for percent in [0, 20, 40, 60, 80, 100] {
        let at = y(f64::from(percent) / 100.0);
        put(format!("<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/>", WIDTH - RIGHT));
        put(format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>", LEFT - 6.0, at + 4.0));
    }
    let ticks = lines.first().map_or(&[][..], |line| &line.points);
    for (value, _) in ticks {
        let at = x(*value);
        put(format!("<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>", HEIGHT - BOTTOM + 18.0));
    }
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    put(format!("<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{across}</text>", HEIGHT - 10.0));
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<_> = line.points.iter().map(|(at, share)| format!("{:.1},{:.1}", x(*at), y(*share))).collect();
        put(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        ));
    }
    for (number, (line, colour)) in lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let at = TOP + 10.0 + 20.0 * number as f64;
        let left = WIDTH - RIGHT + 12.0;
        put(format!("<path d=\"M{left} {at}h20\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
        put(format!("<text x=\"{}\" y=\"{}\">{}</text>", left + 26.0, at + 4.0, line.name));
    }
    put("</svg>".to_owned());
    svg
}
