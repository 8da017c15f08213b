//! Times as text in Go's layouts, which show how the time 2006-01-02 15:04:05 -0700 would be written.

use super::moment::{Civil, Moment, Zone, days_in, zone_at};

/// An element of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    LongYear,
    Year,
    LongMonth,
    Month,
    NumberMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    UpperHalf,
    LowerHalf,
    ZoneName,
    /// An offset: `Z` for UTC allowed, colons, with minutes, with seconds.
    Offset {
        z: bool,
        colon: bool,
        minutes: bool,
        seconds: bool,
    },
    /// `.000`: all digits.
    Fraction(usize),
    /// `.999`: without zeros at the end.
    ShortFraction(usize),
}

use Element::*;

const fn offset(z: bool, colon: bool, minutes: bool, seconds: bool) -> Element {
    Offset { z, colon, minutes, seconds }
}

/// Longer ones first, where one begins another.
const ELEMENTS: [(&str, Element); 37] = [
    ("January", LongMonth),
    ("Jan", Month),
    ("Monday", LongWeekday),
    ("Mon", Weekday),
    ("MST", ZoneName),
    ("2006", LongYear),
    ("002", ZeroYearDay),
    ("01", ZeroMonth),
    ("02", ZeroDay),
    ("03", ZeroHour12),
    ("04", ZeroMinute),
    ("05", ZeroSecond),
    ("06", Year),
    ("15", Hour),
    ("__2", UnderYearDay),
    ("_2", UnderDay),
    ("PM", UpperHalf),
    ("pm", LowerHalf),
    ("-07:00:00", offset(false, true, true, true)),
    ("-070000", offset(false, false, true, true)),
    ("-07:00", offset(false, true, true, false)),
    ("-0700", offset(false, false, true, false)),
    ("-07", offset(false, false, false, false)),
    ("Z07:00:00", offset(true, true, true, true)),
    ("Z070000", offset(true, false, true, true)),
    ("Z07:00", offset(true, true, true, false)),
    ("Z0700", offset(true, false, true, false)),
    ("Z07", offset(true, false, false, false)),
    ("1", NumberMonth),
    ("2", Day),
    ("3", Hour12),
    ("4", Minute),
    ("5", Second),
    (".0", Fraction(0)),
    (",0", Fraction(0)),
    (".9", ShortFraction(0)),
    (",9", ShortFraction(0)),
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The text up to the first element, the element, and what is behind it.
fn next_element(layout: &str) -> (&str, Option<Element>, &str) {
    for (at, _) in layout.char_indices() {
        let rest = &layout[at..];
        let Some((text, element)) = ELEMENTS.iter().find(|(text, _)| rest.starts_with(text)) else {
            continue;
        };
        let (element, len) = match element {
            // `Jan` and `Mon` within a longer word are not elements.
            Month | Weekday if rest[text.len()..].starts_with(|c: char| c.is_ascii_lowercase()) => continue,
            Fraction(_) | ShortFraction(_) => {
                let digit = &rest[1..2];
                let digits = rest[1..].len() - rest[1..].trim_start_matches(digit).len();
                if rest[1 + digits..].starts_with(|c: char| c.is_ascii_digit()) {
                    continue;
                }
                let element = if *element == Fraction(0) { Fraction(digits) } else { ShortFraction(digits) };
                (element, 1 + digits)
            }
            // `_2006` is an underscore and a year.
            UnderDay if rest.starts_with("_2006") => return (&layout[..=at], Some(LongYear), &rest[5..]),
            element => (*element, text.len()),
        };
        return (&layout[..at], Some(element), &rest[len..]);
    }
    (layout, None, "")
}

/// The time in that layout.
pub(super) fn format(layout: &str, time: &Moment) -> String {
    let civil = time.civil();
    let mut text = String::new();
    let mut rest = layout;
    loop {
        let (before, element, behind) = next_element(rest);
        text.push_str(before);
        let Some(element) = element else { return text };
        push(&mut text, element, time, &civil);
        rest = behind;
    }
}

fn push(text: &mut String, element: Element, time: &Moment, civil: &Civil) {
    let hour12 = if civil.hour.is_multiple_of(12) { 12 } else { civil.hour % 12 };
    let weekday = WEEKDAYS[time.weekday() as usize % 7];
    let month = MONTHS[(civil.month as usize + 11) % 12];
    match element {
        LongYear => text.push_str(&format!("{:04}", civil.year)),
        Year => text.push_str(&format!("{:02}", civil.year.rem_euclid(100))),
        LongMonth => text.push_str(month),
        Month => text.push_str(&month[..3]),
        NumberMonth => text.push_str(&civil.month.to_string()),
        ZeroMonth => text.push_str(&format!("{:02}", civil.month)),
        LongWeekday => text.push_str(weekday),
        Weekday => text.push_str(&weekday[..3]),
        Day => text.push_str(&civil.day.to_string()),
        UnderDay => text.push_str(&format!("{:2}", civil.day)),
        ZeroDay => text.push_str(&format!("{:02}", civil.day)),
        UnderYearDay => text.push_str(&format!("{:3}", time.day_of_year())),
        ZeroYearDay => text.push_str(&format!("{:03}", time.day_of_year())),
        Hour => text.push_str(&format!("{:02}", civil.hour)),
        Hour12 => text.push_str(&hour12.to_string()),
        ZeroHour12 => text.push_str(&format!("{hour12:02}")),
        Minute => text.push_str(&civil.minute.to_string()),
        ZeroMinute => text.push_str(&format!("{:02}", civil.minute)),
        Second => text.push_str(&civil.second.to_string()),
        ZeroSecond => text.push_str(&format!("{:02}", civil.second)),
        UpperHalf => text.push_str(if civil.hour >= 12 { "PM" } else { "AM" }),
        LowerHalf => text.push_str(if civil.hour >= 12 { "pm" } else { "am" }),
        ZoneName => {
            if time.zone.abbreviation.is_empty() {
                push_offset(text, time.zone.offset_seconds, false, true, false);
            } else {
                text.push_str(&time.zone.abbreviation);
            }
        }
        Offset { z: true, .. } if time.zone.offset_seconds == 0 => text.push('Z'),
        Offset { colon, minutes, seconds, .. } => {
            push_offset(text, time.zone.offset_seconds, colon, minutes, seconds);
        }
        Fraction(digits) => {
            let all = format!("{:09}", time.nanos);
            text.push('.');
            text.push_str(all.get(..digits).unwrap_or(&all));
        }
        ShortFraction(digits) => {
            let all = format!("{:09}", time.nanos);
            let shown = all.get(..digits).unwrap_or(&all).trim_end_matches('0');
            if !shown.is_empty() {
                text.push('.');
                text.push_str(shown);
            }
        }
    }
}

fn push_offset(text: &mut String, offset_seconds: i32, colon: bool, minutes: bool, seconds: bool) {
    let (sign, magnitude) = (if offset_seconds < 0 { '-' } else { '+' }, offset_seconds.abs());
    text.push(sign);
    text.push_str(&format!("{:02}", magnitude / 3600));
    let colon = if colon { ":" } else { "" };
    if minutes {
        text.push_str(&format!("{colon}{:02}", magnitude / 60 % 60));
    }
    if seconds {
        text.push_str(&format!("{colon}{:02}", magnitude % 60));
    }
}

/// What has been read of a time.
struct Reading {
    civil: Civil,
    nanos: u32,
    is_afternoon: Option<bool>,
    year_day: Option<u32>,
    zone: Option<Zone>,
}

/// Reads a time in that layout; where the text names no zone, in the zone of that name.
/// `None` when the text does not fit the layout.
pub(super) fn parse(layout: &str, text: &str, zone: &str) -> Option<Moment> {
    let civil = Civil { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
    let mut reading = Reading { civil, nanos: 0, is_afternoon: None, year_day: None, zone: None };
    let (mut layout, mut text) = (layout, text);
    loop {
        let (before, element, behind) = next_element(layout);
        text = skip(text, before)?;
        let Some(element) = element else { break };
        text = read(text, element, behind, &mut reading)?;
        layout = behind;
    }
    if !text.is_empty() {
        return None;
    }
    reading.finish(zone)
}

/// Takes the fixed part of a layout; runs of blanks count as one.
fn skip<'t>(text: &'t str, fixed: &str) -> Option<&'t str> {
    let (mut text, mut fixed) = (text, fixed);
    while let Some(c) = fixed.chars().next() {
        if c == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            fixed = fixed.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(c)?;
            fixed = &fixed[c.len_utf8()..];
        }
    }
    Some(text)
}

