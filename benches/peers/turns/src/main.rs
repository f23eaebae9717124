//! Programs in other languages beside logloss's CPU engine: `logloss-turns --peer "python3 torch_peer.py" ...`.

use anyhow::Result;
use clap::Parser;
use logloss::every_loss;
use logloss_turns::child::ChildPeer;
use logloss_turns::contest::measure;
use logloss_turns::logloss_cpu::LoglossCpu;
use logloss_turns::options::Options;
use logloss_turns::peer::{Data, Peer};
use logloss_turns::report::Report;

#[derive(Parser)]
struct Arguments {
    /// A command that speaks as `src/child.rs` says; more than one may be given.
    #[arg(long = "peer", required = true)]
    peers: Vec<String>,
    /// A loss by its name, with its default options; more than one may be given.
    #[arg(long = "loss", default_value = "cross_entropy", value_parser = parse_loss)]
    losses: Vec<String>,
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<()> {
    let Arguments { peers, losses, options } = Arguments::parse();
    let mut own = LoglossCpu::default();
    let start = |command: &String| ChildPeer::start(&command.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let mut children = peers.iter().map(start).collect::<Result<Vec<_>>>()?;
    let mut report = Report::default();
    for loss in every_loss().iter().filter(|loss| losses.iter().any(|name| name == loss.definition().name)) {
        for &shape in options.shapes() {
            let data = Data::of(loss.as_ref(), shape);
            let mut all: Vec<&mut dyn Peer> = vec![&mut own];
            all.extend(children.iter_mut().map(|child| child as &mut dyn Peer));
            report.add(&data, &measure(&data, &mut all, options.effort())?);
        }
    }
    options.json.map_or(Ok(()), |path| report.write(&path))
}

fn parse_loss(name: &str) -> Result<String, String> {
    let names: Vec<_> = every_loss().iter().map(|loss| loss.definition().name).collect();
    if names.contains(&name) { Ok(name.to_owned()) } else { Err(format!("none of {}", names.join(", "))) }
}
