//! burn's and candle's cross-entropy beside logloss's, on the GPU that wgpu finds and on the CPU.

use anyhow::Result;
use clap::Parser;
use logloss_turns::contest::measure;
use logloss_turns::logloss_cpu::LoglossCpu;
use logloss_turns::options::Options;
use logloss_turns::peer::{Data, Peer};
use logloss_turns::report::Report;

mod burn_peer;
mod candle_peer;
mod logloss_gpu;

use burn_peer::BurnPeer;
use candle_peer::CandlePeer;
use logloss_gpu::LoglossGpu;

#[derive(Parser)]
struct Arguments {
    /// Leaves out what runs on a CPU.
    #[arg(long)]
    only_gpu: bool,
    /// Leaves out what runs on a GPU.
    #[arg(long, conflicts_with = "only_gpu")]
    only_cpu: bool,
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<()> {
    let Arguments { only_gpu, only_cpu, options } = Arguments::parse();
    let mut report = Report::default();
    for &shape in options.shapes() {
        let data = Data::new(shape);
        if !only_cpu {
            let peers: &mut [&mut dyn Peer] = &mut [&mut LoglossGpu::open()?, &mut BurnPeer::wgpu()];
            report.add(&data, &measure(&data, peers, options.effort())?);
        }
        if !only_gpu {
            let peers: &mut [&mut dyn Peer] = &mut [
                &mut LoglossCpu::default(),
                &mut BurnPeer::flex(),
                &mut BurnPeer::ndarray(),
                &mut CandlePeer::default(),
            ];
            report.add(&data, &measure(&data, peers, options.effort())?);
        }
    }
    options.json.map_or(Ok(()), |path| report.write(&path))
}
