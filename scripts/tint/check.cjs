// Compiles every .wgsl file of a folder, and every entry point of it, with Tint, the compiler in Chromium's WebGPU (Dawn).
// Unlike naga it checks that barriers are reached by every lane. Usage: node check.cjs FOLDER
const fs = require('fs');
const path = require('path');
const { create, globals } = require('webgpu');
Object.assign(globalThis, globals);

// Dawn goes with this object.
let gpu;

async function main(folder) {
    gpu = create([]);
    const adapter = await gpu.requestAdapter();
    if (!adapter) throw new Error('Dawn finds no adapter: set VK_DRIVER_FILES to a driver that it accepts, such as SwiftShader');
    const requiredFeatures = ['subgroups', 'shader-f16'].filter((feature) => adapter.features.has(feature));
    const device = await adapter.requestDevice({ requiredFeatures });
    console.log(`${adapter.info.description}, with ${requiredFeatures.join(' and ') || 'no feature'}`);
    const faults = [];
    let entryPoints = 0;
    let skipped = 0;
    const scoped = async (what, action) => {
        device.pushErrorScope('validation');
        const value = await action();
        const error = await device.popErrorScope();
        if (error) faults.push(`${what}: ${error.message}`);
        return error ? null : value;
    };
    for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.wgsl')).sort()) {
        const needsSubgroups = file.includes('subgroup');
        const source = fs.readFileSync(path.join(folder, file), 'utf8');
        const needed = [
            needsSubgroups && 'subgroups',
            source.startsWith('enable f16') && 'shader-f16',
            // No part of WebGPU.
            source.includes('u64') && '64-bit integers',
        ].filter(Boolean);
        if (!needed.every((feature) => requiredFeatures.includes(feature))) {
            skipped += 1;
            continue;
        }
        const code = (needsSubgroups ? 'enable subgroups;\n' : '') + source;
        const module = await scoped(file, async () => device.createShaderModule({ code }));
        if (!module) continue;
        for (const message of (await module.getCompilationInfo()).messages) {
            if (message.type !== 'info') faults.push(`${file}:${message.lineNum}: ${message.type}: ${message.message}`);
        }
        for (const [, entryPoint] of code.matchAll(/@compute[^]*?fn (\w+)\(/g)) {
            entryPoints += 1;
            const compute = { module, entryPoint, constants: { WORKGROUP_SIZE: 64 } };
            await scoped(`${file} ${entryPoint}`, async () => device.createComputePipeline({ layout: 'auto', compute }));
        }
    }
    faults.forEach((fault) => console.error(fault));
    console.log(`${entryPoints} entry points, ${faults.length} faults; ${skipped} shaders need a feature that is not here`);
    process.exit(faults.length || !entryPoints ? 1 : 0);
}

main(process.argv[2]).catch((error) => {
    console.error(error.message);
    process.exit(1);
});
