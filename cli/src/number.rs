//! Numbers as JSON and as people read them, and sizes as people write them.

use serde_json::Value;

/// A JSON number, or the string `"NaN"`, `"Infinity"` or `"-Infinity"`, for which JSON has no number.
pub fn json(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| Value::from(non_finite(value)), Value::Number)
}

/// Seven significant digits, what float32 holds; whole numbers without a fraction.
pub fn short(value: f64) -> String {
    if !value.is_finite() {
        return non_finite(value).to_owned();
    }
    let magnitude = value.abs();
    if value.fract() == 0.0 && magnitude < 1e7 {
        return format!("{value:.0}");
    }
    if !(1e-3..1e7).contains(&magnitude) {
        return format!("{value:.6e}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 9 by the range above")]
    let decimals = (6.0 - magnitude.log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}")
}

fn non_finite(value: f64) -> &'static str {
    match value {
        v if v.is_nan() => "NaN",
        v if v > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// A whole number with its digits in groups of three.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes as people read them.
pub fn bytes(value: u64) -> String {
    indicatif::BinaryBytes(value).to_string()
}

/// Reads a size such as `512MiB`, `2GB` or `1000000` (bytes).
///
/// # Errors
/// It is not a number with a known unit, or it is 0 or too large.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000 * 1000,
        "gb" => 1000 * 1000 * 1000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(format!("'{unit}' is not a unit; use B, KiB, MiB, GiB, KB, MB or GB")),
    };
    let number: u64 = number.parse().map_err(|_| "not a whole number of bytes, such as 512MiB".to_owned())?;
    number.checked_mul(factor).filter(|&n| n > 0).ok_or_else(|| "must be between 1 byte and 2^64".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let cases = [
            (0.0, "0"),
            (-0.123_456_78, "-0.1234568"),
            (1.5, "1.500000"),
            (355.0, "355"),
            (12_345_678.0, "1.234568e7"),
            (4.122_307_2e-9, "4.122307e-9"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn sizes() {
        let cases = [("1", 1), ("20KB", 20_000), ("512MiB", 512 << 20), ("3 g", 3 << 30), ("7kib", 7 << 10), ("9B", 9)];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "MiB", "-1", "1.5GB", "5 parsecs", "99999999999999999999", "18446744073709551615KiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
