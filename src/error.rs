//! The one error type of the library. Every variant says what was wrong and what to do about it.

/// Result with this library's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong. Nothing in this library panics on input.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option of a loss lies outside its domain.
    #[error("{option} is {value}, but it must be {domain}")]
    InvalidOption {
        /// Name of the field of the options struct.
        option: &'static str,
        /// The offending value.
        value: String,
        /// The values that are allowed.
        domain: &'static str,
    },

    /// A host slice has the wrong number of elements.
    #[error("{name} has {got} elements, but the shape asks for {expected}")]
    LengthMismatch {
        /// Which tensor.
        name: &'static str,
        /// Elements that the shape asks for.
        expected: u64,
        /// Elements that were given.
        got: u64,
    },

    /// A target is neither a class index nor an ignore index.
    #[error(
        "target {value} in row {row} is not a class index of 0..{classes} and not ignored ({count} such rows); \
         correct the target or add the value to ignore_index"
    )]
    BadTarget {
        /// First offending row, counted from 0.
        row: u64,
        /// Its target.
        value: i64,
        /// Number of classes.
        classes: u64,
        /// Number of offending rows.
        count: u64,
    },

    /// A value lies outside the domain of the loss.
    #[error("{tensor} {value} of class {class} in row {row} is not {domain} ({count} such values); correct it")]
    BadValue {
        /// `input` or `target`.
        tensor: &'static str,
        /// Row of the first offending value, counted from 0.
        row: u64,
        /// Its class.
        class: u64,
        /// The value.
        value: f32,
        /// The values that are allowed.
        domain: &'static str,
        /// Number of offending values.
        count: u64,
    },

    /// As [`BadValue`](Self::BadValue), where nobody but the GPU has seen the value.
    #[error("row {row} holds a value outside the domain of the loss ({count} such values in the batch); correct it")]
    OutsideDomain {
        /// First row with such a value, counted from 0.
        row: u64,
        /// Number of offending values.
        count: u64,
    },

    /// The targets are not of the kind that the loss compares with.
    #[error("{loss} takes {takes}, but it was given {got}; convert them or choose another loss")]
    WrongTargets {
        /// Name of the loss.
        loss: &'static str,
        /// What it takes.
        takes: &'static str,
        /// What was given.
        got: &'static str,
    },

    /// Weights that the loss has no use for.
    #[error("{loss} takes no {name}; leave them out or choose another loss")]
    UnusedWeights {
        /// Name of the loss.
        loss: &'static str,
        /// Which weights.
        name: &'static str,
    },

    /// A buffer binding is too small for the shape.
    #[error("the {name} binding holds {got} bytes, but the shape needs {needed}; bind a larger buffer or range")]
    BindingTooSmall {
        /// Which binding.
        name: &'static str,
        /// Bytes that the shape needs.
        needed: u64,
        /// Bytes that the binding has.
        got: u64,
    },

    /// A buffer lacks a usage flag.
    #[error("the {name} buffer was created without {usage:?}; add that usage to its BufferDescriptor")]
    MissingUsage {
        /// Which binding.
        name: &'static str,
        /// The usage flags that it needs.
        usage: wgpu::BufferUsages,
    },

    /// A binding's offset breaks the device's alignment rule.
    #[error(
        "the {name} binding starts at byte {offset}, which is not a multiple of {alignment}, as this device requires"
    )]
    MisalignedOffset {
        /// Which binding.
        name: &'static str,
        /// Its offset in bytes.
        offset: u64,
        /// `min_storage_buffer_offset_alignment` of the device.
        alignment: u32,
    },

    /// One buffer is both read and written, which wgpu allows in no dispatch.
    #[error("{input} and {output} are in the same buffer; put them into two buffers, or compile for Gradient::InPlace")]
    SharedBuffer {
        /// The binding that is read.
        input: &'static str,
        /// The binding that is written.
        output: &'static str,
    },

    /// The outputs handed to `encode` do not match what the operation was compiled for.
    #[error("{name} was {got}, but the operation was compiled {compiled}; compile it with a matching Request")]
    RequestMismatch {
        /// Which binding.
        name: &'static str,
        /// `given` or `not given`.
        got: &'static str,
        /// `with it` or `without it`.
        compiled: &'static str,
    },

    /// A variant was asked for that the device cannot run.
    #[error(
        "{variant} needs {needs}, which this device does not have; choose another variant or enable it on the device"
    )]
    Unsupported {
        /// The variant.
        variant: String,
        /// Missing feature or limit.
        needs: String,
    },

    /// A size exceeds what the device or the index type can address.
    #[error("{what} is {size}, more than the {limit} that {limited_by} allows; {remedy}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The largest size allowed.
        limit: u64,
        /// Where the limit comes from.
        limited_by: &'static str,
        /// What to do.
        remedy: &'static str,
    },

    /// No adapter matched.
    #[error(
        "no GPU adapter found ({detail}); choose one that is listed, install a Vulkan driver (Mesa's lavapipe is a software one), \
         or compute on the CPU"
    )]
    NoAdapter {
        /// What was looked for.
        detail: String,
    },

    /// The device failed, ran out of memory, was lost, or reported a mistake in how it was used.
    #[error("the GPU device failed: {0}")]
    Device(String),
}
