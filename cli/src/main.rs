#![allow(dead_code, unused_imports)]

mod tensor;

fn main() {}