/// Between `least` and `most` digits.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let len = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if len < least {
        return None;
    }
    let (number, rest) = text.split_at(len);
    Some((number.parse().ok()?, rest))
}

fn name<'t>(text: &'t str, names: &[&str], short: bool) -> Option<(u32, &'t str)> {
    names.iter().zip(0u32..).find_map(|(name, index)| {
        let wanted = if short { &name[..3] } else { name };
        let start = text.get(..wanted.len())?;
        start.eq_ignore_ascii_case(wanted).then(|| (index, &text[wanted.len()..]))
    })
}

fn read<'t>(text: &'t str, element: Element, behind: &str, reading: &mut Reading) -> Option<&'t str> {
    let civil = &mut reading.civil;
    let rest = match element {
        LongYear => {
            let (year, rest) = digits(text, 4, 4)?;
            civil.year = i64::from(year);
            rest
        }
        Year => {
            let (year, rest) = digits(text, 2, 2)?;
            civil.year = i64::from(year) + if year >= 69 { 1900 } else { 2000 };
            rest
        }
        LongMonth | Month => {
            let (month, rest) = name(text, &MONTHS, element == Month)?;
            civil.month = month + 1;
            rest
        }
        NumberMonth | ZeroMonth => {
            let (month, rest) = digits(text, if element == ZeroMonth { 2 } else { 1 }, 2)?;
            civil.month = month;
            rest
        }
        LongWeekday | Weekday => name(text, &WEEKDAYS, element == Weekday)?.1,
        Day | UnderDay | ZeroDay => {
            let text = if element == UnderDay { text.strip_prefix(' ').unwrap_or(text) } else { text };
            let (day, rest) = digits(text, if element == ZeroDay { 2 } else { 1 }, 2)?;
            civil.day = day;
            rest
        }
        UnderYearDay | ZeroYearDay => {
            let (day, rest) = digits(text.trim_start_matches(' '), 1, 3)?;
            reading.year_day = Some(day);
            rest
        }
        Hour => {
            let (hour, rest) = digits(text, 1, 2)?;
            civil.hour = hour;
            rest
        }
        Hour12 | ZeroHour12 => {
            let (hour, rest) = digits(text, if element == ZeroHour12 { 2 } else { 1 }, 2)?;
            civil.hour = (hour <= 12).then_some(hour)?;
            rest
        }
        Minute | ZeroMinute => {
            let (minute, rest) = digits(text, if element == ZeroMinute { 2 } else { 1 }, 2)?;
            civil.minute = minute;
            rest
        }
        Second | ZeroSecond => {
            let (second, rest) = digits(text, if element == ZeroSecond { 2 } else { 1 }, 2)?;
            civil.second = second;
            // A fraction may follow although the layout has none.
            let has_fraction =
                rest.starts_with(['.', ',']) && rest[1..].starts_with(|c: char| c.is_ascii_digit());
            let layout_has = matches!(next_element(behind), ("", Some(Fraction(_) | ShortFraction(_)), _));
            if has_fraction && !layout_has { fraction(rest, None, reading)? } else { rest }
        }
        UpperHalf | LowerHalf => {
            let half = text.get(..2)?;
            reading.is_afternoon = Some(match (element, half) {
                (UpperHalf, "PM") | (LowerHalf, "pm") => true,
                (UpperHalf, "AM") | (LowerHalf, "am") => false,
                _ => return None,
            });
            &text[2..]
        }
        ZoneName => {
            let len = text.bytes().take_while(u8::is_ascii_uppercase).count();
            if !(3..=5).contains(&len) {
                return None;
            }
            reading.zone = Some(Zone { offset_seconds: 0, abbreviation: text[..len].to_owned() });
            &text[len..]
        }
        Offset { z: true, .. } if text.starts_with('Z') => {
            reading.zone = Some(Zone::utc());
            &text[1..]
        }
        Offset { colon, minutes, seconds, .. } => read_offset(text, colon, minutes, seconds, reading)?,
        Fraction(count) => fraction(text, Some(count), reading)?,
        ShortFraction(_) => {
            if text.starts_with(['.', ',']) && text[1..].starts_with(|c: char| c.is_ascii_digit()) {
                fraction(text, None, reading)?
            } else {
                text
            }
        }
    };
    Some(rest)
}

