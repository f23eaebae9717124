//! Rounds in which every peer runs once: a machine that drifts moves all of them.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::peer::{Data, Entry, Peer};

/// Between two turns: threads of the one before may still be spinning.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs of an entry that count, however slow it is.
const LEAST_RUNS: usize = 3;

/// How far two losses may differ, relative. Each is a mean in float32 of at least 1024 losses near 10, every one of them a few
/// ulp off; torn data or a wrong formula is off by far more.
const TOLERANCE: f64 = 1e-4;

/// How far apart they may be at least: an ulp of the largest logit, where terms of both signs cancel.
const ULP: f64 = 4.8e-7;

/// How long to measure.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// Seconds after which an entry that has run often enough runs no more.
    pub seconds: f64,
}

/// What one entry came to.
pub struct Score {
    pub peer: String,
    pub entry: Entry,
    /// Of each round in which it ran.
    runs: Vec<(usize, f64)>,
    /// Seconds, a median.
    pub seconds: f64,
    /// How many times as long as the first peer's entry with the same pass took in the same rounds, a median.
    pub ratio: f64,
}

impl Score {
    pub const fn count(&self) -> usize {
        self.runs.len()
    }

    fn has_time(&self, effort: Effort) -> bool {
        self.runs.len() < LEAST_RUNS || self.runs.iter().map(|(_, s)| s).sum::<f64>() < effort.seconds
    }
}

/// Times all entries of all peers in turn. The first peer is the one that the others are compared with.
///
/// # Errors
/// The first peer fails. Any other that fails is left out, with its reason.
pub fn measure(data: &Data, peers: &mut [&mut dyn Peer], effort: Effort) -> Result<Vec<Score>> {
    let mut scores = Vec::new();
    let mut places = Vec::new();
    for (place, peer) in peers.iter_mut().enumerate() {
        for (index, entry) in entries(*peer, data).into_iter().enumerate() {
            let score =
                Score { peer: peer.name().to_owned(), entry, runs: Vec::new(), seconds: f64::NAN, ratio: f64::NAN };
            scores.push(score);
            places.push((place, index));
        }
    }
    let mut truth = None;
    for round in 0..=effort.rounds {
        for (score, &(place, index)) in scores.iter_mut().zip(&places) {
            if score.entry.left_out.is_some() || !score.has_time(effort) {
                continue;
            }
            std::thread::sleep(PAUSE);
            // The first of two runs wakes up cores and threads that have been idle, and pushes out of the caches what others left
            // there: on a virtual machine a short run took up to twice as long without it.
            match peers[place].run(index).and_then(|_| peers[place].run(index)) {
                // The first round compiles and touches fresh memory.
                Ok(lap) if round == 0 => {
                    let truth = *truth.get_or_insert(lap.loss);
                    let error = (lap.loss - truth).abs();
                    if error.is_nan() || error > ULP.max(TOLERANCE * truth.abs()) {
                        score.entry.left_out = Some(format!("computes {} where logloss computes {truth}", lap.loss));
                    }
                }
                Ok(lap) => score.runs.push((round, lap.seconds)),
                Err(error) if place == 0 => return Err(error),
                Err(error) => score.entry.left_out = Some(first_line(&error)),
            }
        }
    }
    peers.iter_mut().for_each(|peer| peer.release());
    let (Some(first), false) = (places.first(), scores.is_empty()) else { bail!("nothing to measure") };
    let own: Vec<(bool, Vec<(usize, f64)>)> = scores
        .iter()
        .zip(&places)
        .filter(|(_, (place, _))| *place == first.0)
        .map(|(score, _)| (score.entry.gradient, score.runs.clone()))
        .collect();
    for score in &mut scores {
        let yardstick = own.iter().find(|(gradient, _)| *gradient == score.entry.gradient);
        let in_round = |round| Some(yardstick?.1.iter().find(|(r, _)| *r == round)?.1);
        score.seconds = median(score.runs.iter().map(|(_, seconds)| *seconds));
        score.ratio = median(score.runs.iter().filter_map(|&(round, seconds)| Some(seconds / in_round(round)?)));
    }
    Ok(scores)
}

fn entries(peer: &mut dyn Peer, data: &Data) -> Vec<Entry> {
    let needs = peer.peak_bytes(4 * data.shape.elements());
    let both = |reason: &str| [false, true].map(|gradient| Entry::left_out("", gradient, reason)).into();
    match available_bytes() {
        Some(has) if needs > has => {
            both(&format!("may need {:.1} GB, {:.1} are free", 1e-9 * needs as f64, 1e-9 * has as f64))
        }
        _ => peer.prepare(data).unwrap_or_else(|error| both(&first_line(&error))),
    }
}

/// An error may be a whole backtrace.
fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().chars().take(200).collect()
}

/// What the system would give without swapping; none where it does not say.
fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    Some(1024 * line.split_whitespace().nth(1)?.parse::<u64>().ok()?)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
