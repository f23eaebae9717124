//! Programs in other languages beside logloss's CPU engine: `logloss-turns --peer "python3 torch_peer.py" ...`.

use anyhow::Result;
use clap::Parser;
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
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<()> {
    let Arguments { peers, options } = Arguments::parse();
    let mut own = LoglossCpu::default();
    let start = |command: &String| ChildPeer::start(&command.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let mut children = peers.iter().map(start).collect::<Result<Vec<_>>>()?;
    let mut report = Report::default();
    for &shape in options.shapes() {
        let mut all: Vec<&mut dyn Peer> = vec![&mut own];
        all.extend(children.iter_mut().map(|child| child as &mut dyn Peer));
        report.add(shape, &measure(&Data::new(shape), &mut all, options.effort())?);
    }
    options.json.map_or(Ok(()), |path| report.write(&path))
}