fn read_offset<'t>(
    text: &'t str,
    colon: bool,
    minutes: bool,
    seconds: bool,
    reading: &mut Reading,
) -> Option<&'t str> {
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, mut rest) = digits(&text[1..], 2, 2)?;
    let mut offset_seconds = hours * 3600;
    for (wanted, factor) in [(minutes, 60), (seconds, 1)] {
        if wanted {
            let (part, behind) = digits(if colon { rest.strip_prefix(':')? } else { rest }, 2, 2)?;
            offset_seconds += part * factor;
            rest = behind;
        }
    }
    let offset_seconds = sign * i32::try_from(offset_seconds).ok()?;
    let abbreviation = if offset_seconds == 0 { "UTC".to_owned() } else { String::new() };
    reading.zone = Some(Zone { offset_seconds, abbreviation });
    Some(rest)
}

/// A point or comma and digits, `count` of them or as many as there are.
fn fraction<'t>(text: &'t str, count: Option<usize>, reading: &mut Reading) -> Option<&'t str> {
    let behind = text.strip_prefix(['.', ','])?;
    let available = behind.bytes().take_while(u8::is_ascii_digit).count();
    let len = count.unwrap_or(available);
    if available < len || len == 0 {
        return None;
    }
    let (shown, rest) = behind.split_at(len);
    let nine: String = shown.chars().chain("000000000".chars()).take(9).collect();
    reading.nanos = nine.parse().ok()?;
    Some(rest)
}

