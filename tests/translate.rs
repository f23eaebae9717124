//! Every shader translates into the languages of the platforms that have no driver here: HLSL for DX12, MSL for Metal.

use logloss::gpu::Shader;
use naga::ShaderStage;
use naga::back::{PipelineConstants, hlsl, msl, pipeline_constants::process_overrides};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Calls `translate` with each entry point of each shader, its overrides resolved for 64 lanes; returns how many there are.
fn each_entry_point(
    translate: impl Fn(&naga::Module, &naga::valid::ModuleInfo, &str) -> Result<String, String>,
) -> usize {
    let mut count = 0;
    for shader in Shader::all() {
        let module = naga::front::wgsl::parse_str(&shader.source()).expect("WGSL that parses");
        let capabilities =
            Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16_IN_FLOAT32 | Capabilities::SHADER_INT64;
        let mut validator = Validator::new(ValidationFlags::all(), capabilities);
        let info = validator
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .unwrap_or_else(|e| panic!("{}: {e:?}", shader.label()));
        for &entry_point in shader.entry_points() {
            let constants = PipelineConstants::from_iter([("WORKGROUP_SIZE".to_owned(), 64.0)]);
            let place = Some((ShaderStage::Compute, entry_point));
            let (module, info) = process_overrides(&module, &info, place, &constants).expect("overrides that resolve");
            let text = translate(&module, &info, entry_point)
                .unwrap_or_else(|e| panic!("{} {entry_point}: {e}", shader.label()));
            assert!(text.contains(entry_point), "{} {entry_point} is lost", shader.label());
            count += 1;
        }
    }
    count
}

#[test]
fn every_shader_translates_into_hlsl() {
    let options = hlsl::Options {
        // Native 16-bit floats need 6.2.
        shader_model: hlsl::ShaderModel::V6_2,
        // The number of workgroups is no builtin there: it comes in a constant buffer.
        special_constants_binding: Some(hlsl::BindTarget { space: 1, ..Default::default() }),
        ..Default::default()
    };
    let count = each_entry_point(|module, info, entry_point| {
        let mut text = String::new();
        let place = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry_point.to_owned())) };
        let written = hlsl::Writer::new(&mut text, &options, &place).write(module, info, None);
        let names = written.map_err(|e| e.to_string())?.entry_point_names;
        names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        Ok(text)
    });
    assert!(count > Shader::all().len());
}

#[test]
fn every_shader_translates_into_msl() {
    let options = msl::Options { lang_version: (2, 4), ..Default::default() };
    let count = each_entry_point(|module, info, entry_point| {
        let place = msl::PipelineOptions {
            entry_point: Some((ShaderStage::Compute, entry_point.to_owned())),
            ..Default::default()
        };
        let (text, written) = msl::write_string(module, info, &options, &place).map_err(|e| e.to_string())?;
        written.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        Ok(text)
    });
    assert!(count > Shader::all().len());
}
