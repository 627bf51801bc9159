//! Medians of rounds.

use std::fmt;

use serde::Serialize;

/// A median with the quartiles around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// A quarter of the values lie below.
    pub(crate) lower: f64,
    pub(crate) median: f64,
    /// A quarter of the values lie above.
    pub(crate) upper: f64,
}

impl Spread {
    /// Returns the spread of values in any order; zero without values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self {
            lower: quantile(&values, 0.25),
            median: quantile(&values, 0.5),
            upper: quantile(&values, 0.75),
        }
    }
}

/// Returns the value below which this part of the sorted values lies, interpolated.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
#[allow(clippy::cast_sign_loss)]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let at = part * last as f64;
    let below = at.floor() as usize;
    let value = |index: usize| sorted.get(index.min(last)).copied().unwrap_or_default();
    let (a, b) = (value(below), value(below + 1));
    (b - a).mul_add(at.fract(), a)
}

/// `0.94 (0.92–0.95)`: the median and the quartiles.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(
            f,
            "{:.digits$} ({:.digits$}–{:.digits$})",
            self.median, self.lower, self.upper
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated() {
        let cases: [(&[f64], [f64; 3]); 4] = [
            (&[], [0.0, 0.0, 0.0]),
            (&[3.0], [3.0, 3.0, 3.0]),
            (&[4.0, 1.0, 3.0, 2.0], [1.75, 2.5, 3.25]),
            (&[5.0, 1.0, 3.0, 2.0, 4.0], [2.0, 3.0, 4.0]),
        ];
        for (values, [lower, median, upper]) in cases {
            let expected = Spread {
                lower,
                median,
                upper,
            };
            assert_eq!(Spread::of(values.iter().copied()), expected, "{values:?}");
        }
    }
}
