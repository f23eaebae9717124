//! Every golden case of PyTorch, in every arrangement, with every set of instructions.

use crate::common::assert_close;
use crate::common::golden::for_each_golden_case;
use crate::instructions;
use logloss::{Gradient, Request, cpu};

/// The numerics contract of the CPU engine. A gradient in 16 bits is compared before it is rounded.
const RELATIVE: f64 = 2e-6;
const ABSOLUTE: f64 = 1e-7;

#[test]
fn every_case_in_every_arrangement() {
    for set in instructions() {
        let mut worst: f64 = 0.0;
        let cases = for_each_golden_case(
            |_| true,
            |case| {
                for arrangement in case.arrangements() {
                    let arranged = case.arranged(*arrangement);
                    for gradient in [Gradient::No, Gradient::Widened] {
                        let request = Request { gradient, ..Request::default() };
                        let got = cpu::evaluate_with(set, case.loss.any(), request, &arranged.batch())
                            .expect("a valid batch");
                        let name = format!("{} in {arrangement:?} with {set:?}", case.name);
                        let loss = case.comparable(got.summary.loss, &got.losses);
                        let error = assert_close(&name, &loss, &arranged.want_loss, RELATIVE, ABSOLUTE);
                        worst = worst.max(error);
                        if gradient != Gradient::No {
                            let name = format!("{name}: gradient");
                            let want = &arranged.want_gradient;
                            worst = worst.max(assert_close(&name, &got.gradient, want, RELATIVE, ABSOLUTE));
                        }
                    }
                }
            },
        );
        assert_eq!(cases, 162);
        println!("{set:?}: largest error {worst:.3} times the tolerance");
    }
}
