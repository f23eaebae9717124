//! Every shader that can be composed compiles, on a device that only validates and on the adapter under test.

use std::collections::HashSet;

use logloss::gpu::{Elements, Gpu, LossFragment, Place, Shader, Storage};

/// A device that validates everything and runs nothing.
fn noop(features: wgpu::Features) -> Gpu {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop.enable = true;
    let adapter =
        pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::NOOP)).remove(0);
    Gpu::with_limits(&adapter, features, wgpu::Limits::default()).unwrap()
}

#[test]
fn every_variant_is_valid() {
    let gpu = noop(wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16 | wgpu::Features::SHADER_INT64);
    for (lanes, checked) in [(4, false), (8, true), (256, false)] {
        let count = gpu.compile_all(lanes, checked, |_| true).unwrap_or_else(|e| panic!("{lanes} lanes: {e}"));
        assert!(count > Shader::all().len(), "{count} variants");
    }
}

#[test]
fn every_variant_compiles() {
    // Every switch and schedule of one loss; the suites of the families run the rest.
    let wanted = |shader| match shader {
        Shader::Rows { fragment, elements, .. } => {
            fragment == LossFragment::CrossEntropy
                && elements == Elements { storage: Storage::F32, place: Place::Separate, words: false }
        }
        Shader::RegionSums { .. } | Shader::RegionGradient { .. } => false,
        _ => true,
    };
    let count = crate::gpu().compile_all(8, false, wanted).unwrap_or_else(|e| panic!("{e}"));
    assert!(count > 20, "{count} variants");
}

#[test]
fn a_device_without_features_compiles_the_rest() {
    let count = |features| noop(features).compile_all(8, false, |_| true).unwrap();
    let without = count(wgpu::Features::empty());
    for feature in [wgpu::Features::SUBGROUP, wgpu::Features::SHADER_F16, wgpu::Features::SHADER_INT64] {
        let with = count(feature);
        assert!(0 < without && without < with, "{without} of {with} with {feature:?}");
    }
}

#[test]
fn shaders_have_names_of_their_own_and_a_portable_source() {
    let mut labels = HashSet::new();
    for shader in Shader::all() {
        assert!(labels.insert(shader.label()), "two shaders named {}", shader.label());
        let source = shader.source();
        // naga refuses `enable subgroups;`, Tint wants it: the host prepends it for browsers.
        let enables: Vec<_> = source.lines().filter(|line| line.trim_start().starts_with("enable ")).collect();
        assert!(enables.is_empty(), "{}: {enables:?}", shader.label());
        let subgroups = source.contains("subgroupMax") || source.contains("subgroupAdd");
        assert_eq!(subgroups, shader.needs_subgroups(), "{}", shader.label());
        assert_eq!(source.contains("u64"), shader.needs_int64(), "{}", shader.label());
        for entry_point in shader.entry_points() {
            assert!(source.contains(&format!("fn {entry_point}(")), "{} has no {entry_point}", shader.label());
        }
    }
}
