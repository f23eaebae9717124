//! The data of the examples against their description in `examples/data/README.md`, and against numbers computed elsewhere.

#[path = "../examples/common/mod.rs"]
mod common;

use approx::assert_relative_eq;
use common::dataset::{Dataset, Header};
use common::patients::{CONDITIONS, MEASUREMENTS, Patients};
use common::retina::{FEATURES, Retina, TISSUE, VESSEL};
use common::split::Split;
use image::{GrayImage, ImageFormat, Luma};

fn rows_per_class(dataset: &Dataset) -> Vec<usize> {
    (0_i32..)
        .take(dataset.classes)
        .map(|class| dataset.labels.iter().filter(|&&label| label == class).count())
        .collect()
}

fn column(dataset: &Dataset, column: usize) -> Vec<f32> {
    dataset.features.chunks_exact(dataset.columns).map(|row| row[column]).collect()
}

fn range(dataset: &Dataset, index: usize) -> (f32, f32) {
    column(dataset, index).into_iter().fold((f32::MAX, f32::MIN), |(low, high), x| (low.min(x), high.max(x)))
}

fn small(text: &str) -> Dataset {
    Dataset::parse(text, Header::Absent).unwrap()
}

fn error(text: &str, header: Header) -> String {
    Dataset::parse(text, header).unwrap_err().to_string()
}

#[test]
fn digits_match_their_description() {
    let digits = Dataset::digits().unwrap();
    assert_eq!((digits.rows, digits.columns, digits.classes), (1797, 64, 10));
    assert_eq!((digits.features.len(), digits.labels.len()), (1797 * 64, 1797));
    assert_eq!(rows_per_class(&digits), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert!(digits.features.iter().all(|&x| (0.0..=16.0).contains(&x) && x.fract() == 0.0));
    // Integers, so the sum is exact.
    assert_eq!(digits.features.iter().map(|&x| f64::from(x)).sum::<f64>(), 561_718.0);
}

#[test]
fn breast_cancer_matches_its_description() {
    let cancer = Dataset::breast_cancer().unwrap();
    assert_eq!((cancer.rows, cancer.columns, cancer.classes), (569, 30, 2));
    assert_eq!((cancer.features.len(), cancer.labels.len()), (569 * 30, 569));
    assert_eq!(rows_per_class(&cancer), [212, 357]);
    assert_eq!(range(&cancer, 0), (6.981, 28.11), "mean radius");
    assert_eq!(range(&cancer, 3), (143.5, 2501.0), "mean area");
    assert_eq!(range(&cancer, 23), (185.2, 4254.0), "worst area");
}

#[test]
fn a_fifth_of_each_class_is_tested() {
    let Split { train, test } = Dataset::digits().unwrap().split();
    assert_eq!((train.rows, test.rows), (1442, 355));
    assert_eq!(rows_per_class(&test), [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]);

    let Split { train, test } = Dataset::breast_cancer().unwrap().split();
    assert_eq!((train.rows, test.rows), (456, 113));
    assert_eq!(rows_per_class(&test), [42, 71]);
}

#[test]
fn the_fifth_row_of_a_class_is_tested_and_the_order_stays() {
    let Split { train, test } = small("1,0\n2,1\n3,0\n4,0\n5,1\n6,0\n7,0\n8,1\n9,0").split();
    assert_eq!((test.features, test.labels), (vec![7.0], vec![0]));
    assert_eq!(train.features, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 9.0]);
    assert_eq!(train.labels, [0, 1, 0, 0, 1, 0, 1, 0]);
}

