//! A page that trains a classifier on WebGPU and compares every loss, on the GPU and on the CPU, with the float64 reference.
//!
//! `README.md` says how to look at it. Nothing here blocks: what a native program asks of `Gpu` and `Evaluator` has a form without
//! blocking, with `_async` behind its name.
#![cfg(target_arch = "wasm32")]

mod common;
mod comparison;
mod digits;
mod page;

use anyhow::{Context, Result};
use logloss::gpu::{AdapterChoice, Gpu};
use logloss::wgpu;
use wasm_bindgen::prelude::wasm_bindgen;

use page::Page;

/// What the page runs when it is loaded.
#[wasm_bindgen(start)]
pub async fn start() {
    console_error_panic_hook::set_once();
    let page = Page;
    if let Err(error) = run(&page).await {
        page.fail(&format!("{error:#}"));
    }
}

async fn run(page: &Page) -> Result<()> {
    let gpu = Gpu::open_async(&AdapterChoice::Best).await.context(
        "this browser gives no WebGPU device (Chromium on Linux wants --enable-unsafe-webgpu; a page must come from localhost or by https)",
    )?;
    let name = if gpu.info.name.is_empty() { "an adapter that does not say its name" } else { &gpu.info.name };
    let kind = if gpu.info.device_type == wgpu::DeviceType::Cpu { ", in software" } else { "" };
    page.text("device", &format!("WebGPU: {name}{kind}"))?;
    digits::train(&gpu, page).await?;
    comparison::compare_all(&gpu, page).await
}
