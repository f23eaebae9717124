// result = sum / denominator: the last step of the public sum and mean.
// Needs: params. Provides: the entry point finish, one invocation. The mean of nothing is NaN.

@group(0) @binding(1) var<storage, read> sum: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;

@compute @workgroup_size(1)
fn finish() {
    let d = params.denominator;
    result[0] = select(sum[0] / d, params.nan, d == 0.0);
}