impl Reading {
    fn finish(mut self, zone: &str) -> Option<Moment> {
        let civil = &mut self.civil;
        match self.is_afternoon {
            Some(true) if civil.hour < 12 => civil.hour += 12,
            Some(false) if civil.hour == 12 => civil.hour = 0,
            _ => {}
        }
        if let Some(mut day) = self.year_day {
            civil.month = 1;
            while day > days_in(civil.year, civil.month) {
                day -= days_in(civil.year, civil.month);
                civil.month += 1;
                if civil.month > 12 {
                    return None;
                }
            }
            civil.day = day;
        }
        let is_valid = (1..=12).contains(&civil.month)
            && (1..=days_in(civil.year, civil.month)).contains(&civil.day)
            && civil.hour < 24
            && civil.minute < 60
            && civil.second < 60;
        if !is_valid {
            return None;
        }
        let local = civil.seconds();
        let zone = self.zone.unwrap_or_else(|| zone_at(zone, local));
        Some(Moment { seconds: local - i64::from(zone.offset_seconds), nanos: self.nanos, zone })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_go_layouts() {
        let time = Moment {
            zone: zone_at("Europe/Berlin", 1_709_211_845),
            ..Moment::from_nanos(1_709_211_845_120_000_000)
        };
        for (layout, text) in [
            ("2006-01-02T15:04:05.000Z07:00", "2024-02-29T14:04:05.120+01:00"),
            ("Mon Jan _2 3:04PM MST 06", "Thu Feb 29 2:04PM CET 24"),
            ("Monday, January 2 2006 .999999", "Thursday, February 29 2024 .12"),
            ("15h04 002 -0700 pm", "14h04 060 +0100 pm"),
            ("Month 1", "Month 2"),
        ] {
            assert_eq!(format(layout, &time), text);
        }
        assert_eq!(format("Z07:00", &Moment::from_seconds(0)), "Z");
    }

    #[test]
    fn times_are_read_in_go_layouts() {
        for (layout, text, zone, seconds) in [
            ("2006-01-02", "2021-11-02", "UTC", 1_635_811_200),
            ("2006-01-02 15:04", "2021-11-02 10:00", "Nowhere", 1_635_847_200),
            ("2006-01-02T15:04:05Z07:00", "2024-02-29T14:04:05.12+01:00", "UTC", 1_709_211_845),
            ("2006-01-02 15:04", "2024-07-01 02:00", "Europe/Berlin", 1_719_792_000),
            ("Jan _2 3:04PM 2006", "Feb 29 2:04PM 2024", "UTC", 1_709_215_440),
        ] {
            assert_eq!(parse(layout, text, zone).map(|time| time.seconds), Some(seconds), "{text}");
        }
        for (layout, text) in [
            ("2006-01-02", "2021-13-02"),
            ("2006-01-02", "2021-02-30"),
            ("2006-01-02", "2021-02-03x"),
            ("15:04", "24:00"),
        ] {
            assert!(parse(layout, text, "UTC").is_none(), "{text}");
        }
    }
}
