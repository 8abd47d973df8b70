//! Clicks by day as bars. Only the numbers are made here; pages/chart.html draws them.

use super::store::Day;

/// Width of the drawing for one day; the page stretches the whole to its own width.
const STEP: i64 = 10;
/// Width of a bar; the rest of the step is the gap.
const BAR: i64 = 8;
/// Height of the drawing.
const HEIGHT: i64 = 100;

/// One bar, in the drawing's units.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) x: i64,
    pub(crate) y: i64,
    pub(crate) width: i64,
    pub(crate) height: i64,
    /// YYYY-MM-DD.
    pub(crate) day: String,
    pub(crate) clicks: i64,
}

/// A bar chart whose highest bar fills the height.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) bars: Vec<Bar>,
    pub(crate) width: i64,
    pub(crate) height: i64,
    pub(crate) total: i64,
    /// The most clicks of one day.
    pub(crate) peak: i64,
    /// YYYY-MM-DD; the first of them if there are several.
    pub(crate) peak_day: String,
}

impl Chart {
    /// Lays out the days from left to right.
    pub(crate) fn of(days: Vec<Day>) -> Self {
        let total = days.iter().map(|day| day.clicks).sum();
        let peak = days.iter().map(|day| day.clicks).max().unwrap_or(0);
        let peak_day =
            days.iter().find(|day| day.clicks == peak).map(|day| day.day.clone()).unwrap_or_default();
        let bars: Vec<_> = (0..)
            .step_by(STEP as usize)
            .zip(days)
            .map(|(x, Day { day, clicks })| {
                let height = height(clicks, peak);
                Bar { x, y: HEIGHT - height, width: BAR, height, day, clicks }
            })
            .collect();
        let width = STEP * i64::try_from(bars.len()).unwrap_or(0);
        Self { bars, width, height: HEIGHT, total, peak, peak_day }
    }

    /// The first day shown, YYYY-MM-DD.
    pub(crate) fn first_day(&self) -> &str {
        self.bars.first().map_or("", |bar| &bar.day)
    }
}

/// A day with any click at all is seen.
fn height(clicks: i64, peak: i64) -> i64 {
    match clicks {
        0 => 0,
        _ => (clicks * HEIGHT / peak.max(1)).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_fills_the_height_and_a_single_click_is_seen() {
        let day = |day: &str, clicks| Day { day: day.to_owned(), clicks };
        let chart = Chart::of(vec![day("2026-01-01", 0), day("2026-01-02", 1), day("2026-01-03", 500)]);
        let heights: Vec<_> = chart.bars.iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [0, 1, HEIGHT]);
        assert_eq!((chart.total, chart.peak, chart.peak_day.as_str()), (501, 500, "2026-01-03"));
        assert_eq!((chart.width, chart.first_day()), (30, "2026-01-01"));
    }

    #[test]
    fn a_chart_without_clicks_or_days_is_flat() {
        assert_eq!(Chart::of(vec![Day { day: "2026-01-01".to_owned(), clicks: 0 }]).bars[0].height, 0);
        assert_eq!(Chart::of(Vec::new()).width, 0);
    }
}