/// Rounding to float32 moves a value z by at most |z| 2^-24. Over a column with mean(z^2) = 1, so mean(|z|) <= 1, the
/// mean moves by at most 2^-24 and mean(z^2) by 2 * 2^-24; EPSILON is 2^-23, which leaves room for the float64 sums.
#[test]
fn training_columns_have_mean_0_and_variance_1() {
    for (dataset, constant) in
        [(Dataset::digits().unwrap(), &[0, 32, 39][..]), (Dataset::breast_cancer().unwrap(), &[])]
    {
        let Split { train, test } = dataset.split().standardised();
        for index in 0..train.columns {
            let values = column(&train, index);
            let mean_of = |power| values.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / train.rows as f64;
            if constant.contains(&index) {
                assert!(values.iter().chain(&column(&test, index)).all(|&x| x == 0.0), "column {index}");
            } else {
                assert!(mean_of(1).abs() <= f64::from(f32::EPSILON), "column {index}: mean {}", mean_of(1));
                assert!((mean_of(2) - 1.0).abs() <= 2.0 * f64::from(f32::EPSILON), "column {index}: {}", mean_of(2));
            }
        }
    }
}

/// First training and first test row, from a float64 program with compensated sums over the decimal text.
///
/// Reading the text as float32 moves x, the mean and the deviation s by at most 2^-24 times |x|, mean(|x|) and rms(x).
/// Digits are integers and stay. For the other values |x|, mean(|x|) <= 5 |x - mean| and rms(x) <= 5 s, so that the
/// quotient moves by at most 15 * 2^-24 of itself; with the final rounding that is 16 * 2^-24, or 8 * EPSILON.
#[test]
fn standardised_values_match_an_independent_computation() {
    let digits = Dataset::digits().unwrap().split().standardised();
    let cancer = Dataset::breast_cancer().unwrap().split().standardised();
    for (split, column, train, test) in [
        (&digits, 20, -1.152_156_533_494_2, -0.178_198_709_577_070_9),
        (&digits, 36, -1.728_404_321_407_63, 0.794_907_333_023_190_3),
        (&cancer, 0, 1.097_763_856_597_469_2, 1.752_088_207_547_49),
        (&cancer, 23, 1.970_044_723_916_481_8, 1.198_923_374_306_144_7),
    ] {
        let tolerance = 8.0 * f64::from(f32::EPSILON);
        assert_relative_eq!(f64::from(split.train.features[column]), train, max_relative = tolerance);
        assert_relative_eq!(f64::from(split.test.features[column]), test, max_relative = tolerance);
    }
}

#[test]
fn statistics_come_from_the_training_rows_alone() {
    // Column 0 trains on -1, 1, -1, 1; column 1 is constant there, though not in the test row.
    let Split { train, test } = small("-1,7,0\n1,7,0\n-1,7,0\n1,7,0\n100,8,0").split().standardised();
    assert_eq!(train.features, [-1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 1.0, 0.0]);
    assert_eq!(test.features, [100.0, 0.0]);
}

#[test]
fn inverse_frequencies_give_every_class_the_same_share() {
    // 5 rows, 2 classes: 5 / (2 * 4) and 5 / (2 * 1), exact in float32.
    assert_eq!(small("1,0\n2,0\n3,1\n4,0\n5,0").inverse_frequencies(), [0.625, 2.5]);
}

