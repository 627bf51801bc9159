//! The chart that the page in `docs/` shows.

use std::fmt::Write as _;

use super::throughput::{Clients, Row};

const LABELS: u32 = 270;
const BARS: u32 = 330;
const BAR: u32 = 16;
const ROW: u32 = 30;

/// Draws the requests a second of the first clients that were measured, as bars with the quartiles
/// as whiskers. Readable on light and dark pages.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn throughput(rows: &[Row]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let Clients {
        connections,
        sessions,
    } = first.clients;
    let same = |row: &&Row| row.clients == first.clients;
    let rows: Vec<&Row> = rows.iter().filter(same).collect();
    let most = rows.iter().map(|row| row.rate.upper).fold(1.0, f64::max);
    let length = |rate: f64| (rate / most * f64::from(BARS)) as u32;
    let width = LABELS + BARS + 90;
    let mut out = String::new();
    let mut y = 34;
    let mut body = String::new();
    for row in &rows {
        let ours = matches!(row.key.as_str(), "plugin" | "route" | "routers" | "outpost");
        let colour = if ours { "#2f7de1" } else { "#8a94a3" };
        let label = escape(&row.title.replace('`', ""));
        let middle = y + BAR / 2;
        let (lower, upper) = (length(row.rate.lower), length(row.rate.upper));
        // Writing to a string cannot fail.
        let _ = writeln!(
            body,
            "  <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>\n  \
             <rect x=\"{LABELS}\" y=\"{y}\" width=\"{}\" height=\"{BAR}\" rx=\"2\" \
             fill=\"{colour}\"/>\n  \
             <path d=\"M{} {middle}H{}\" stroke=\"#d9822b\" stroke-width=\"2\"/>\n  \
             <text x=\"{}\" y=\"{}\">{:.0}</text>",
            LABELS - 10,
            y + 13,
            length(row.rate.median),
            LABELS + lower,
            LABELS + upper.max(lower + 1),
            LABELS + length(row.rate.upper).max(length(row.rate.median)) + 8,
            y + 13,
            row.rate.median,
        );
        y += ROW;
    }
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" width=\"{width}\" \
         height=\"{y}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#78828f\">\n  \
         <title>Requests a second through Traefik</title>\n  \
         <text x=\"{LABELS}\" y=\"18\" font-weight=\"600\">requests a second, {connections} \
         connections, {sessions} sessions</text>\n{body}</svg>\n"
    );
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
