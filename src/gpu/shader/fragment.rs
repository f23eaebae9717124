//! One file of WGSL.

/// Includes a file of `shaders/`.
macro_rules! fragment {
    ($path:literal) => {
        $crate::gpu::shader::fragment::Fragment {
            path: $path,
            source: include_str!(concat!("../../../shaders/", $path)),
        }
    };
}
pub(super) use fragment;

/// A file of `shaders/`.
#[derive(Clone, Copy)]
pub(super) struct Fragment {
    pub path: &'static str,
    pub source: &'static str,
}
