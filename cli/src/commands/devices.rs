//! `logloss devices`: the adapters of this machine and what each can do.

use logloss::gpu::{self, Shader};
use logloss::wgpu::{Adapter, AdapterInfo, DeviceType, Features};
use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::{number, output, report};

/// Options of `logloss devices`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Choose one with 'logloss eval --adapter INDEX', or by any part of its name, driver or backend. The \
                  environment variable WGPU_BACKEND (vulkan, metal, dx12) limits the list to one backend."
)]
pub struct Arguments {
    /// Print one JSON object, {"adapters": [...]}, and nothing else to standard output
    #[arg(long)]
    json: bool,
}

/// Lists the adapters.
///
/// # Errors
/// Standard output is closed.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let adapters = gpu::adapters(&gpu::instance());
    if arguments.json {
        let list: Vec<_> = adapters.iter().enumerate().map(|(i, adapter)| as_json(i, adapter)).collect();
        return output::result(report::pretty(&json!({ "adapters": list })));
    }
    if adapters.is_empty() {
        return output::result(
            "No adapter. Install a driver (Mesa's lavapipe is a software one); until then 'logloss eval' uses the CPU engine.",
        );
    }
    let tables: Vec<_> = adapters.iter().enumerate().map(|(i, adapter)| as_table(i, adapter)).collect();
    output::result(tables.join("\n\n"))
}

/// What kind of device an adapter is.
pub(super) fn type_name(info: &AdapterInfo) -> &'static str {
    match info.device_type {
        DeviceType::DiscreteGpu => "discrete",
        DeviceType::IntegratedGpu => "integrated",
        DeviceType::VirtualGpu => "virtual",
        DeviceType::Cpu => "software",
        DeviceType::Other => "other",
    }
}

/// An adapter's driver and its version.
pub(super) fn driver(info: &AdapterInfo) -> String {
    let parts = [info.driver.as_str(), info.driver_info.as_str()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// The variants that an adapter can run, and all there are.
fn variants(adapter: &Adapter) -> (Vec<String>, usize) {
    let has = |feature| adapter.features().contains(feature);
    let (subgroups, f16) = (has(Features::SUBGROUP), has(Features::SHADER_F16));
    let all = Shader::all();
    let runs = all.iter().filter(|shader| (subgroups || !shader.needs_subgroups()) && (f16 || !shader.needs_f16()));
    (runs.map(|shader| shader.label()).collect(), all.len())
}

fn as_json(index: usize, adapter: &Adapter) -> Value {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    json!({
        "index": index,
        "name": info.name,
        "type": type_name(&info),
        "backend": info.backend.to_string(),
        "driver": driver(&info),
        "max_storage_buffer_binding_size": limits.max_storage_buffer_binding_size,
        "max_buffer_size": limits.max_buffer_size,
        "max_compute_invocations_per_workgroup": limits.max_compute_invocations_per_workgroup,
        "max_compute_workgroup_storage_size": limits.max_compute_workgroup_storage_size,
        "max_compute_workgroups_per_dimension": limits.max_compute_workgroups_per_dimension,
        "subgroup": features.contains(Features::SUBGROUP),
        "subgroup_min_size": info.subgroup_min_size,
        "subgroup_max_size": info.subgroup_max_size,
        "shader_f16": features.contains(Features::SHADER_F16),
        "timestamp_query": features.contains(Features::TIMESTAMP_QUERY),
        "variants": variants(adapter).0,
    })
}

fn as_table(index: usize, adapter: &Adapter) -> String {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let subgroups = if features.contains(Features::SUBGROUP) {
        match (info.subgroup_min_size, info.subgroup_max_size) {
            (least, most) if least == most => format!("subgroups of {least}"),
            (least, most) => format!("subgroups of {least} to {most}"),
        }
    } else {
        "no subgroups".into()
    };
    let yes = |feature, name: &str| if features.contains(feature) { name.to_owned() } else { format!("no {name}") };
    let (runs, all) = variants(adapter);
    let limited = if runs.len() == all { "" } else { " (the others need subgroups or f16)" };
    report::table(&[
        ("adapter", format!("{index}  {}", info.name)),
        ("type", format!("{}, {}", type_name(&info), info.backend)),
        ("driver", driver(&info)),
        (
            "memory",
            format!(
                "{} a binding, {} a buffer",
                number::bytes(limits.max_storage_buffer_binding_size),
                number::bytes(limits.max_buffer_size)
            ),
        ),
        (
            "workgroup",
            format!(
                "{} invocations, {} of memory, {} workgroups a dimension",
                limits.max_compute_invocations_per_workgroup,
                number::bytes(limits.max_compute_workgroup_storage_size.into()),
                number::grouped(limits.max_compute_workgroups_per_dimension.into())
            ),
        ),
        (
            "features",
            format!(
                "{subgroups}, {}, {}",
                yes(Features::SHADER_F16, "f16"),
                yes(Features::TIMESTAMP_QUERY, "timestamps")
            ),
        ),
        ("variants", format!("{} of {all}{limited}; see 'logloss shader --list'", runs.len())),
    ])
}
