//! How near the kernels come to the memory's speed.
//!
//! Rounds of a load-only pass, a copy, and every pass of cross-entropy over the same logits, in turn. Prints the median time, the
//! bytes that must move, GB/s, and the shares of the load-only pass's GB/s and of the copy's, then the time a logit over decades
//! of rows and of classes:
//!
//! ```text
//! cargo bench --bench roofline -- --quick
//! cargo bench --bench roofline -- --shapes 8192x32000,2048x128256 --dtypes float32 --no-decades
//! ```
//!
//! With `--peer`, a program such as `benches/peers/torch_peer.py` takes its turn in the same rounds. `scripts/bench-gpu.sh`
//! makes a bundle for a machine with a GPU and nothing else.

use anyhow::{Result, anyhow};
use logloss::gpu::{AdapterChoice, Gpu};

mod arguments;
#[path = "../peers/turns/src/child.rs"]
mod child;
#[path = "../peers/turns/src/data.rs"]
mod data;
mod rounds;
mod subject;
mod table;

use arguments::Arguments;
use child::ChildPeer;
use rounds::{Opponent, Rounds};
use subject::{Bench, Pass, Subject};
use table::Table;

fn main() -> Result<()> {
    let arguments = Arguments::get();
    let choice = arguments.adapter.clone().map_or(AdapterChoice::Best, AdapterChoice::Named);
    let gpu = Gpu::open(&choice)?;
    let bench = Bench::new(&gpu);
    let start = |command: &String| ChildPeer::start(&command.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let mut peer = arguments.peer.as_ref().map(start).transpose()?;
    let mut table = Table::new(&bench);
    let (rounds, seconds) = (arguments.rounds(), arguments.seconds);
    for &dtype in arguments.dtypes() {
        for dimensions in arguments.shapes() {
            let subject = match Subject::new(&bench, dimensions.layout()?, dtype) {
                Ok(subject) => subject,
                Err(error) => {
                    gpu.check()?;
                    table.leave_out(&dimensions, dtype, &error);
                    continue;
                }
            };
            let mut opponent =
                peer.as_mut().map(|peer| Opponent::new(peer, &dimensions.0, &subject)).transpose().unwrap_or_else(
                    |e| {
                        println!("{dimensions}: the peer is left out: {e:#}");
                        None
                    },
                );
            let rounds = Rounds::measure(&subject, &Pass::ALL, opponent.as_mut(), rounds, seconds)?;
            table.add(&dimensions, &subject, &rounds, opponent.as_ref());
        }
    }
    for dimensions in arguments.decades() {
        let dtype = *arguments.dtypes().first().ok_or_else(|| anyhow!("no element type"))?;
        match Subject::new(&bench, dimensions.layout()?, dtype) {
            Ok(subject) => {
                let passes = [Pass::Load, Pass::Forward, Pass::Gradient];
                table.add_decade(&dimensions, &subject, &Rounds::measure(&subject, &passes, None, rounds, seconds)?);
            }
            Err(error) => table.leave_out(&dimensions, dtype, &error),
        }
    }
    gpu.check()?;
    arguments.json.map_or(Ok(()), |path| table.write(&path))
}
