# For scripts that build for browsers: the target, and in $tools the wasm-bindgen of the version that Cargo.lock names.
target="${CARGO_TARGET_DIR:-target}"
# Every browser with WebGPU has these vectors.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='-C target-feature=+simd128'
rustup target add wasm32-unknown-unknown
version="$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)"
tools="$PWD/target/wasm-bindgen-$version"
[ -x "$tools/bin/wasm-bindgen" ] || cargo install wasm-bindgen-cli --version "$version" --root "$tools"
