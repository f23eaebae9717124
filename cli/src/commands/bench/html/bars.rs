//! Bars: how near each pass comes to a plain copy.

use maud::{Markup, html};

use super::curves::Kind;
use super::scale::px;
use crate::commands::bench::results::Speed;
use crate::commands::bench::table::{percent, significant};

const WIDTH: f64 = 360.0;
const TOP: f64 = 20.0;
/// Of a group's title, of a bar, and between groups.
const TITLE: f64 = 15.0;
const BAR: f64 = 15.0;
const GAP: f64 = 9.0;
/// What a bar may take of the width: the rest is for its numbers.
const LONGEST: f64 = 180.0;

/// Bars of one shape and pass.
pub(super) struct Group {
    pub title: String,
    pub bars: Vec<(Kind, Speed)>,
}

/// The figure; nothing without groups.
pub(super) fn draw(groups: &[Group]) -> Markup {
    let shares = groups.iter().flat_map(|group| group.bars.iter().map(|(_, speed)| speed.share_of_copy.median));
    let most = shares.filter(|share| share.is_finite()).fold(1.0, f64::max);
    let length = |share: f64| (share / most * LONGEST).clamp(0.5, LONGEST);
    let mut y = TOP;
    let mut placed = Vec::new();
    for group in groups {
        placed.push((y, group));
        y += TITLE + (BAR + 2.0) * group.bars.len() as f64 + GAP;
    }
    let caption = "Bytes that must move over time, as a share of the plain copy";
    if groups.is_empty() {
        return html! {};
    }
    html! {
        figure {
            figcaption { (caption) }
            svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (WIDTH) " " (y) } role="img" aria-label=(caption) {
                text class="muted" x=(px(length(1.0))) y="10" text-anchor="middle" { "100 % of the copy" }
                @for (top, group) in placed {
                    text x="0" y=(px(top + TITLE - 5.0)) { (group.title) }
                    @let end = top + TITLE + (BAR + 2.0) * group.bars.len() as f64;
                    line class="even" x1=(px(length(1.0))) x2=(px(length(1.0))) y1=(px(top + TITLE)) y2=(px(end)) {}
                    @for (i, (kind, speed)) in group.bars.iter().enumerate() {
                        @let bar = top + TITLE + (BAR + 2.0) * i as f64;
                        @let share = speed.share_of_copy.median;
                        g class=(kind.class()) {
                            rect class="bar" x="0" y=(px(bar)) width=(px(length(share))) height=(BAR) rx="2" {}
                            text x=(px(length(share).max(length(1.0)) + 7.0)) y=(px(bar + BAR - 4.0)) {
                                (name(*kind)) " " (percent(share)) ", " (significant(speed.gb_per_second.median)) " GB/s"
                            }
                        }
                    }
                }
            }
            ul class="legend" {
                li { "GPU: kernel alone, against the copy on the device. CPU: against the copy on the machine." }
            }
        }
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Cpu => "CPU",
        Kind::Kernel | Kind::Upload | Kind::RoundTrip => "GPU",
    }
}