#[test]
fn a_bad_file_is_an_error_that_says_where() {
    for (text, expected) in [
        ("", "the csv has no rows; a row holds one or more features, then the label"),
        ("0\n1\n", "the csv has no features; a row holds one or more features, then the label"),
        ("1,2,0\n1,0\n", "line 2 has 2 fields, but the first row has 3"),
        ("1,0\nx,1\n", r#"line 2, column 0 is "x", but it must be a finite number"#),
        ("1,0\nNaN,1\n", r#"line 2, column 0 is "NaN", but it must be a finite number"#),
        ("1,0\n1e39,1\n", r#"line 2, column 0 is "1e39", but it must be a finite number"#),
        ("1,0\n1,0.5\n", r#"line 2, column 1 is "0.5", but it must be a class index"#),
        ("1,0\n1,2147483648\n", r#"line 2, column 1 is "2147483648", but it must be a class index"#),
        ("1,0\n1,-1\n", "label -1 in row 1 is not a class index of 0..2; number the classes from 0 without gaps"),
        (
            "1,0\n1,2147483647\n",
            "label 2147483647 in row 1 is not a class index of 0..2; number the classes from 0 without gaps",
        ),
    ] {
        assert_eq!(error(text, Header::Absent), expected, "{text:?}");
    }
}

#[test]
fn a_header_must_tell_the_truth() {
    assert!(Dataset::parse("2,1,a,b\n1,0\n2,1\n", Header::Counts).is_ok());
    for (text, expected) in [
        ("3,1,a,b\n1,0\n2,1\n", r#"the header says "3" rows, but the csv holds 2"#),
        ("2,2,a,b\n1,0\n2,1\n", r#"the header says "2" features, but the csv holds 1"#),
        ("2\n1,0\n2,1\n", r#"the header says "" features, but the csv holds 1"#),
        ("2,1,a,b,c\n1,0\n2,1\n", r#"the header says "3" classes, but the csv holds 2"#),
    ] {
        assert_eq!(error(text, Header::Counts), expected, "{text:?}");
    }
}

#[test]
fn patients_match_their_description() {
    let patients = Patients::load().unwrap();
    assert_eq!(patients.rows, 4387);
    assert_eq!((patients.features.len(), patients.targets.len()), (4387 * 8, 4387 * 5));
    assert_eq!(patients.counts(), [1358, 683, 437, 207, 196]);
    // How many patients have none of the conditions, one, two and so on.
    let mut having = [0; 6];
    patients.targets.chunks_exact(5).for_each(|targets| having[targets.iter().sum::<f32>() as usize] += 1);
    assert_eq!(having, [2449, 1223, 522, 160, 31, 2]);
    for (index, expected) in
        [(20.0, 80.0), (0.0, 1.0), (62.3, 169.5), (72.0, 236.0), (76.0, 446.0), (10.0, 178.0), (4.1, 16.2), (0.0, 1.0)]
            .into_iter()
            .enumerate()
    {
        let column = patients.features.iter().skip(index).step_by(MEASUREMENTS.len());
        let range = column.fold((f32::MAX, f32::MIN), |(low, high), &x| (x.min(low), x.max(high)));
        assert_eq!(range, expected, "{}", MEASUREMENTS[index]);
    }
}

#[test]
fn every_fifth_patient_is_tested() {
    let Split { train, test } = Patients::load().unwrap().split();
    assert_eq!((train.rows, test.rows), (3510, 877));
    assert_eq!(train.counts(), [1061, 547, 349, 169, 155]);
    assert_eq!(test.counts(), [297, 136, 88, 38, 41]);
    assert_eq!(test.with(4).filter(|&with| with).count(), 41, "stroke");
}

/// First training and first test patient, from a float64 program; the tolerance as for the other data.
#[test]
fn standardised_patients_match_an_independent_computation() {
    let split = Patients::load().unwrap().split().standardised();
    for (column, train, test) in [
        (0, 0.843_988_390_821_006_9, 1.130_859_118_047_948_1),
        (2, -0.750_381_878_949_912_6, -0.660_808_470_268_376_7),
        (6, 0.303_696_576_753_325_06, 0.303_696_576_753_325_06),
    ] {
        let tolerance = 8.0 * f64::from(f32::EPSILON);
        assert_relative_eq!(f64::from(split.train.features[column]), train, max_relative = tolerance);
        assert_relative_eq!(f64::from(split.test.features[column]), test, max_relative = tolerance);
    }
}

fn patients_csv(rows: &str) -> String {
    format!("{},{}\n{rows}", MEASUREMENTS.join(","), CONDITIONS.join(","))
}

#[test]
fn weights_of_conditions_follow_their_frequencies() {
    // Of four patients, 1, 2, 2, 4 and 4 have the conditions.
    let rows =
        "1,1,1,1,1,1,1,1,1,1,1,1,1\n1,1,1,1,1,1,1,1,0,1,1,1,1\n".to_owned() + &"1,1,1,1,1,1,1,1,0,0,0,1,1\n".repeat(2);
    let patients = Patients::parse(&patients_csv(&rows)).unwrap();
    assert_eq!(patients.positive_weights(), [3.0, 1.0, 1.0, 0.0, 0.0]);
    // 1/count is 1, 1/2, 1/2, 1/4, 1/4, of mean 1/2.
    assert_eq!(patients.condition_weights(), [2.0, 1.0, 1.0, 0.5, 0.5]);
}

#[test]
fn a_bad_file_of_patients_is_an_error_that_says_where() {
    let error = |text: &str| Patients::parse(text).unwrap_err().to_string();
    assert!(
        error("age,female\n1,2\n").starts_with(r#"the header is ["age", "female"], but it must be ["age", "female", "#)
    );
    let row = "66,1,88.2,138,209,88,6.2,0,1,0,0,0,0\n";
    assert_eq!(Patients::parse(&patients_csv(row)).unwrap().rows, 1);
    for (from, to, expected) in [
        ("88.2", "inf", r#"line 2, waist is "inf", but it must be a finite number"#),
        ("0,0,0,0\n", "0,0,0,2\n", r#"line 2, stroke is "2", but it must be 0 or 1"#),
        (
            ",0\n",
            "\n",
            "the csv cannot be read: CSV error: record 1 (line: 2, byte: 101): found record with 12 fields, but the previous record has 13 fields",
        ),
    ] {
        assert_eq!(error(&patients_csv(&row.replace(from, to))), expected);
    }
}

#[test]
fn the_retina_matches_its_description() {
    let retina = Retina::load().unwrap();
    assert_eq!((retina.width, retina.height), (282, 282));
    let sums: [u64; 3] = std::array::from_fn(|i| retina.rgb.iter().skip(i).step_by(3).map(|&x| u64::from(x)).sum());
    assert_eq!(sums, [12_696_844, 5_060_413, 3_672_472], "red, green and blue");
    let count = |class| retina.classes.iter().filter(|&&is| is == class).count();
    assert_eq!((count(None), count(Some(TISSUE)), count(Some(VESSEL))), (24_739, 49_050, 5735));
}

#[test]
fn the_upper_half_of_the_retina_is_learned_and_the_lower_one_tested() {
    let Split { train, test } = Retina::load().unwrap().split();
    assert_eq!((train.rows, test.rows), (27_046, 27_739));
    assert_eq!((train.columns, train.features.len()), (FEATURES, 27_046 * FEATURES));
    assert_eq!(rows_per_class(&train)[1], 2865);
    assert_eq!(rows_per_class(&test)[1], 2870);
}

/// From a program that sums each window for itself: at the photograph's edge, where 14 of 15 rows fit, and inside.
#[test]
fn features_of_pixels_match_an_independent_computation() {
    let Split { train, test } = Retina::load().unwrap().split();
    for (features, row, expected) in [
        (&train.features, 0, [175.0, 67.0, 52.0, 151.290_48, 58.461_906, 22.184_53]),
        (&train.features, 10_000, [218.0, 94.0, 62.0, 215.546_67, 95.533_33, 20.271_93]),
        (&test.features, 27_738, [170.0, 41.0, 35.0, 143.484_44, 46.204_445, 21.357_548]),
    ] {
        let got = &features[row * FEATURES..][..FEATURES];
        for (got, expected) in got.iter().zip(expected) {
            assert_relative_eq!(*got, expected, max_relative = f32::EPSILON);
        }
    }
}

#[test]
fn a_bad_image_is_an_error_that_says_what_is_wrong() {
    let png = |width, height, value| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        GrayImage::from_pixel(width, height, Luma([value])).write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let error = |photograph: &[u8], mask: &[u8]| Retina::decode(photograph, mask).unwrap_err().to_string();
    assert!(error(b"GIF89a", &png(2, 1, 0)).starts_with("the PNG cannot be read: "));
    assert_eq!(
        error(&png(2, 1, 9), &png(1, 2, 0)),
        "the photograph has (2, 1) pixels, but the mask has (1, 2); they must cover each other"
    );
    assert_eq!(
        error(&png(2, 1, 9), &png(2, 1, 7)),
        "pixel 0 of the mask is 7, but it must be 0 (outside), 128 (tissue) or 255 (vessel)"
    );
}
