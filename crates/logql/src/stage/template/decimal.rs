//! Sums, products and quotients of decimal numbers without the errors of binary ones:
//! 0.1 + 0.2 is 0.3. What does not fit 38 digits is computed in binary instead.

/// `digits × 10^exponent`
#[derive(Clone, Copy, Debug)]
struct Decimal {
    digits: i128,
    exponent: i32,
}

/// What is done to two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    /// To 16 decimals.
    Divide,
}

/// Digits behind the point of a quotient.
const QUOTIENT_DECIMALS: i32 = 16;

/// Folds `operation` over the numbers, from left to right.
pub(super) fn fold(operation: Operation, first: f64, others: &[f64]) -> Result<f64, String> {
    if operation == Operation::Divide && others.contains(&0.0) {
        return Err("decimal division by 0".to_owned());
    }
    let mut exact = Decimal::of(first);
    for other in others {
        exact = exact.and_then(|left| left.combined(operation, Decimal::of(*other)?));
    }
    Ok(match exact {
        Some(decimal) => decimal.to_f64(),
        None => others.iter().fold(first, |left, right| match operation {
            Operation::Add => left + right,
            Operation::Subtract => left - right,
            Operation::Multiply => left * right,
            Operation::Divide => left / right,
        }),
    })
}

impl Decimal {
    /// The shortest decimal number that reads as `value`; `None` for infinities and NaN.
    fn of(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let digits = mantissa.replace('.', "").parse().ok()?;
        Some(Self { digits, exponent: exponent.parse::<i32>().ok()? - i32::try_from(decimals).ok()? })
    }

    /// The digits, were the exponent `exponent`, which is not above its own.
    fn digits_at(self, exponent: i32) -> Option<i128> {
        let places = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        self.digits.checked_mul(10i128.checked_pow(places)?)
    }

    fn combined(self, operation: Operation, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        Some(match operation {
            Operation::Add => {
                Self { digits: self.digits_at(exponent)?.checked_add(other.digits_at(exponent)?)?, exponent }
            }
            Operation::Subtract => {
                Self { digits: self.digits_at(exponent)?.checked_sub(other.digits_at(exponent)?)?, exponent }
            }
            Operation::Multiply => Self {
                digits: self.digits.checked_mul(other.digits)?,
                exponent: self.exponent.checked_add(other.exponent)?,
            },
            Operation::Divide => {
                // As many more digits in front that the quotient has its decimals.
                let target = -QUOTIENT_DECIMALS;
                let places = self.exponent - other.exponent - target;
                let (numerator, denominator) = if places >= 0 {
                    let factor = 10i128.checked_pow(u32::try_from(places).ok()?)?;
                    (self.digits.checked_mul(factor)?, other.digits)
                } else {
                    let factor = 10i128.checked_pow(u32::try_from(-places).ok()?)?;
                    (self.digits, other.digits.checked_mul(factor)?)
                };
                let (quotient, rest) = (numerator / denominator, numerator % denominator);
                let rounds_up = rest.unsigned_abs() * 2 >= denominator.unsigned_abs();
                let away = if (numerator < 0) == (denominator < 0) { 1 } else { -1 };
                Self { digits: quotient + if rounds_up { away } else { 0 }, exponent: target }
            }
        })
    }

    fn to_f64(self) -> f64 {
        // Reading the text rounds once; multiplying by a power of ten would round twice.
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_arithmetic_has_no_binary_errors() {
        assert_eq!(fold(Operation::Add, 0.1, &[0.2]), Ok(0.3));
        assert_eq!(fold(Operation::Subtract, 0.3, &[0.1, 0.1]), Ok(0.1));
        assert_eq!(fold(Operation::Multiply, 1.1, &[1.1]), Ok(1.21));
        assert_eq!(fold(Operation::Divide, 1.0, &[3.0]), Ok(0.3333333333333333));
        assert_eq!(fold(Operation::Divide, -2.0, &[3.0]), Ok(-0.6666666666666667));
        assert_eq!(fold(Operation::Divide, 20.2, &[5.25]), Ok(3.8476190476190477));
        assert_eq!(fold(Operation::Multiply, 1e300, &[1e-300]), Ok(1.0));
        assert_eq!(fold(Operation::Divide, 1.0, &[0.0]), Err("decimal division by 0".to_owned()));
        assert_eq!(fold(Operation::Multiply, 1e200, &[1e200]), Ok(f64::INFINITY));
    }
}
