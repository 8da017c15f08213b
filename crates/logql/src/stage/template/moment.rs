//! A point in time with a zone, over the whole range that Go's `time.Time` prints.

use std::fmt;

use jiff::tz::TimeZone;

use super::time_layout;

/// Seconds and nanoseconds since 1970, seen from a zone.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) seconds: i64,
    pub(super) nanos: u32,
    pub(super) zone: Zone,
}

/// An offset from UTC and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) offset_seconds: i32,
    pub(super) abbreviation: String,
}

/// A day of the calendar and a time of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
}

const DAY_SECONDS: i64 = 86_400;

impl Zone {
    pub(super) fn utc() -> Self {
        Self { offset_seconds: 0, abbreviation: "UTC".to_owned() }
    }
}

impl Moment {
    /// Go's zero time, the first second of the year 1.
    pub(super) fn zero() -> Self {
        Self { seconds: -62_135_596_800, nanos: 0, zone: Zone::utc() }
    }

    pub(super) fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0, zone: Zone::utc() }
    }

    pub(super) fn from_nanos(nanos: i64) -> Self {
        Self {
            seconds: nanos.div_euclid(1_000_000_000),
            nanos: nanos.rem_euclid(1_000_000_000) as u32,
            zone: Zone::utc(),
        }
    }

    /// Nanoseconds since 1970, wrapping around outside of 1678 to 2262 as in Go.
    pub(super) fn unix_nanos(&self) -> i64 {
        self.seconds.wrapping_mul(1_000_000_000).wrapping_add(i64::from(self.nanos))
    }

    pub(super) fn unix_millis(&self) -> i64 {
        self.seconds.wrapping_mul(1000).wrapping_add(i64::from(self.nanos / 1_000_000))
    }

    /// What calendar and clock show in its zone.
    pub(super) fn civil(&self) -> Civil {
        let local = self.seconds.saturating_add(i64::from(self.zone.offset_seconds));
        let (year, month, day) = date_of(local.div_euclid(DAY_SECONDS));
        let second_of_day = local.rem_euclid(DAY_SECONDS) as u32;
        Civil {
            year,
            month,
            day,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
        }
    }

    /// 0 is Sunday.
    pub(super) fn weekday(&self) -> u32 {
        let local = self.seconds.saturating_add(i64::from(self.zone.offset_seconds));
        (local.div_euclid(DAY_SECONDS) + 4).rem_euclid(7) as u32
    }

    /// 1 is the first of January.
    pub(super) fn day_of_year(&self) -> u32 {
        let civil = self.civil();
        (days_before(civil.year, civil.month, civil.day) - days_before(civil.year, 1, 1) + 1) as u32
    }
}

impl Civil {
    /// Seconds since 1970, were the clock in UTC.
    pub(super) fn seconds(&self) -> i64 {
        days_before(self.year, self.month, self.day) * DAY_SECONDS
            + i64::from(self.hour * 3600 + self.minute * 60 + self.second)
    }
}

/// How many days the month has.
pub(super) fn days_in(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar. The year is taken to begin in March,
/// so that the leap day is its last.
fn days_before(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn date_of(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The zone of that name at the time that a clock in it shows `local_seconds`; UTC when there is no such zone.
pub(super) fn zone_at(name: &str, local_seconds: i64) -> Zone {
    let named = match name {
        "" | "UTC" | "Local" => None,
        _ => TimeZone::get(name).ok(),
    };
    let Some(zone) = named else { return Zone::utc() };
    let offset_at = |seconds: i64| {
        let time = jiff::Timestamp::from_second(seconds).ok()?;
        let info = zone.to_offset_info(time);
        Some(Zone { offset_seconds: info.offset().seconds(), abbreviation: info.abbreviation().to_owned() })
    };
    // Twice, in case the guess lies on the other side of a change of the clocks.
    let guess = offset_at(local_seconds);
    let refined = guess.as_ref().and_then(|zone| offset_at(local_seconds - i64::from(zone.offset_seconds)));
    refined.or(guess).unwrap_or_else(Zone::utc)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&time_layout::format("2006-01-02 15:04:05.999999999 -0700 MST", self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_convert_both_ways() {
        for (days, date) in
            [(0, (1970, 1, 1)), (-1, (1969, 12, 31)), (19_782, (2024, 2, 29)), (-719_162, (1, 1, 1))]
        {
            assert_eq!(date_of(days), date);
            assert_eq!(days_before(date.0, date.1, date.2), days);
        }
        assert_eq!(Moment::zero().to_string(), "0001-01-01 00:00:00 +0000 UTC");
        assert_eq!(Moment::from_seconds(0).weekday(), 4);
        assert_eq!(Moment::from_seconds(1_709_164_800).day_of_year(), 60);
    }

    #[test]
    fn zones_follow_their_summer_time() {
        assert_eq!(zone_at("Europe/Berlin", 1_720_000_000).abbreviation, "CEST");
        assert_eq!(zone_at("Europe/Berlin", 1_705_000_000).offset_seconds, 3600);
        assert_eq!(zone_at("No/Where", 0), Zone::utc());
    }
}
